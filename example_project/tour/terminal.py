"""What the demo prints: plain lines, with colour and a status line where there is a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

COLOURS = {
    "row": "36",
    "running": "33",
    "done": "32",
    "failed": "31",
    "killed": "31",
    "lost": "35",
    "repeats": "34",
    "ok": "32",
    "MISSING": "31",
}


class Terminal:
    """Writes lines to standard output."""

    def __init__(self) -> None:
        self._is_live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self._has_colour = self._is_live and os.name != "nt" and "NO_COLOR" not in os.environ

    def heading(self, text: str) -> None:
        """Print the title of a part of the demo."""
        self.line()
        self.line(self._paint(text, "1"))

    def line(self, text: str = "") -> None:
        """Print one line."""
        self.status("")
        print(text, flush=True)

    def event(self, *, seconds: float, kind: str, task: str, detail: str) -> None:
        """Print one thing that happened to a task."""
        word = self._paint(f"{kind:<8}", COLOURS[kind])
        self.line(f"{seconds:6.1f} s  {word} {task:<34} {detail}".rstrip())

    def verdict(self, *, is_ok: bool, text: str) -> None:
        """Print whether something that should have happened did."""
        word = "ok" if is_ok else "MISSING"
        self.line(f"  {self._paint(f'{word:<8}', COLOURS[word])} {text}")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows of cells: the first column to the left, the others to the right."""
        cells = [[str(cell) for cell in row] for row in [head, *rows]]
        widths = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
        for number, row in enumerate(cells):
            first, *others = zip(row, widths, strict=True)
            text = "  ".join([first[0].ljust(first[1]), *(c.rjust(width) for c, width in others)])
            self.line("  " + (self._paint(text, "2") if number == 0 else text))

    def status(self, text: str) -> None:
        """Show a line that the next output replaces; nothing where there is no terminal."""
        if self._is_live:
            print(f"\r\033[K{text}", end="", flush=True)

    def _paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._has_colour else text
