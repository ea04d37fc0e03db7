"""The log, where the project itself shows it nowhere."""

from __future__ import annotations

import io
import logging
import sys
import threading
from contextlib import suppress
from typing import Any, TextIO

LOGGER_NAME = "background_task"
LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.DEBUG, 3: logging.DEBUG}


class Console(logging.Handler):
    """Writes the library's log records to the command's output.

    Only used where the project has configured no logging for ``background_task``: otherwise its
    own handlers show the records.

    Args:
        stream: The command's output.
        verbosity: Django's ``--verbosity``.
        label: What each line begins with, after time and level.
    """

    def __init__(self, stream: Any, *, verbosity: int, label: str = "") -> None:
        super().__init__(LEVELS.get(verbosity, logging.INFO))
        self.setFormatter(logging.Formatter(f"%(asctime)s %(levelname)-7s {label}%(message)s"))
        self.stream = stream
        self._logger = logging.getLogger(LOGGER_NAME)
        self._former_level = self._logger.level

    def install(self) -> None:
        """Begin to show records."""
        self._logger.addHandler(self)
        if self._logger.getEffectiveLevel() > self.level:
            self._logger.setLevel(self.level)

    def remove(self) -> None:
        """Stop showing records."""
        self._logger.removeHandler(self)
        self._logger.setLevel(self._former_level)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - hostile exceptions raise at whoever shows them
            text = (
                f"{record.levelname} {record.msg} (which cannot be shown: {type(error).__name__})"
            )
        self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        """Write; a task may have closed the stream, and stderr is then better than silence."""
        try:
            self._put(text)
        except UnicodeError:  # a ValueError, but the stream is in order
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            self._put(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):
            self.stream = _Plain(sys.stderr)
            with suppress(OSError, ValueError):
                self._put(text)

    def _put(self, text: str) -> None:
        self.stream.write(text, ending="")
        self.stream.flush()


class _Plain:
    """A stream with the one extra argument that Django's ``OutputWrapper`` takes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str, *, ending: str = "") -> None:
        self._stream.write(text + ending)

    def flush(self) -> None:
        self._stream.flush()


class LogWriter:
    """Stands in for ``sys.stdout`` or ``sys.stderr`` and logs each line that is written.

    Args:
        stream: The stream it replaces, asked for whatever a log does not have.
        level: The level of the records.
        logger: Where they go.
    """

    def __init__(self, stream: TextIO, *, level: int, logger: logging.Logger) -> None:
        self._stream = stream
        self._level = level
        self._logger = logger
        self._local = threading.local()

    encoding = "utf-8"
    errors = "backslashreplace"

    def write(self, text: str) -> int:
        """Log the complete lines; keep the rest of the last one until it is complete."""
        if getattr(self._local, "is_logging", False):  # a handler that prints
            return self._stream.write(text)
        *lines, rest = (getattr(self._local, "rest", "") + text).split("\n")
        self._local.rest = rest
        self._log(lines)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Log an incomplete line."""
        rest, self._local.rest = getattr(self._local, "rest", ""), ""
        self._log([rest])

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False

    def fileno(self) -> int:
        """A log has no file descriptor.

        Raises:
            io.UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation("a stream that writes to the log has no file descriptor")

    def writable(self) -> bool:
        """It takes text."""
        return True

    @property
    def closed(self) -> bool:
        """It is open as long as the process runs."""
        return False

    def close(self) -> None:
        """Log an incomplete line; a log is not closed by a print()."""
        self.flush()

    def _log(self, lines: list[str]) -> None:
        self._local.is_logging = True
        try:
            for line in lines:
                if line.strip():
                    self._logger.log(self._level, line.rstrip())
        finally:
            self._local.is_logging = False
