"""How many tasks to claim ahead of need."""

from __future__ import annotations

import threading

#: Work in hand, in seconds: short beside what anybody notices, long beside a round trip.
AIM_SECONDS = 0.05
#: The most tasks in hand; more would not make a claim cheaper.
MOST_AHEAD = 500
#: How much more than the time before may be claimed: tasks to come need not be like those before.
GROWTH = 4


class Pace:
    """Learns how long tasks take.

    Args:
        slots: How many run at once.
    """

    def __init__(self, *, slots: int) -> None:
        self._slots = slots
        self._lock = threading.Lock()
        self._count, self._sum = 0, 0.0
        self._mean: float | None = None
        self._last = 0

    def add(self, seconds: float) -> None:
        """Take note of a run; called by any thread."""
        with self._lock:
            self._count += 1
            self._sum += seconds

    def ahead(self) -> int:
        """Return how many tasks are a few tens of milliseconds of work."""
        with self._lock:
            if self._count:
                mean = max(self._sum / self._count, 1e-6)
                if self._mean is not None and mean < self._mean:
                    mean = (self._mean + mean) / 2  # slower is believed at once, faster in steps
                self._mean = mean
            self._count, self._sum = 0, 0.0
            if self._mean is None:
                return 0
            return min(int(AIM_SECONDS * self._slots / self._mean), GROWTH * self._last, MOST_AHEAD)

    def stalled(self) -> None:
        """Forget what was learnt, as slow tasks have begun: none ahead until one has ended."""
        with self._lock:
            self._mean = None
            self._count, self._sum = 0, 0.0

    def claimed(self, count: int) -> None:
        """Take note of how many were claimed at once."""
        self._last = count or self._last
