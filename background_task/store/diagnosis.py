"""What the rows tell of a queue's health: read only, and bounded however many there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.db.models import Min

from ..models import TaskQuerySet, Worker
from . import get_store
from .levels import LEVELS_AT_ONCE, LevelStore
from .pause import Paused

#: How many rows of a kind are looked at.
MOST_ROWS = 5000


@dataclass(frozen=True)
class DueRow:
    """What is needed to know of a row that is due and free."""

    run_at: datetime
    task_name: str
    queue: str | None

    def pauses_among(self, paused: Iterable[Paused]) -> list[Paused]:
        """Return those of the pauses for which the row waits."""
        return [each for each in paused if each.holds(self.task_name, self.queue)]


@dataclass(frozen=True)
class Holder:
    """An owner of rows.

    Attributes:
        name: What stands in ``locked_by``.
        rows: How many rows it holds, as far as was looked.
        since: When it took the oldest of them.
    """

    name: str
    rows: int
    since: datetime | None


class Diagnosis:
    """Looks at the rows of one database.

    Args:
        using: The alias of the database that holds the tables.
        now: The database's time.
    """

    def __init__(self, using: str, *, now: datetime) -> None:
        self.using = using
        self.now = now
        self.store = get_store(using)

    @property
    def tasks(self) -> TaskQuerySet:
        """All live rows."""
        return self.store.tasks

    def due(self, *, most: int = MOST_ROWS) -> list[DueRow]:
        """Return rows that are due and free, the oldest of each level of priority first."""
        waiting = self.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
        found: list[DueRow] = []
        for priority, first_run_at in self._levels():
            if first_run_at > self.now:
                continue
            rows = waiting.filter(priority=priority, run_at__lte=self.now).order_by("run_at", "pk")
            values = rows.values_list("run_at", "task_name", "queue")[: most - len(found)]
            found += [DueRow(*row) for row in values]
            if len(found) >= most:
                break
        return found

    def _levels(self) -> Iterator[tuple[int, datetime]]:
        """Yield priorities with the earliest time of each, by index probes where that is known."""
        if isinstance(self.store, LevelStore):
            return islice(self.store._levels(None), LEVELS_AT_ONCE)
        waiting = self.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
        rows = waiting.values_list("priority").annotate(first=Min("run_at")).order_by("priority")
        return iter(rows)

    def paused(self) -> list[Paused]:
        """Return what is paused."""
        return self.store.pauses.all()

    def holders(self) -> list[Holder]:
        """Return who owns rows, whoever that is."""
        held = self.tasks.filter(locked_by__isnull=False)
        return _by_owner(held.values_list("locked_by", "locked_at")[:MOST_ROWS])

    def gone_holders(self) -> list[Holder]:
        """Return owners that will not finish their rows: the next worker recovers these."""
        left = self.tasks.unlocked(self.now).filter(locked_by__isnull=False)
        return _by_owner(left.values_list("locked_by", "locked_at")[:MOST_ROWS])

    def workers(self) -> list[Worker]:
        """Return the workers that have not said goodbye, the last seen first."""
        workers = Worker.objects.using(self.using).filter(stopped_at__isnull=True)
        return list(workers.order_by("-heartbeat_at")[:MOST_ROWS])

    def known_workers(self, names: list[str]) -> set[str]:
        """Return those names that workers have, or had within the last day."""
        workers = Worker.objects.using(self.using).filter(name__in=names[:MOST_ROWS])
        return set(workers.values_list("name", flat=True))

    def buried(self) -> list[int]:
        """Return keys of rows that failed where they stand, among the oldest rows.

        No index leads to them, as there should be none. Their keys are low: they have run.
        """
        oldest = self.tasks.order_by("pk").values_list("pk", "failed_at")[:MOST_ROWS]
        return [pk for pk, failed_at in oldest if failed_at is not None]


def _by_owner(rows: Iterable[tuple[str | None, datetime | None]]) -> list[Holder]:
    counts: Counter[str] = Counter()
    since: dict[str, datetime] = {}
    for owner, locked_at in rows:
        name = str(owner)
        counts[name] += 1
        if locked_at is not None:
            since[name] = min(locked_at, since.get(name, locked_at))
    return [Holder(name, number, since.get(name)) for name, number in counts.most_common()]
