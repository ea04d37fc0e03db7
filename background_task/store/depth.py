"""How full the queues are, at a cost that does not depend on how full they are.

A queue's rows are counted level by level of priority, each level in one range of the index, and no
further than anybody wants to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connections

from ..models import Task
from ..recurrence.zone import instant
from . import get_store
from .census import Census
from .levels import LEVELS_AT_ONCE, LevelStore, range_of, waiting_in
from .pause import Place, Unnamed

#: How many queues with names are looked at.
MOST_QUEUES = 100
#: How many of the tasks that are due first are looked at to find the one that has waited longest:
#: what was stored with a time in the past has waited only since then.
OLDEST = 20

#: Due or later tasks of one level. It names an order so that databases enter by the index.
LEVEL = """
SELECT {columns} FROM {table}{hint} WHERE {waiting} AND priority = {priority:d}
AND run_at {compared} %s ORDER BY {range}run_at LIMIT {most:d}
"""

RUNNING = """
SELECT queue, COUNT(*) FROM (
    SELECT queue FROM {table}{hint} WHERE locked_by IS NOT NULL ORDER BY locked_by LIMIT {most:d}
) AS held GROUP BY queue
"""

HINT = " FORCE INDEX ({index})"


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What is in a queue.

    Attributes:
        queue: Its name; None for the unnamed one.
        due: Tasks that are due and wait for a worker.
        later: Tasks whose time is yet to come, and those that a limit has put aside.
        running: Tasks that somebody has claimed.
        oldest_due_at: Since when the first of the due ones waits; None if none is due.
        is_more: Whether there are more than were counted.
    """

    queue: str | None
    due: int = 0
    later: int = 0
    running: int = 0
    oldest_due_at: datetime | None = None
    is_more: bool = False

    def with_more(self, other: QueueDepth, *, most: int) -> QueueDepth:
        """Return it with what another one has, too; no count goes beyond ``most``."""
        counts = {
            name: getattr(self, name) + getattr(other, name) for name in ("due", "later", "running")
        }
        moments = filter(None, (self.oldest_due_at, other.oldest_due_at))
        return replace(
            self,
            **{name: min(count, most) for name, count in counts.items()},
            oldest_due_at=min(moments, default=None),
            is_more=self.is_more or other.is_more or max(counts.values()) > most,
        )

    def oldest_seconds(self, now: datetime) -> float | None:
        """Return for how long the first of the due tasks has waited; None if none is due."""
        if self.oldest_due_at is None:
            return None
        return max(0.0, (instant(now) - instant(self.oldest_due_at)).total_seconds())


def depths(using: str, now: datetime | None = None, most: int = 10_000) -> list[QueueDepth]:
    """Return what is in each queue that has anything, the unnamed one first.

    Args:
        using: The alias of the database that holds the tables.
        now: Overrides the database's clock.
        most: No count goes beyond this.
    """
    store = get_store(using)
    now = store.now() if now is None else now
    if not isinstance(store, LevelStore):
        return [
            QueueDepth(
                each.queue,
                each.pending,
                each.at_limit + each.scheduled,
                each.running,
                each.oldest_waiting_since,
            )
            for each in Census(store, now=now).depths()
        ]
    return Sounding(store, now=now, most=most).depths()


