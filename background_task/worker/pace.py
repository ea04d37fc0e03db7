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
            count, total = self._count, self._sum
            self._count, self._sum = 0, 0.0
        if count:
            mean = max(total / count, 1e-6)
            # Slower is believed at once, faster little by little.
            is_slower = self._mean is None or mean > self._mean
            self._mean = mean if is_slower else (self._mean + mean) / 2  # type: ignore[operator]
        if self._mean is None:
            return 0
        return min(int(AIM_SECONDS * self._slots / self._mean), GROWTH * self._last, MOST_AHEAD)

    def claimed(self, count: int) -> None:
        """Take note of how many were claimed at once."""
        self._last = count or self._last
