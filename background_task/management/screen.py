"""A terminal whose last line stays while what is written scrolls above it."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from django.core.management.color import supports_color

#: Back to the first column, and clear all from there on: of a line that a narrower terminal has
#: broken in two, the second part, too.
ERASE = "\r\x1b[J"
#: Where the system does not tell how wide the terminal is.
USUAL_WIDTH = 80


def is_terminal(*streams: Any, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether all streams are terminals that can do more than print."""
    environ = os.environ if environ is None else environ
    if environ.get("TERM") == "dumb" or not all(stream.isatty() for stream in streams):
        return False
    return sys.platform != "win32" or supports_color()


class Screen:
    """The terminal of this process, and the line at its bottom.

    While it is installed, it stands in the way of ``sys.stdout``, ``sys.stderr`` and of all log
    handlers that write to them: what anybody prints would be glued to the line.

    Args:
        stream: Where the line goes; a terminal.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._line = ""
        self._is_shown = False
        #: Whether what was written last has no end yet: the line must not be glued to that either.
        self._is_amid = False
        self._former: dict[str, Any] = {}
        self._moved: list[tuple[logging.StreamHandler[Any], Any]] = []

    def install(self) -> None:
        """Stand in the way of all that writes to the terminal."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is not None and stream.isatty():
                self._former[name] = stream
                setattr(sys, name, Above(self, stream))
        for handler in _stream_handlers():
            stream = handler.stream
            if getattr(stream, "isatty", bool)():
                handler.setStream(Above(self, stream))
                self._moved.append((handler, stream))
        _installed.add(self)
        atexit.register(end_all)  # with --dev the process ends while the worker works

    def end(self) -> None:
        """Leave the terminal as if there had been no line."""
        self.show("")
        _installed.discard(self)
        for handler, stream in self._moved:
            if isinstance(handler.stream, Above):
                handler.setStream(stream)
        for name, stream in self._former.items():
            if isinstance(getattr(sys, name), Above):
                setattr(sys, name, stream)
        self._moved.clear()
        self._former.clear()

    def width(self) -> int:
        """Return how many characters a line may have now; people resize terminals."""
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError, AttributeError):
            columns = 0
        return (columns or USUAL_WIDTH) - 1

    def show(self, line: str) -> None:
        """Let this be the line; empty for none."""
        with self._lock:
            if line == self._line and self._is_shown:
                return
            erased, self._line = self._erased(), line
            with suppress(OSError, ValueError):  # a task may have closed it
                self._put(self._stream, erased + self._drawn())

    def write(self, stream: Any, text: str) -> int:
        """Write to a stream of the terminal, above the line."""
        if not text:
            return 0
        with self._lock:
            erased = self._erased()
            self._is_amid = not text.endswith("\n")
            self._put(stream, erased + text + self._drawn())
        return len(text)

    def after_fork(self) -> None:
        """Be out of the way in a process that a task has forked; the line is the worker's."""
        self._lock = threading.RLock()
        self._line = ""
        self._is_shown = False

    def _erased(self) -> str:
        is_shown, self._is_shown = self._is_shown, False
        return ERASE if is_shown else ""

    def _drawn(self) -> str:
        """Return the line, with the cursor back at its beginning.

        There it stays where it is when the terminal becomes narrower, and the line breaks.
        """
        self._is_shown = bool(self._line) and not self._is_amid
        return f"{self._line}\r" if self._is_shown else ""

    def _put(self, stream: Any, text: str) -> None:
        if text:
            stream.write(text)
            stream.flush()


class Above:
    """Stands for a stream of the terminal, and writes above the line.

    Args:
        screen: The terminal.
        stream: The stream, asked for everything else.
    """

    def __init__(self, screen: Screen, stream: Any) -> None:
        self._screen = screen
        self._stream = stream

    def write(self, text: str, *, ending: str = "") -> int:
        """Write; with the one extra argument of Django's ``OutputWrapper``."""
        return self._screen.write(self._stream, text + ending)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    loggers = [logging.getLogger(), *logging.getLogger().manager.loggerDict.values()]
    seen: set[int] = set()
    for logger in loggers:
        for handler in getattr(logger, "handlers", ()):  # a placeholder has none
            if isinstance(handler, logging.StreamHandler) and id(handler) not in seen:
                seen.add(id(handler))
                yield handler


_installed: weakref.WeakSet[Screen] = weakref.WeakSet()


def end_all() -> None:
    """Leave the terminal tidy; for a process that ends in the middle of it."""
    for screen in tuple(_installed):
        screen.end()


def _leave_in_child() -> None:
    for screen in tuple(_installed):
        screen.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_in_child)
