"""What has happened, added up: written as it happens, put together later, read at once.

Who adds only inserts, and so waits for nobody. Each run is in exactly one row at any time: whoever
puts rows together deletes them and inserts their sum in one transaction, and whoever reads does so
with one statement.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import islice
from operator import or_
from typing import Any, TypeAlias

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.timezone import make_naive

from ..models import QueueSample, Rollup
from ..models.rollup import EVER, FRESH, HOUR, MINUTE
from ..recurrence.zone import UTC, instant
from ..rollup import Histogram, Tally
from .base import MOST_KEYS
from .clock import read_clock
from .depth import QueueDepth

#: Function and queue.
Key: TypeAlias = tuple[str, str | None]

COUNTED = ("succeeded", "failed", "retried", "discarded", "cancelled")
COLUMNS = ("pk", "at", "span", "task_name", "queue", "waits", "runs", "errors", *COUNTED)

#: Which rows become which, and how old they are then. Of a minute that has just ended, somebody
#: may still be about to add.
STEPS = (
    (FRESH, MINUTE, timedelta(seconds=20)),
    (MINUTE, HOUR, timedelta(hours=2)),
    (HOUR, EVER, timedelta(days=8)),
)
#: For how long each minute's sample is kept, and for how long each hour's.
MINUTES_KEPT, HOURS_KEPT = timedelta(hours=24), timedelta(days=8)
#: How many rows are put together in one transaction, and how often that is done at once.
MOST_ROWS, MOST_TIMES = 2000, 5


@dataclass(frozen=True, slots=True)
class Point:
    """How the runs of a function, in a queue, have ended within some time.

    Several may be of the same function, queue and time; they add up.

    Attributes:
        at: The beginning of the time.
        seconds: Its length; 0 stands for all of time.
        task_name: The function.
        queue: None is the unnamed one.
        tally: What was counted.
    """

    at: datetime
    seconds: int
    task_name: str
    queue: str | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class Sample:
    """How long a queue was at some time.

    There is one of the unnamed queue whenever somebody looked. Of the others there is one if there
    was something in them.

    Attributes:
        at: When; a whole minute.
        queue: None is the unnamed one.
        due: How many tasks were due and waited for a worker.
        running: How many were claimed.
        oldest_seconds: For how long the oldest due task had waited; None if none was due.
    """

    at: datetime
    queue: str | None
    due: int
    running: int
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A point, and the key of the row that holds it."""

    pk: int
    point: Point