class Sounding:
    """Measures the queues of a database once.

    Args:
        store: Where the rows are.
        now: The time at which tasks are due or not.
        most: No count goes beyond this.
    """

    def __init__(self, store: LevelStore, *, now: datetime, most: int) -> None:
        self.store = store
        self.now = now
        self.most = most
        self.connection = connections[store.using]
        self._is_mysql = self.connection.vendor == "mysql"
        self._table = self.connection.ops.quote_name(Task._meta.db_table)
        moment = Task._meta.get_field("run_at").get_db_prep_value(now, self.connection)
        self._moment = moment

    def depths(self) -> list[QueueDepth]:
        """Return what is in each queue that has anything, the unnamed one first."""
        running = self._running()
        named = {name for name in running if name is not None}
        named.update(self.store._queue_names(most=MOST_QUEUES))
        unnamed = self._depth(None, running.get(None, 0))
        if "" in named:  # another way to write that a row has no queue
            named.remove("")
            unnamed = unnamed.with_more(self._depth("", running.get("", 0)), most=self.most)
        found = [unnamed, *(self._depth(name, running.get(name, 0)) for name in sorted(named))]
        return [each for each in found if each.due or each.later or each.running]

    def _depth(self, queue: str | None, running: int) -> QueueDepth:
        place: Place = Unnamed.QUEUE if queue is None else queue
        levels = list(islice(self.store._levels(place), LEVELS_AT_ONCE + 1))
        ready = [priority for priority, first in levels if first <= self.now]
        due = self._count(place, ready[:LEVELS_AT_ONCE], compared="<=")
        later = self._count(
            place, [priority for priority, _ in levels[:LEVELS_AT_ONCE]], compared=">"
        )
        return QueueDepth(
            queue,
            due=min(due, self.most),
            later=min(later, self.most),
            running=min(running, self.most),
            oldest_due_at=self._oldest(place, ready[:LEVELS_AT_ONCE]),
            is_more=len(levels) > LEVELS_AT_ONCE or max(due, later, running) > self.most,
        )

    def _running(self) -> dict[str | None, int]:
        """Return how many rows are held, by queue: as many as workers have slots."""
        hint = HINT.format(index="bgtask_owner") if self._is_mysql else ""
        statement = RUNNING.format(table=self._table, hint=hint, most=self.most + 1)
        return dict(self._fetch(statement, []))

    def _count(self, place: Place, levels: Sequence[int], *, compared: str) -> int:
        """Return how many rows of these levels are due, or later; at most one beyond ``most``."""
        counted, most = 0, self.most + 1
        # MySQL would read all levels of a statement to their ends before it counted any.
        together = 1 if self._is_mysql else LEVELS_AT_ONCE
        for start in range(0, len(levels), together):
            some = levels[start : start + together]
            parts, params = self._levels("1 AS one", place, some, compared=compared, most=most)
            statement = f"SELECT COUNT(*) FROM ({parts} LIMIT {most - counted:d}) AS counted"
            counted += int(self._fetch(statement, params)[0][0])
            if counted == most:
                break
        return counted

    def _oldest(self, place: Place, levels: Sequence[int]) -> datetime | None:
        if not levels:
            return None
        columns = "run_at, enqueued_at"
        rows = self._fetch(*self._levels(columns, place, levels, compared="<=", most=OLDEST))
        return min(filter(None, (self._since(*row) for row in rows)), default=None)

    def _since(self, run_at: Any, enqueued_at: Any) -> datetime | None:
        """Return since when a task waits: since its time, or since it was stored, if that is later.

        None if it cannot be read: SQLite takes any text for a time.
        """
        moments = [self.store._as_datetime(value) for value in (run_at, enqueued_at) if value]
        return max(filter(None, moments), default=None)

    def _levels(
        self, columns: str, place: Place, levels: Sequence[int], *, compared: str, most: int
    ) -> tuple[str, list[Any]]:
        """Return a statement for the first rows of each level, and its parameters."""
        waiting, params = waiting_in(place)
        parts = [
            LEVEL.format(
                columns=columns,
                table=self._table,
                hint=HINT.format(index="bgtask_claim_queue") if self._is_mysql else "",
                waiting=waiting,
                priority=priority,
                compared=compared,
                range="queue, " if range_of(place) else "",
                most=most,
            )
            for priority in levels
        ]
        united = " UNION ALL ".join(
            f"SELECT * FROM ({part}) AS level_{number}" for number, part in enumerate(parts)
        )
        return united, [*params, self._moment] * len(levels)

    def _fetch(self, statement: str, params: list[Any]) -> list[Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return list(cursor.fetchall())
