"""Claiming level by level of priority, so that the cost does not depend on the backlog.

The order is "priority first, then run_at", and rows that are not due yet stand between those that
are. One index scan in that order would walk over every scheduled row of a high priority before it
came to a due row of a lower one. Here each level is found by one index probe, and within a level
the due rows are one range of the index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models.expressions import Col
from django.utils.timezone import make_naive

from ..models import Task, TaskQuerySet
from .base import Store
from .pause import NOTHING, OnHold, Place, Unnamed
from .result import Candidate, Due
from .wanted import NO_BACKENDS, Wanted

#: How many levels one statement looks up; the first ones are mostly enough.
LEVELS_AT_ONCE = 100

#: Beside a paused queue, a claim of all looks into each of the others; into so many at most.
MOST_QUEUES = 20

#: ``{order}`` and ``{beyond}`` make it run from high to low, or from low to high. For the unnamed
#: queue ``{range}`` begins the order, because PostgreSQL does not see that rows without a queue are
#: one range of the index, already in order; likewise in ``range_of``. ``{forward}`` is the same in
#: the direction of the times.
LEVELS = """
WITH RECURSIVE lvl(priority, number) AS (
    SELECT top.priority, 1 FROM (SELECT priority FROM {table}
                                 WHERE {waiting}{start}
                                 ORDER BY {range}priority {order} LIMIT 1) AS top
    UNION ALL
    SELECT (SELECT t.priority FROM {table} t
            WHERE {waiting} AND t.priority {beyond} lvl.priority
            ORDER BY {range}t.priority {order} LIMIT 1),
           lvl.number + 1
    FROM lvl WHERE lvl.priority IS NOT NULL AND lvl.number < {most}
)
SELECT lvl.priority, (SELECT t.run_at FROM {table} t
                      WHERE {waiting} AND t.priority = lvl.priority
                      ORDER BY {forward}t.run_at LIMIT 1)
