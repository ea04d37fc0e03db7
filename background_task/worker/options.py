"""How a worker is to run, and what it did."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Options:
    """How a worker is to run.

    Attributes:
        queues: The queues it serves; none means all, the unnamed one included.
        sleep: Seconds between looks at an idle queue; scheduled tasks wake it earlier.
        duration: Seconds after which it stops; 0 or less means never.
        threads: How many tasks it runs at once; None runs them one after another in its own thread.
        lease: How long it counts as alive after a heartbeat.
        shutdown: Seconds that a stop signal leaves running tasks.
        concurrency: How many ``async def`` tasks share an event loop; None runs them like others.
        max_tasks: How many tasks it runs before it ends.
        max_memory: The resident memory in MiB above which it ends.
        max_age: Seconds after which it ends.
        is_ticking: Whether it puts the ticks of periodic tasks into the queue.
        weights: How to divide its slots among the queues it serves, by their names; None if
            priorities alone decide.
        backends: The aliases in ``TASKS`` whose tasks it runs, and then no others; None for those
            of all our backends, and of ``@background``.
    """

    queues: Sequence[str] = ()
    sleep: float = 5.0
    duration: float = 0
    threads: int | None = None
    lease: timedelta = timedelta(seconds=60)
    shutdown: float = 25.0
    concurrency: int | None = None
    max_tasks: int | None = None
    max_memory: float | None = None
    max_age: float | None = None
    is_ticking: bool = True
    weights: Mapping[str, int] | None = None
    backends: Sequence[str] | None = None

    def queue_words(self) -> list[str]:
        """Return the queues as they stand on the command line, for people to read."""
        if self.weights is None:
            return list(self.queues)
        return [f"{queue}:{self.weights[queue]}" for queue in self.queues]


#: Event -> field of ``Summary``.
COUNTERS = {
    "success": "succeeded",
    "retry": "retried",
    "failure": "failed",
    "discard": "discarded",
    "cancel": "cancelled",
    "release": "released",
    "late": "late",
}


@dataclass
class Summary:
    """What a worker did."""

    succeeded: int = 0
    retried: int = 0
    failed: int = 0
    discarded: int = 0
    cancelled: int = 0
    released: int = 0
    late: int = 0
    recovered: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def count(self, name: str, fields: dict[str, object]) -> None:
        """Count an event; recovered rows of others are counted as such."""
        counter = "recovered" if fields.get("lost") else COUNTERS.get(name)
        if counter is not None:
            with self._lock:
                setattr(self, counter, getattr(self, counter) + 1)
