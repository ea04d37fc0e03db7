"""What rollups and samples tell, put together for one page; from lists of values, no database."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from ..recurrence.zone import instant
from ..rollup import Histogram, Tally
from ..store.rollups import Point, Sample
from .period import Timeline

#: How tasks end, in the order in which charts pile them up.
OUTCOMES = ("succeeded", "cancelled", "discarded", "failed")
PERCENTS = (50, 95, 99)
#: How many rows tables have, and how many queues have lines of their own.
MOST_FUNCTIONS, MOST_QUEUES, MOST_FAILURES, MOST_LINES = 50, 50, 20, 5
#: No run takes longer: what a damaged row says is cut off here.
LONGEST_SECONDS = 10 * 365 * 86_400.0

Key = TypeVar("Key")


@dataclass(slots=True)
class Failure:
    """An exception that has ended runs.

    Attributes:
        name: The path of its class.
        functions: How many runs of which function.
        last_at: The beginning of the last piece of time in which it did.
    """

    name: str
    functions: Counter[str] = field(default_factory=Counter)
    last_at: datetime | None = None

    @property
    def runs(self) -> int:
        """How many runs it has ended."""
        return self.functions.total()

    def add(self, function: str, runs: int, at: datetime) -> None:
        """Count more of them."""
        self.functions[function] += runs
        self.last_at = at if self.last_at is None else max(self.last_at, at)


@dataclass(slots=True)
class Figures:
    """Sums over a time.

    Attributes:
        whole: Over all of it.
        pieces: Over each piece of the timeline.
        functions: By the name of the function.
        queues: By queue; None is the unnamed one.
        failures: By the path of the exception's class.
    """

    whole: Tally
    pieces: list[Tally]
    functions: dict[str, Tally]
    queues: dict[str | None, Tally]
    failures: dict[str, Failure]

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all has happened."""
        return not self.whole.ended and not self.whole.retried and not self.whole.runs.total


def add_up(points: Iterable[Point], timeline: Timeline) -> Figures:
    """Return the sums over the points that are in the timeline."""
    pieces = [Tally() for _ in range(timeline.number)]
    by_both: dict[tuple[str, str | None], Tally] = {}
    failures: dict[str, Failure] = {}
    for point in points:
        place = timeline.place_of(instant(point.at))
        if place is None:
            continue
        pieces[place].merge(point.tally)
        by_both.setdefault((point.task_name, point.queue or None), Tally()).merge(point.tally)
        for name, runs in point.tally.errors.items():
            failures.setdefault(name, Failure(name)).add(point.task_name, runs, instant(point.at))
    functions = _grouped(by_both, lambda both: both[0])
    queues = _grouped(by_both, lambda both: both[1])
    whole = Tally()
    for tally in functions.values():
        whole.merge(tally)
    return Figures(whole, pieces, functions, queues, failures)


def _grouped(
    by_both: Mapping[tuple[str, str | None], Tally], key_of: Callable[[tuple[str, str | None]], Key]
) -> dict[Key, Tally]:
    found: dict[Key, Tally] = {}
    for both, tally in by_both.items():
        found.setdefault(key_of(both), Tally()).merge(tally)
    return found


def chosen(
    points: Iterable[Point], *, function: str | None, is_in_queue: Callable[[str | None], bool]
) -> list[Point]:
    """Return the points of a function, if one is chosen, and of the chosen queues."""
    return [
        point
        for point in points
        if (function is None or point.task_name == function) and is_in_queue(point.queue or None)
    ]


def percentile(times: Histogram, percent: float) -> float | None:
    """Return a percentile in seconds; None without times; finite whatever a row may say."""
    try:
        seconds = times.percentile(percent)
    except OverflowError:
        return LONGEST_SECONDS
    return None if seconds is None else min(seconds, LONGEST_SECONDS)


def percentiles(tallies: Iterable[Tally], which: str) -> dict[int, list[float | None]]:
    """Return for each of ``PERCENTS`` its line; ``which`` is ``"waits"`` or ``"runs"``."""
    histograms: list[Histogram] = [getattr(tally, which) for tally in tallies]
    return {
        percent: [percentile(histogram, percent) for histogram in histograms]
        for percent in PERCENTS
    }


