"""What is known of each queue: how full it is, whether it is paused, and who serves it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..models import Pause, Worker
from ..models.worker import ALL_BUT
from ..store.depth import QueueDepth, depths
from ..store.pause import Pauses, label
from ..tasks import autodiscover, tasks
from ..worker.served import own_backends
from .life import span

#: How many workers are looked at, and named beside a queue.
MOST_WORKERS, MOST_NAMED = 1000, 5


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A queue as people see it.

    Attributes:
        depth: How full it is.
        paused_at: Since when it is paused; None if it is not.
        workers: The names of living workers that serve it, some of them.
        number_of_workers: How many do.
        waited: For how long its oldest due task has been due; empty if none is.
    """

    depth: QueueDepth
    paused_at: datetime | None
    workers: tuple[str, ...]
    number_of_workers: int
    waited: str = ""

    @property
    def name(self) -> str:
        """The queue's name; empty for the unnamed one."""
        return self.depth.queue or ""

    @property
    def label(self) -> str:
        """What people call it."""
        return label(Pause.QUEUE, self.depth.queue)

    @property
    def unlisted_workers(self) -> int:
        """How many workers serve it beside those that are named."""
        return self.number_of_workers - len(self.workers)

    @property
    def is_unserved(self) -> bool:
        """Whether tasks are due, and nobody is there who would take them."""
        is_waiting = self.depth.due > 0 and self.paused_at is None
        return is_waiting and self.number_of_workers == 0


def queue_rows(using: str, *, now: datetime) -> list[QueueRow]:
    """Return all queues that anybody knows of, the unnamed one first.

    Those that have tasks, those that functions and backends name, those that living workers serve
    by their names, and those that are paused.

    Args:
        using: The alias of the database that holds the tables.
        now: The database's time.
    """
    found = {depth.queue or None: depth for depth in depths(using, now)}
    paused = {each.name: each.paused_at for each in Pauses(using).all() if each.kind == Pause.QUEUE}
    alive = Worker.objects.using(using).filter(Worker.alive(now)).order_by("name")
    workers = list(alive[:MOST_WORKERS])
    names = {None, *found, *paused, *declared_queues(), *named_by(workers)}
    rows = []
    for name in sorted(names, key=lambda name: (name is not None, name or "")):
        serving = [worker.name for worker in workers if worker.serves(name)]
        depth = found.get(name, QueueDepth(name))
        named, waited = tuple(serving[:MOST_NAMED]), depth.oldest_seconds(now)
        waits = "" if waited is None else span(timedelta(seconds=waited))
        rows.append(QueueRow(depth, paused.get(name), named, len(serving), waits))
    return rows


def declared_queues() -> set[str]:
    """Return the queues that functions and backends of this project name."""
    autodiscover()
    functions = {str(proxy.queue) for proxy in tasks._tasks.values() if proxy.queue}
    return functions.union(*(map(str, backend.queues) for backend in own_backends().values()))


def named_by(workers: Iterable[Worker]) -> set[str]:
    """Return the queues that workers name; a weight may stand behind the name."""
    words: set[str] = set()
    for worker in workers:
        if worker.queues and not worker.queues.startswith(ALL_BUT):
            words.update(worker.queues.split(", "))
    names = set()
    for word in words:
        name, _, weight = word.rpartition(":")
        names.add(name if name and weight.isdigit() else word)
    return names
