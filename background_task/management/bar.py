"""A bar that grows, for commands that take long."""

from __future__ import annotations

from typing import Any

WIDTH = 40


class ProgressBar:
    """Shows on a terminal how much is done; elsewhere nothing.

    Args:
        stream: The command's output.
        total: How much there is to do.
    """

    def __init__(self, stream: Any, *, total: int) -> None:
        self._stream = stream
        self._total = max(total, 1)
        self._is_shown = stream.isatty()

    def show(self, done: int) -> None:
        """Show that so much is done."""
        if not self._is_shown:
            return
        share = min(done / self._total, 1.0)
        bar = "#" * int(share * WIDTH)
        self._put(f"\r[{bar:<{WIDTH}}] {share:4.0%} {done}")

    def end(self) -> None:
        """Leave the line as if nothing had been."""
        if self._is_shown:
            self._put("\r" + " " * (WIDTH + 30) + "\r")

    def _put(self, text: str) -> None:
        self._stream.write(text, ending="")
        self._stream.flush()
