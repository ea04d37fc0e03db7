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

#: What the reason of such an end begins with.
RECYCLED = "recycled"


class Recycling:
    """Tells when a worker has done enough.

    Args:
        max_tasks: How many tasks it runs; None for no limit, as for the others.
        max_memory: How many MiB of memory it may take, looked at once it has run a task: a worker
            that ended before would never run one.
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
        self._done = 0
        self._born = time.monotonic()
        self._lock = threading.Lock()

    def room(self) -> int:
        """Return how many more tasks may be run, those at work included."""
        return sys.maxsize if self.max_tasks is None else max(0, self.max_tasks - self._done)

    def count(self) -> bool:
        """A task was run; return whether it was the last one."""
        with self._lock:
            self._done += 1
            return self._done == self.max_tasks

    def reason(self) -> str | None:
        """Return why the worker has to end; None if it may go on."""
        if self.max_tasks is not None and self._done >= self.max_tasks:
            return f"{RECYCLED}: {self._done} tasks were run, of --max-tasks {self.max_tasks}"
        age = time.monotonic() - self._born
        if self.max_age is not None and age > self.max_age:
            return f"{RECYCLED}: it worked for {age:.0f} s, with --max-age {self.max_age:g}"
        if self.max_memory is not None and self._done:
            memory = resident_mib()
            if memory is not None and memory > self.max_memory:
                most = f"--max-memory {self.max_memory:g}"
                return f"{RECYCLED}: it took {memory:.0f} MiB, with {most}"
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
