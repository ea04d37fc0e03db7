"""Ending a worker that has worked long enough, so that a fresh process takes its place."""

from __future__ import annotations

import os
import sys
import threading
import time

if sys.platform != "win32":
    import resource

#: What one unit of ``ru_maxrss`` is.
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
MIB = 1024 * 1024


class Recycling:
    """Tells when a worker has done enough.

    Args:
        max_tasks: How many tasks it runs; None for no limit, as for the others.
        max_memory: How many MiB of memory it may take, looked at once it has begun a task: a
            worker that ended before would never run one.
        max_age: How many seconds it works.
    """

    def __init__(
        self,
        *,
        max_tasks: int | None = None,
        max_memory: float | None = None,
        max_age: float | None = None,
    ) -> None:
        self.max_tasks = max_tasks
        self.max_memory = max_memory
        self.max_age = max_age
        self._begun = 0
        self._born = time.monotonic()
        self._lock = threading.Lock()

    def left(self) -> float:
        """Return how many tasks may still begin."""
        return float("inf") if self.max_tasks is None else max(0, self.max_tasks - self._begun)

    def count(self) -> None:
        """A task has begun."""
        with self._lock:
            self._begun += 1

    def reason(self) -> str | None:
        """Return why the worker has to end; None if it may go on."""
        if self.max_tasks is not None and self._begun >= self.max_tasks:
            return f"recycled: {self._begun} tasks were run, of --max-tasks {self.max_tasks}"
        age = time.monotonic() - self._born
        if self.max_age is not None and age > self.max_age:
            return f"recycled: it worked for {age:.0f} s, with --max-age {self.max_age:g}"
        if self.max_memory is not None and self._begun:
            memory = resident_mib()
            if memory is not None and memory > self.max_memory:
                return f"recycled: it took {memory:.0f} MiB, with --max-memory {self.max_memory:g}"
        return None


def resident_mib() -> float | None:
    """Return the memory of this process in MiB; None where it cannot be known.

    Where the system only tells the peak, it is the peak.
    """
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    except (OSError, ValueError, IndexError):
        pass
    if sys.platform == "win32":
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * PEAK_UNIT / MIB
