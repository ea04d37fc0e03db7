"""The line at the bottom of the terminal: what the worker is doing, and has done."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..worker import Loop
from ..worker.recycle import resident_mib
from .screen import Screen

#: Between two looks at what the worker counts anyway. It is asked nothing.
LOOK_SECONDS = 0.25
#: Over which time the tasks are counted that are told as so many per second.
RATE_SECONDS = 10.0
SEPARATOR = " | "
#: How the terminal is told of colours.
PLAIN, BOLD, RED, YELLOW = "", "1", "31", "33"


class Part(NamedTuple):
    """A part of the line, and how it looks."""

    text: str
    look: str = PLAIN


class Rate:
    """How many tasks come to an end per second."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, processed: int, *, now: float) -> float:
        """Return how many there were per second lately.

        Args:
            processed: How many there have been so far.
            now: The moment, as ``time.monotonic()`` has it.
        """
        self._seen.append((now, processed))
        while len(self._seen) > 2 and self._seen[1][0] <= now - RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (processed - before) / (now - since) if now > since else 0.0


class Status:
    """Keeps the line up to date, from a thread of its own.

    It reads the numbers that the worker keeps for its summary: no task and no claim has anything
    more to do because somebody watches.

    Args:
        screen: The terminal.
        loop: The worker.
        has_colour: Whether the terminal is to show colours.
    """

    def __init__(self, screen: Screen, loop: Loop, *, has_colour: bool) -> None:
        self._screen = screen
        self._loop = loop
        self._has_colour = has_colour
        self._rate = Rate()
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._follow, name="background_task status", daemon=True
        )

    def start(self) -> None:
        """Begin to show the line."""
        self._thread.start()

    def end(self) -> None:
        """Show it no more."""
        self._ended.set()
        self._thread.join(timeout=5)
        self._screen.show("")

    def parts(self, *, now: float) -> list[Part]:
        """Return what the line says, the most important first."""
        summary = self._loop.summary
        counts = (
            Part(f"{summary.succeeded} done"),
            Part(f"{summary.retried} rescheduled", YELLOW if summary.retried else PLAIN),
            Part(f"{summary.failed} failed", RED if summary.failed else PLAIN),
        )
        rest = [
            f"{number} {what}"
            for number, what in ((summary.discarded, "discarded"), (summary.cancelled, "cancelled"))
            if number
        ]
        memory = resident_mib()
        return [
            self._state(),
            *counts,
            *map(Part, rest),
            Part(f"{self._rate.of(summary.processed, now=now):.1f}/s"),
            *([] if memory is None else [Part(f"{memory:.0f} MiB")]),
        ]

    def _state(self) -> Part:
        loop = self._loop
        running = len(loop.watch.begun())
        if loop.control.outage.is_on:
            return Part("database away", RED)
        if loop.control.is_stopping:
            return Part(f"stopping, {running} running", YELLOW)
        return Part(f"running {running}/{loop.executor.slots}", BOLD) if running else WAITING

    def _follow(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            parts = self.parts(now=time.monotonic())
            self._screen.show(in_a_line(parts, self._screen.width(), has_colour=self._has_colour))


WAITING = Part("waiting", BOLD)


def in_a_line(parts: list[Part], width: int, *, has_colour: bool) -> str:
    """Return as many of the parts as fit into a line of so many characters."""
    line, length = "", 0
    for part in parts:
        separator = SEPARATOR if line else ""
        length += len(separator) + len(part.text)
        if length > width:
            break
        is_plain = not (has_colour and part.look)
        line += separator + (part.text if is_plain else f"\x1b[{part.look}m{part.text}\x1b[0m")
    return line


def wants_colour(options: Mapping[str, Any], *, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether colours are welcome; see https://no-color.org for the variable."""
    environ = os.environ if environ is None else environ
    return not environ.get("NO_COLOR") and not options.get("no_color")