FROM lvl WHERE lvl.priority IS NOT NULL
ORDER BY lvl.number
"""

#: The names of queues, each found by one index probe.
QUEUES = """
WITH RECURSIVE found(name, number) AS (
    SELECT CAST(top.queue AS text), 1
    FROM (SELECT queue FROM {table}
          WHERE {waiting} AND queue IS NOT NULL ORDER BY queue LIMIT 1) AS top
    UNION ALL
    SELECT (SELECT CAST(t.queue AS text) FROM {table} t
            WHERE {waiting} AND t.queue > found.name ORDER BY t.queue LIMIT 1),
           found.number + 1
    FROM found WHERE found.name IS NOT NULL AND found.number < {most}
)
SELECT name FROM found WHERE name IS NOT NULL
"""

WAITING = "locked_by IS NULL AND failed_at IS NULL"


class LevelStore(Store):
    """A store for databases with recursive queries."""

    def _candidates(
        self, wanted: Wanted, *, queues: Collection[str], limit: int, now: datetime
    ) -> Sequence[Candidate]:
        paused = self.on_hold()
        candidates: list[Candidate] = []
        wanted = wanted.without(paused.functions)
        places = self._places(queues, paused) if wanted else []
        for place in places:
            candidates += self._of_place(wanted, place, limit=limit, now=now, paused=paused)
        if len(places) > 1:
            sign = -1 if self.order else 1
            candidates.sort(
                key=lambda row: (sign * row.values["priority"], row.values["run_at"], row.pk)
            )
        return candidates[:limit]

    def _of_place(
        self, wanted: Wanted, place: Place, *, limit: int, now: datetime, paused: OnHold
    ) -> list[Candidate]:
        candidates: list[Candidate] = []
        queues = () if place is None else (place,)
        for priority, first_run_at in self._levels(place):
            if first_run_at <= now:
                rows = self._runnable(wanted, queues=queues, now=now, paused=paused)
                rows = rows.filter(priority=priority)
                candidates += self._read(
                    self._lockable(rows.order_by(*range_of(place), "run_at", "pk"))[
                        : limit - len(candidates)
                    ]
                )
            if len(candidates) >= limit:
                break
        return candidates

    def look(
        self,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        now: datetime | None = None,
    ) -> Due:
        """Tell what an idle worker wants to know, by index probes only.

        Looks at the first hundred levels of each queue. It is called after a claim, which has
        looked at all; what lies beyond only does not shorten the wait for the next claim.
        """
        now = self.now() if now is None else now
        paused, levels = NOTHING, self._levels_of(queues or (None,))
        if any(run_at <= now for _, _, run_at in levels):  # else it does not matter what is paused
            paused = self.on_hold()
            if paused.queues:
                levels = self._levels_of(self._places(queues, paused))
        is_ready = is_unknown = False
        later = [run_at for _, _, run_at in levels if run_at > now]
        mine = Wanted(names, backends).without(paused.functions)
        known = Wanted([*names, *paused.functions], backends)
        for place, priority, run_at in levels:
            if run_at <= now:
                waiting = self._waiting(() if place is None else (place,), paused)
                due = waiting.filter(priority=priority, run_at__lte=now)
                is_ready = is_ready or mine.among(due).exists()
                is_unknown = is_unknown or known.unknown(due).exists()
                behind = waiting.filter(priority=priority, run_at__gt=now)
                behind = behind.order_by(*range_of(place), "run_at")
                later += behind.values_list("run_at", flat=True)[:1]
        return Due(is_ready=is_ready, is_unknown=is_unknown, next_at=min(later, default=None))

    def _lockable(self, rows: TaskQuerySet) -> TaskQuerySet:
        return rows

    # -- queues ---------------------------------------------------------------------------------

    def _places(self, queues: Collection[str], paused: OnHold) -> Sequence[Place]:
        """Return where to look for rows: the queues that are served and not paused.

        A worker of all queues looks into them as a whole, unless one is paused: then it would walk
        over what waits there, each time. Where there are very many others, it does.
        """
        if queues:
            return [queue for queue in queues if queue not in paused.queues]
        if not paused.queues:
            return (None,)
        most = MOST_QUEUES + len(paused.queues)
        found = self._queue_names(most=most)
        if len(found) == most:
            return (None,)
        named: list[Place] = [name for name in found if name not in paused.queues]
        return named if "" in paused.queues else [*named, Unnamed.QUEUE]

    def _queue_names(self, *, most: int) -> list[str]:
        """Return names of queues that have waiting rows."""
        connection = connections[self.using]
        table = connection.ops.quote_name(Task._meta.db_table)
        with connection.cursor() as cursor:
            cursor.execute(QUEUES.format(table=table, waiting=WAITING, most=most))
            return [name for (name,) in cursor.fetchall()]

    # -- levels ---------------------------------------------------------------------------------

    def _levels_of(self, places: Collection[Place]) -> list[tuple[Place, int, datetime]]:
        return [
            (place, priority, run_at)
            for place in places
            for priority, run_at in islice(self._levels(place), LEVELS_AT_ONCE)
        ]

    def _levels(self, place: Place) -> Iterator[tuple[int, datetime]]:
        """Yield each priority that has waiting rows, with the earliest time among them."""
        levels = self._some_levels(place, after=None)
        while levels:
            yield from levels
            is_last = len(levels) < LEVELS_AT_ONCE
            levels = [] if is_last else self._some_levels(place, after=levels[-1][0])

    def _some_levels(self, place: Place, *, after: int | None) -> list[tuple[int, datetime]]:
        connection = connections[self.using]
        beyond = "<" if self.order else ">"
        waiting, params = waiting_in(place)
        start, params = "", params * 3
        if after is not None:
            start = f" AND priority {beyond} {after:d}"
        statement = LEVELS.format(
            table=connection.ops.quote_name(Task._meta.db_table),
            waiting=waiting,
            start=start,
            order="DESC" if self.order else "ASC",
            range=f"queue {'DESC' if self.order else 'ASC'}, " if range_of(place) else "",
            forward="queue, " if range_of(place) else "",
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


def waiting_in(place: Place) -> tuple[str, list[str]]:
    """Return the condition in SQL of rows that wait somewhere, and its parameters."""
    if place is None:
        return WAITING, []
    if place is Unnamed.QUEUE:
        return f"queue IS NULL AND {WAITING}", []
    return f"queue = %s AND {WAITING}", [place]


def range_of(place: Place) -> tuple[str, ...]:
    """Return by what to order the rows of a place first."""
    return ("queue",) if place is Unnamed.QUEUE else ()


def long_ago() -> datetime:
    """Return a moment before all others."""
    beginning = datetime(1970, 1, 1, tzinfo=timezone.utc)
    return beginning if settings.USE_TZ else make_naive(beginning)
