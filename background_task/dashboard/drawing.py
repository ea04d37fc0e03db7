"""Which charts the page has."""

from __future__ import annotations

from collections.abc import Sequence

from ..models.worker import UNNAMED
from ..store.rollups import Sample
from . import chart, words
from .chart import Chart, Series
from .choice import Choice
from .figures import (
    MOST_LINES,
    OUTCOMES,
    PERCENTS,
    Figures,
    levels,
    percentile,
    percentiles,
    summed,
)
from .period import Period, Timeline


def throughput(figures: Figures, timeline: Timeline, period: Period) -> Chart:
    """Return how many tasks ended in which way."""
    series = [
        Series(
            outcome,
            outcome,
            [getattr(piece, outcome) for piece in figures.pieces],
            words.count(getattr(figures.whole, outcome)),
        )
        for outcome in OUTCOMES
    ]
    empty = f"No task has ended in {period.words}."
    title = f"Tasks ended {period.per}"
    return chart.bars("throughput", title, series, timeline, period, empty)


def times(figures: Figures, timeline: Timeline, period: Period, which: str) -> Chart:
    """Return the percentiles of ``"waits"`` or ``"runs"``."""
    found, whole = percentiles(figures.pieces, which), getattr(figures.whole, which)
    series = [
        Series(f"p{each}", f"p{each}", found[each], words.duration(percentile(whole, each)))
        for each in PERCENTS
    ]
    title = "Wait: from due to claimed" if which == "waits" else "Run time"
    empty = f"Nothing was {'claimed' if which == 'waits' else 'run'} in {period.words}."
    return chart.lines(which, title, series, timeline, period, empty, are_durations=True)


def depth(samples: Sequence[Sample], timeline: Timeline, choice: Choice) -> Chart:
    """Return how many tasks were due, for each of the fullest queues and for the rest."""
    known = levels(samples, timeline)
    found = [line for line in known if line.highest and choice.has_queue(line.name)]
    shown, rest = found[:MOST_LINES], found[MOST_LINES:]
    series = [
        Series(line.name or UNNAMED, f"line-{number}", line.values, _last(line.values))
        for number, line in enumerate(shown, 1)
    ]
    if rest:
        values = summed(rest)
        series.append(Series(f"{len(rest)} more", "line-rest", values, _last(values)))
    if known and not found:  # somebody has looked, and there was nothing
        values = [None if value is None else 0 for value in known[0].values]
        series = [Series(choice.queue or "all queues", "line-1", values, "0 now")]
    empty = "No worker has looked at the queues in this time; one does so once a minute."
    title = "Due tasks, by queue"
    return chart.lines("depth", title, series, timeline, choice.period, empty, are_durations=False)


def _last(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{words.count(known[-1])} now" if known else words.NOTHING
