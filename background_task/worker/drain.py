"""Notices when a worker has nothing left to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ..attempt import Claim

if TYPE_CHECKING:
    from .executors import Executor
    from .hand import Hand
    from .part import Part

#: Why a worker with ``--batch`` ends.
DRAINED = "nothing is left to do"


class Drain:
    """Counts the looks of one worker at its queues, and remembers which found nothing.

    Only a look that began with nothing at work can tell that all is done: what runs may add tasks
    up to its end, and its own outcome may have to be recorded yet.
    """

    def __init__(self) -> None:
        #: Set once the worker has looked for the first time.
        self.ready = threading.Event()
        #: Set while nothing is due, as far as the worker has seen, and nothing runs.
        self.empty = threading.Event()
        self._was_idle = self._is_closed = False
        self._begun = self._found_empty = 0
        self._changed = threading.Condition()

    def watch(self, executor: Executor, *, parts: Sequence[Part], hand: Hand) -> None:
        """Say whose looks they are.

        Args:
            executor: What runs the tasks.
            parts: What is claimed for.
            hand: What may have been claimed without anybody's knowledge.
        """
        self._executor, self._parts, self._hand = executor, parts, hand

    def begin(self) -> None:
        """The worker is about to record what has ended, and then to look."""
        self._was_idle = not self._executor.load() and not self._hand.is_unsure
        with self._changed:
            self._begun += 1

    def give_up(self) -> None:
        """This look finds nothing because what it found was handed back."""
        self._was_idle = False

    def end(self, claims: Collection[Claim]) -> bool:
        """The worker has looked; return whether nothing is left to do."""
        is_refused = any(part.is_refused for part in self._parts)
        is_empty = self._was_idle and not claims and not is_refused
        with self._changed:
            if is_empty:
                self._found_empty = self._begun
                self.empty.set()
            elif claims:
                self.empty.clear()
            self.ready.set()
            self._changed.notify_all()
        return is_empty

    def close(self) -> None:
        """The worker has ended: nobody need wait any longer."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def wait(self, timeout: float | None, *, wake: Callable[[], None]) -> bool:
        """Wait until a look that begins from now on finds nothing; return whether one did.

        An earlier look does not count: the caller may just have added a task.

        Args:
            timeout: The most seconds to wait; None for ever.
            wake: Lets the worker look at once.
        """
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            first = self._begun + 1
        wake()
        with self._changed:
            while self._found_empty < first and not self._is_closed:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            return self._found_empty >= first
