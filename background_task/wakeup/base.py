"""Plain polling, for databases that cannot tell that something has changed."""

from __future__ import annotations

import math
import random

from .polling import Polling

#: The shortest pause between two looks at an idle queue: it looks twenty times a second at most.
SHORTEST_PAUSE_SECONDS = 0.05
#: The pause is this part of the time without work. So a task that comes after five seconds waits a
#: quarter of a second at most, and one that comes after an hour no longer than ``--sleep``.
PART = 0.05
#: Workers that were started together should not look together.
LEAST_JITTER = 0.8
#: A worker that is woken by the news of others looks no more often than ten times a second.
SHORTEST_REST_SECONDS, LONGEST_REST_SECONDS = 0.01, 0.1


def pause_after(idle_seconds: float, *, longest: float, jitter: float) -> float:
    """Return the pause until the next look at a queue in which there was nothing for so long.

    Args:
        idle_seconds: The time since there was work.
        longest: The upper bound, ``--sleep``.
        jitter: From ``LEAST_JITTER`` to 1.
    """
    return jitter * min(longest, max(SHORTEST_PAUSE_SECONDS, PART * idle_seconds))


class Wakeup:
    """How the loop of one worker waits while there is nothing to do.

    An idle worker calls ``arm``, looks at the queue once more, and calls ``wait`` with at most
    ``longest_pause``; then it looks again. When it has found work it calls ``disarm``. All from one
    thread; only ``Polling.wake`` may come from elsewhere. None of the methods raises an error of
    the database: whatever goes wrong, the worker still looks at the queue at least every
    ``--sleep`` seconds.

    Args:
        using: The alias of the database with the tasks.
        polling: What ends a wait from within this process.
    """

    def __init__(self, using: str, polling: Polling) -> None:
        self.using = using
        self.polling = polling

    def arm(self) -> None:
        """From now on no news is missed: what comes after this ends the next ``wait``.

        What came before is found by the look that follows. May be called again while armed.
        """

    def disarm(self) -> None:
        """The worker has work again, and nobody needs to wake it."""

    def wait(self, seconds: float) -> None:
        """Wait at most so long; ended early by ``Polling.wake`` and by news."""
        self.polling.wait(seconds)

    def longest_pause(self, idle_seconds: float, sleep: float) -> float:
        """Return how long the next ``wait`` may take.

        Args:
            idle_seconds: The time since the worker last had work.
            sleep: The upper bound, ``--sleep``.
        """
        jitter = random.uniform(LEAST_JITTER, 1.0)
        return pause_after(idle_seconds, longest=sleep, jitter=jitter)

    def close(self) -> None:
        """Give back what was opened for waiting."""


class Patience:
    """Slows down a worker that is woken again and again by news that is none for it.

    The news of a database do not say for which queue they are, and a queue beside may be a busy
    one. A look costs a query; ten of them in a second are enough.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """There was work: news are good news again."""
        self._woken_at = -math.inf
        self._pause = 0.0

    def rest(self, now: float) -> float:
        """Return for how many seconds more the next look can wait."""
        return max(0.0, self._woken_at + self._pause - now)

    def count(self, now: float) -> None:
        """The worker was woken, and goes to look."""
        if now - self._woken_at > 2 * LONGEST_REST_SECONDS:
            self._pause = 0.0
        else:
            self._pause = min(LONGEST_REST_SECONDS, max(SHORTEST_REST_SECONDS, 2 * self._pause))
        self._woken_at = now