@dataclass(frozen=True, slots=True)
class TallyRow:
    """A row of a table of functions or queues.

    Attributes:
        name: Of the function or the queue; None is the unnamed queue.
        ended: How many tasks have come to their end.
        failed: How many of them have failed.
        failed_share: Their part, from 0 to 1.
        retried: Runs after which there was to be another attempt.
        run_50: The median run, in seconds.
        run_95: The run time that 95 % do not exceed.
        wait_95: Likewise the time that tasks were due before they were claimed.
    """

    name: str | None
    ended: int
    failed: int
    failed_share: float
    retried: int
    run_50: float | None
    run_95: float | None
    wait_95: float | None

    @classmethod
    def of(cls, name: str | None, tally: Tally) -> TallyRow:
        """Return the row of a sum."""
        return cls(
            name=name,
            ended=tally.ended,
            failed=tally.failed,
            failed_share=tally.failed_share,
            retried=tally.retried,
            run_50=percentile(tally.runs, 50),
            run_95=percentile(tally.runs, 95),
            wait_95=percentile(tally.waits, 95),
        )


#: By what a table may be sorted, and how; what there is most of comes first, but for names.
ORDERS: dict[str, Callable[[TallyRow], float]] = {
    "ended": lambda row: row.ended,
    "failed": lambda row: row.failed_share,
    "retried": lambda row: row.retried,
    "run_50": lambda row: row.run_50 or 0.0,
    "run_95": lambda row: row.run_95 or 0.0,
    "wait_95": lambda row: row.wait_95 or 0.0,
}
DEFAULT_ORDER = "ended"


def ranked(tallies: Mapping[str, Tally], order: str) -> list[TallyRow]:
    """Return rows, those with most of what they are sorted by first."""
    rows = [TallyRow.of(name, tally) for name, tally in tallies.items()]
    if order == "name":
        return sorted(rows, key=lambda row: row.name or "")
    by = ORDERS.get(order, ORDERS[DEFAULT_ORDER])
    return sorted(rows, key=lambda row: (-by(row), -row.ended, row.name or ""))


def commonest(failures: Mapping[str, Failure]) -> list[Failure]:
    """Return the exceptions, the one that has ended most runs first."""
    return sorted(failures.values(), key=lambda failure: (-failure.runs, failure.name))


@dataclass(frozen=True, slots=True)
class Level:
    """How full something was, piece by piece.

    Attributes:
        name: The queue; None is the unnamed one.
        values: The most in each piece; None where nobody has looked.
    """

    name: str | None
    values: list[int | None]

    @property
    def highest(self) -> int:
        """The most of all."""
        return max((value for value in self.values if value is not None), default=0)


def levels(samples: Iterable[Sample], timeline: Timeline, *, of: str = "due") -> list[Level]:
    """Return how many tasks were due, or running, in each queue; the fullest queue first.

    Workers say nothing of a queue that is empty. So where they have looked at any queue, those of
    which nothing is said were empty.
    """
    looked: set[int] = set()
    found: dict[str | None, dict[int, int]] = {}
    for sample in samples:
        place = timeline.place_of(instant(sample.at))
        if place is None:
            continue
        looked.add(place)
        most = found.setdefault(sample.queue or None, {})
        most[place] = max(most.get(place, 0), getattr(sample, of))
    lines = [
        Level(name, [most.get(place, 0) if place in looked else None for place in _all(timeline)])
        for name, most in found.items()
    ]
    return sorted(lines, key=lambda line: (-line.highest, line.name or ""))


def _all(timeline: Timeline) -> range:
    return range(timeline.number)


def summed(lines: Iterable[Level]) -> list[int | None]:
    """Return the sum of lines, piece by piece; None where none has a value."""
    columns = zip(*(line.values for line in lines), strict=True)
    known = ([value for value in column if value is not None] for column in columns)
    return [sum(values) if values else None for values in known]
