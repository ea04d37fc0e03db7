"""How a worker is to run, and what it did."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ..models.worker import ALL_BUT, UNNAMED


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
        excluded: The queues that it leaves to others if it serves all; empty is the unnamed one.
        is_batch: Whether it ends when nothing is left to do.
        label: What its name begins with; None for host and process number.
        is_label_free: Whether somebody has already made sure that no other worker has the label.
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
    excluded: Sequence[str] = ()
    is_batch: bool = False
    label: str | None = None
    is_label_free: bool = False

    def queues_text(self) -> str:
        """Return what it serves, for the table of workers; empty is everything."""
        if self.excluded:
            return ALL_BUT + ", ".join(queue or UNNAMED for queue in self.excluded)
        return ", ".join(self.queue_words())

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
    """What a worker did.

    Attributes:
        owners: Its names, beside which there may be others in the process; None counts all.
    """

    succeeded: int = 0
    retried: int = 0
    failed: int = 0
    discarded: int = 0
    cancelled: int = 0
    released: int = 0
    late: int = 0
    recovered: int = 0
    #: Tasks that ended as failed, those of dead workers included.
    failures: int = 0
    seconds: float = 0.0
    owners: Collection[str] | None = None

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def processed(self) -> int:
        """How many runs have come to an end of whatever kind."""
        ended = self.succeeded + self.retried + self.failed + self.discarded
        return ended + self.cancelled + self.late

    def count(self, name: str, fields: dict[str, Any]) -> None:
        """Count an event; recovered rows of others are counted as such."""
        is_lost = bool(fields.get("lost"))
        counter = "recovered" if is_lost else COUNTERS.get(name)
        if counter is None:
            return
        if is_lost or self.owners is None or fields["claim"].owner in self.owners:
            with self._lock:
                self.failures += name == "failure"
                setattr(self, counter, getattr(self, counter) + 1)
