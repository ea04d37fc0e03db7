"""Claiming level by level of priority, so that the cost does not depend on the backlog.

The order is "priority first, then run_at", and rows that are not due yet stand between those that
are. One index scan in that order would walk over every scheduled row of a high priority before it
came to a due row of a lower one. Here each level is found by one index probe, and within a level
the due rows are one range of the index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models.expressions import Col
from django.utils.timezone import make_naive

from ..models import Task, TaskQuerySet
from .base import Store
from .result import Candidate, Due

#: How many levels one statement looks up; the first ones are mostly enough.
LEVELS_AT_ONCE = 100

#: ``{order}`` and ``{beyond}`` make it run from high to low, or from low to high.
LEVELS = """
WITH RECURSIVE lvl(priority, number) AS (
    SELECT top.priority, 1 FROM (SELECT priority FROM {table}
                                 WHERE {waiting}{start} ORDER BY priority {order} LIMIT 1) AS top
    UNION ALL
    SELECT (SELECT t.priority FROM {table} t
            WHERE {waiting} AND t.priority {beyond} lvl.priority
            ORDER BY t.priority {order} LIMIT 1),
           lvl.number + 1
    FROM lvl WHERE lvl.priority IS NOT NULL AND lvl.number < {most}
)
SELECT lvl.priority, (SELECT t.run_at FROM {table} t
                      WHERE {waiting} AND t.priority = lvl.priority
                      ORDER BY t.run_at LIMIT 1)
FROM lvl WHERE lvl.priority IS NOT NULL
ORDER BY lvl.number
"""


class LevelStore(Store):
    """A store for databases with recursive queries."""

    def _candidates(
        self, names: Collection[str], *, queues: Collection[str], limit: int, now: datetime
    ) -> Sequence[Candidate]:
        candidates: list[Candidate] = []
        for queue in queues or (None,):
            candidates += self._of_queue(names, queue=queue, limit=limit, now=now)
        if len(queues) > 1:
            sign = -1 if self.order else 1
            candidates.sort(
                key=lambda row: (sign * row.values["priority"], row.values["run_at"], row.pk)
            )
        return candidates[:limit]

    def _of_queue(
        self, names: Collection[str], *, queue: str | None, limit: int, now: datetime
    ) -> list[Candidate]:
        candidates: list[Candidate] = []
        queues = () if queue is None else (queue,)
        for priority, first_run_at in self._levels(queue):
            if first_run_at <= now:
                rows = self._runnable(names, queues=queues, now=now).filter(priority=priority)
                candidates += self._read(
                    self._lockable(rows.order_by("run_at", "pk"))[: limit - len(candidates)]
                )
            if len(candidates) >= limit:
                break
        return candidates

    def look(
        self, names: Collection[str], *, queues: Collection[str] = (), now: datetime | None = None
    ) -> Due:
        """Tell what an idle worker wants to know, by index probes only.

        Looks at the first hundred levels of each queue. It is called after a claim, which has
        looked at all; what lies beyond only does not shorten the wait for the next claim.
        """
        now = self.now() if now is None else now
        levels = [
            (queue, priority, run_at)
            for queue in queues or (None,)
            for priority, run_at in islice(self._levels(queue), LEVELS_AT_ONCE)
        ]
        is_ready = is_unknown = False
        later = [run_at for _, _, run_at in levels if run_at > now]
        for queue, priority, run_at in levels:
            if run_at <= now:
                queues = () if queue is None else (queue,)
                due = self._waiting(queues).filter(priority=priority, run_at__lte=now)
                is_ready = is_ready or due.named(names).exists()
                is_unknown = is_unknown or due.not_named(names).exists()
                behind = self._waiting(queues).filter(priority=priority, run_at__gt=now)
                later += behind.order_by("run_at").values_list("run_at", flat=True)[:1]
        return Due(is_ready=is_ready, is_unknown=is_unknown, next_at=min(later, default=None))

    def _lockable(self, rows: TaskQuerySet) -> TaskQuerySet:
        return rows

    def _levels(self, queue: str | None) -> Iterator[tuple[int, datetime]]:
        """Yield each priority that has waiting rows, with the earliest time among them."""
        levels = self._some_levels(queue, after=None)
        while levels:
            yield from levels
            is_last = len(levels) < LEVELS_AT_ONCE
            levels = [] if is_last else self._some_levels(queue, after=levels[-1][0])

    def _some_levels(self, queue: str | None, *, after: int | None) -> list[tuple[int, datetime]]:
        connection = connections[self.using]
        waiting, beyond = "locked_by IS NULL AND failed_at IS NULL", "<" if self.order else ">"
        start, params = "", []
        if queue is not None:
            waiting, params = f"queue = %s AND {waiting}", [queue] * 3
        if after is not None:
            start = f" AND priority {beyond} {after:d}"
        statement = LEVELS.format(
            table=connection.ops.quote_name(Task._meta.db_table),
            waiting=waiting,
            start=start,
            order="DESC" if self.order else "ASC",
            beyond=beyond,
            most=LEVELS_AT_ONCE,
        )
        with connection.cursor() as cursor:
            cursor.execute(statement, params)
            rows = cursor.fetchall()
        # A time that cannot be read (SQLite takes any text) must not hide the others of its level.
        return [(priority, self._as_datetime(moment) or long_ago()) for priority, moment in rows]

    def _as_datetime(self, moment: Any) -> datetime | None:
        connection = connections[self.using]
        field = Task._meta.get_field("run_at")
        column = Col(Task._meta.db_table, field)
        for convert in connection.ops.get_db_converters(column):
            moment = convert(moment, column, connection)
        return moment  # type: ignore[no-any-return]


def long_ago() -> datetime:
    """Return a moment before all others."""
    beginning = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return beginning if settings.USE_TZ else make_naive(beginning)
