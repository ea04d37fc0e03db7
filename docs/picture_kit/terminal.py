"""Programs that believe to be on a terminal, and pictures of what is on it."""

import fcntl
import io
import itertools
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

COLUMNS, LINES = 120, 30


class Terminal:
    """A program and its screen."""

    def __init__(self, command, *, env, cwd, columns=COLUMNS, lines=LINES):
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
            cwd=cwd,
            start_new_session=True,
        )
        os.close(slave)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        # Reading fails when the program has ended and its terminal is gone.
        while chunk := self._read_some():
            with self._lock:
                self._stream.feed(chunk)

    def _read_some(self):
        try:
            return os.read(self._master, 65_536)
        except OSError:
            return b""

    def text(self):
        """Return what is on the screen."""
        with self._lock:
            return "\n".join(self.screen.display)

    def picture(self, title):
        """Return the screen as an SVG, without the empty lines at its end."""
        console = Console(
            record=True, width=self.screen.columns, file=io.StringIO(), force_terminal=True
        )
        with self._lock:
            rows = [self._row(number) for number in range(self.screen.lines)]
        while rows and not rows[-1].plain.strip():
            rows.pop()
        for row in rows:
            console.print(row, no_wrap=True, crop=True)
        return without_fonts(console.export_svg(title=title))

    def _row(self, number):
        text = Text(end="")
        cells = (self.screen.buffer[number][column] for column in range(self.screen.columns))
        for style, alike in itertools.groupby(cells, style_of):
            text.append("".join(cell.data for cell in alike), style)
        text.rstrip()
        return text


def without_fonts(svg):
    """Return an SVG that asks nobody for a font; any monospaced one will do."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def style_of(cell):
    """Return what Rich calls the look of a cell."""
    return Style(
        color=colour_of(cell.fg),
        bgcolor=colour_of(cell.bg),
        bold=cell.bold,
        reverse=cell.reverse,
        italic=cell.italics,
        underline=cell.underscore,
    )


def colour_of(name):
    """Return what Rich calls a colour of the terminal."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdef" for digit in name):
        return f"#{name}"
    return {"brown": "yellow"}.get(name, name.replace("bright", "bright_"))