class Rollups:
    """The rollups and samples of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    # -- write ----------------------------------------------------------------------------------

    def add(self, tallies: Mapping[Key, Tally], *, now: datetime | None = None) -> None:
        """Add what was counted just now; one statement, unless there are very many functions."""
        if not tallies:
            return
        at = floor(read_clock(self.using) if now is None else now, FRESH)
        self._rows().bulk_create(
            _rollup(at, FRESH, key, tally) for key, tally in sorted(tallies.items(), key=str)
        )

    def sample(self, depths: Iterable[QueueDepth], *, now: datetime) -> bool:
        """Add how long the queues are, unless somebody has already done so in this minute."""
        at = floor(now, MINUTE)
        if self._samples().filter(span=MINUTE, at=at).exists():
            return False
        found: dict[str | None, QueueDepth] = {None: QueueDepth(None)}
        found |= {depth.queue: depth for depth in depths}
        self._samples().bulk_create(
            QueueSample(
                at=at,
                queue=depth.queue,
                due=depth.due,
                running=depth.running,
                oldest_seconds=depth.oldest_seconds(now),
            )
            for depth in found.values()
        )
        return True

    # -- read -----------------------------------------------------------------------------------

    def read(self, since: datetime, until: datetime | None = None) -> list[Point]:
        """Return what was counted in times that begin at or after a moment, in no order.

        What is older than two hours is only told by the hour, what is older than eight days not at
        all.

        Args:
            since: The moment.
            until: The times begin before this; None for no limit.
        """
        rows = self._rows().filter(span__in=(FRESH, MINUTE, HOUR), at__gte=since)
        if until is not None:
            rows = rows.filter(at__lt=until)
        return [row.point for row in _read(rows)]

    def totals(self) -> list[Point]:
        """Return what was ever counted, by function and queue. It never becomes less."""
        totals: defaultdict[Key, Tally] = defaultdict(Tally)
        for row in _read(self._rows()):
            totals[row.point.task_name, row.point.queue].merge(row.point.tally)
        return [Point(epoch(), EVER, *key, tally) for key, tally in totals.items()]

    def samples(self, since: datetime) -> list[Sample]:
        """Return the samples since a moment, oldest first.

        Within the last day there is one for each minute, before that the fullest of each hour, and
        none is older than eight days. Two workers that looked in the same minute both wrote down
        what they found; of those the fuller one counts.
        """
        rows = self._samples().filter(span__in=(MINUTE, HOUR), at__gte=since).order_by("at", "pk")
        found: dict[tuple[datetime, str | None], Sample] = {}
        for sample in (Sample(*row) for row in rows.values_list(*Sample.__slots__)):
            key = (sample.at, sample.queue)
            if key not in found or found[key].due < sample.due:
                found[key] = sample
        return list(found.values())

    # -- put together ---------------------------------------------------------------------------

    def compact(self, now: datetime | None = None) -> int:
        """Put old rows together, and forget old samples; return how many rows are gone.

        A little at a time: what is left is for the next time, or for somebody else.
        """
        now = read_clock(self.using) if now is None else now
        gone = self._thin(now)
        old = {
            span: Q(span=span, at__lt=floor(now - age, into or span)) for span, into, age in STEPS
        }
        # An idle worker asks this each minute, so it is one question.
        found = set(
            self._rows().filter(reduce(or_, old.values())).values_list("span", flat=True).distinct()
        )
        for span, into, _ in STEPS:
            if span not in found:
                continue
            for _ in range(MOST_TIMES):
                rows = _read(self._rows().filter(old[span]).order_by("at", "pk")[:MOST_ROWS])
                if not rows or not (fewer := self._put_together(rows, into)):
                    break
                gone += fewer
                found.add(into)
        return gone

    def _put_together(self, rows: list[Row], into: int) -> int:
        """Replace rows by their sums; return how many fewer there are, 0 if somebody else did it.

        Two rivals: two workers that put the same rows together. If one read them before the other
        deleted them, and added its own sum afterwards, all would be counted twice. So the rows are
        deleted first, and counted: who has not deleted each of them takes everything back.
        """
        if into == EVER:
            keys = {(row.point.task_name, row.point.queue) for row in rows}
            ever = _read(self._rows().filter(span=EVER))
            rows += [row for row in ever if (row.point.task_name, row.point.queue) in keys]
        sums: defaultdict[tuple[datetime, Key], Tally] = defaultdict(Tally)
        for row in rows:
            point = row.point
            at = epoch() if into == EVER else floor(point.at, into)
            sums[at, (point.task_name, point.queue)].merge(point.tally)
        with transaction.atomic(using=self.using):
            if self._delete(self._rows(), [row.pk for row in rows]) != len(rows):
                transaction.set_rollback(True, using=self.using)
                return 0
            self._rows().bulk_create(
                _rollup(at, into, key, tally) for (at, key), tally in sums.items()
            )
        return max(1, len(rows) - len(sums))

    def _thin(self, now: datetime) -> int:
        """Keep the fullest minute of each hour that is a day old, and forget what is very old.

        Two rivals do no harm here: both choose the same.
        """
        old = self._samples().filter(span=MINUTE, at__lt=floor(now - MINUTES_KEPT, HOUR))
        fullest: dict[tuple[datetime, str | None], QueueSample] = {}
        seen: list[int] = []
        for row in old.order_by("at", "pk")[:MOST_ROWS]:
            seen.append(row.pk)
            best = fullest.setdefault((floor(row.at, HOUR), row.queue), row)
            if (row.due, row.oldest_seconds or 0) > (best.due, best.oldest_seconds or 0):
                fullest[floor(row.at, HOUR), row.queue] = row
        kept = {row.pk for row in fullest.values()}
        gone = self._samples().filter(span=HOUR, at__lt=now - HOURS_KEPT)._raw_delete(self.using)
        if not seen:
            return gone
        with transaction.atomic(using=self.using):
            gone += self._delete(self._samples(), [key for key in seen if key not in kept])
            for keys in _pieces(kept):
                self._samples().filter(pk__in=keys).update(span=HOUR)
        return gone

    def _delete(self, rows: QuerySet[Any], keys: Collection[int]) -> int:
        """Delete rows in the order of their keys, so that two who do so never wait in a circle."""
        return sum(
            rows.filter(pk__in=some)._raw_delete(self.using) for some in _pieces(sorted(keys))
        )

    def _rows(self) -> QuerySet[Rollup]:
        return Rollup.objects.using(self.using).order_by()

    def _samples(self) -> QuerySet[QueueSample]:
        return QueueSample.objects.using(self.using).order_by()


def floor(moment: datetime, span: int) -> datetime:
    """Return the beginning of the time that a moment falls into, in whole spans since 1970."""
    seconds = int(instant(moment).timestamp())
    return _stored(datetime.fromtimestamp(seconds - seconds % span, UTC))


def epoch() -> datetime:
    """Return the time that stands for all of time."""
    return _stored(datetime(1970, 1, 1, tzinfo=UTC))


def _stored(moment: datetime) -> datetime:
    return moment if settings.USE_TZ else make_naive(moment)


def _rollup(at: datetime, span: int, key: Key, tally: Tally) -> Rollup:
    return Rollup(
        at=at,
        span=span,
        task_name=key[0],
        queue=key[1],
        waits=tally.waits.to_text(),
        runs=tally.runs.to_text(),
        errors=tally.errors_text(),
        **{name: getattr(tally, name) for name in COUNTED},
    )


def _read(rows: QuerySet[Rollup]) -> list[Row]:
    found = []
    for pk, at, span, name, queue, waits, runs, errors, *counts in rows.values_list(*COLUMNS):
        tally = Tally(
            **dict(zip(COUNTED, counts, strict=True)),
            waits=Histogram.read(waits),
            runs=Histogram.read(runs),
            errors=Tally.read_errors(errors),
        )
        found.append(Row(pk, Point(at, span, name, queue, tally)))
    return found


def _pieces(keys: Iterable[int]) -> Iterable[Sequence[int]]:
    rest = iter(keys)
    while some := list(islice(rest, MOST_KEYS)):
        yield some
