"""Gathers outcomes for a moment, so that one transaction records many."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from itertools import islice

from ..attempt import Claim
from .finish import End

#: The longest that an outcome waits for others.
WINDOW_SECONDS = 0.05
#: As many are recorded at once without waiting for more.
MOST = 500
#: While nothing begins or ends for so long, what is in hand goes back for others to take.
STALLED_SECONDS = 0.1


class Gatherer:
    """Outcomes on their way to the database.

    Args:
        write: Records some of them.
    """

    def __init__(self, write: Callable[[list[End]], None]) -> None:
        self._write = write
        self._waiting: deque[End] = deque()
        self._written: list[End] = []
        self._lock = threading.Lock()

    def add(self, end: End) -> None:
        """Take an outcome; called by any thread."""
        self._waiting.append(end)

    def is_due(self, now: float) -> bool:
        """Tell whether it is time to flush."""
        if len(self._waiting) >= MOST:
            return True
        try:
            return now - self._waiting[0].ended >= WINDOW_SECONDS
        except IndexError:  # another thread has just taken it
            return False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    def claims(self) -> list[Claim]:
        """Return the claims whose outcomes are not in the database yet."""
        return [end.claim for end in (*self._waiting.copy(), *self._written)]

    def flush(self, *, timeout: float = -1) -> None:
        """Record what has been gathered; one thread at a time.

        Args:
            timeout: How many seconds to wait for another thread that does so; -1 is for ever.
        """
        if not self._waiting and not self._written:
            return
        if not self._lock.acquire(timeout=timeout):
            return
        try:
            while self._waiting:
                # First here and then away from there: whoever asks for claims misses none.
                self._written = list(islice(self._waiting.copy(), MOST))
                for _ in self._written:
                    self._waiting.popleft()
                self._write(self._written)
        finally:
            self._written = []
            self._lock.release()
