"""All that the page shows: read from the database, and put together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..models.worker import UNNAMED
from ..recurrence.zone import instant
from ..settings import app_settings
from ..store import Fleet, get_store
from ..store.depth import QueueDepth, depths
from ..store.pause import Paused, Pauses
from ..store.rollups import Point, Rollups, Sample
from ..store.schedule import stored_moment
from . import chart, table, words
from .alert import Alert, alerts
from .chart import Chart, Series
from .choice import Choice
from .figures import (
    MOST_LINES,
    OUTCOMES,
    PERCENTS,
    Figures,
    Level,
    add_up,
    chosen,
    levels,
    percentile,
    percentiles,
    summed,
)
from .link import Links
from .live import Crew, Held, NextTick, read_crews, read_held, read_ticks
from .period import PERIODS, Timeline
from .words import Moment

#: How many names a list of choices has.
MOST_CHOICES = 300


@dataclass(frozen=True, slots=True)
class State:
    """What was read from the database. The times of ``now`` and what is live are in UTC."""

    now: datetime
    points: Sequence[Point]
    samples: Sequence[Sample]
    depths: Sequence[QueueDepth]
    held: Sequence[Held]
    crews: Sequence[Crew]
    ticks: Sequence[NextTick]
    paused_schedules: Sequence[str]
    paused: Sequence[Paused]
    last_seen: datetime | None


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that is seen first.

    Attributes:
        title: What it is.
        value: The number.
        note: What else is to be said of it.
        level: ``"error"`` or ``"warning"`` if it stands out.
        percent: How far a bar below it is filled; None for none.
    """

    title: str
    value: str
    note: str = ""
    level: str = ""
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """Something that can be chosen."""

    value: str
    label: str
    is_chosen: bool
    url: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """The page, complete but for HTML."""

    choice: Choice
    updated: Moment
    periods: list[Option]
    queues: list[Option]
    functions: list[Option]
    alerts: list[Alert]
    is_blank: bool
    tiles: list[Tile]
    charts: list[Chart]
    columns: list[table.Column]
    function_lines: list[table.FunctionLine]
    more_functions: int
    queue_lines: list[table.QueueLine]
    failure_lines: list[table.FailureLine]
    running_lines: list[table.RunningLine]
    running: int
    worker_lines: list[table.WorkerLine]
    tick_lines: list[table.TickLine]
    paused_schedules: list[str]
    schedules_url: str | None
    pause_lines: list[tuple[str, Moment]]
    pauses_url: str | None


def timelines(choice: Choice, now: datetime) -> tuple[Timeline, Timeline]:
    """Return the pieces of time for what has happened, and for what was looked at."""
    span = choice.period.span
    return (
        Timeline.until(now, span=span, step=choice.period.step),
        Timeline.until(now, span=span, step=choice.period.look),
    )


def read(using: str, choice: Choice) -> State:
    """Read what the page shows, at a cost that no number of tasks changes."""
    stored_now = get_store(using).now()
    now = instant(stored_now)
    happened, looked = timelines(choice, now)
    rollups, fleet = Rollups(using), Fleet(using)
    held = read_held(using)
    crews = read_crews(using, held, now=now)
    ticks, paused_schedules = read_ticks(using)
    is_anyone_alive = any(crew.is_alive for crew in crews)
    last_seen = None if is_anyone_alive else fleet.last_seen()
    return State(
        now=now,
        points=rollups.read(stored_moment(happened.start)),
        samples=rollups.samples(stored_moment(looked.start)),
        depths=depths(using, stored_now),
        held=held,
        crews=crews,
        ticks=ticks,
        paused_schedules=paused_schedules,
        paused=Pauses(using).all(),
        last_seen=None if last_seen is None else instant(last_seen),
    )


def assemble(state: State, choice: Choice, links: Links) -> Page:
    """Return the page of what was read."""
    now = state.now
    happened, looked = timelines(choice, now)
    function = choice.function or None
    points = chosen(state.points, function=function, is_in_queue=choice.has_queue)
    figures = add_up(points, happened)
    full = [depth for depth in state.depths if choice.has_queue(depth.queue)]
    running = table.running_lines(state.crews, state.held, choice, links, now=now)
    lease = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    return Page(
        choice=choice,
        updated=words.moment(now, now=now),
        periods=[
            Option(each.name, each.label, each == choice.period, choice.query(period=each))
            for each in PERIODS
        ],
        queues=_queue_options(state, choice),
        functions=_options((point.task_name for point in state.points), choice.function),
        alerts=alerts(
            state.depths,
            state.crews,
            state.paused,
            last_seen=state.last_seen,
            lease=lease,
            now=now,
        ),
        is_blank=not (state.points or state.depths or state.crews or state.last_seen),
        tiles=_tiles(figures, full, state.crews, choice, now=now),
        charts=[
            _throughput(figures, happened, choice),
            _depth_chart(state, looked, choice),
            _times(figures, happened, choice, "waits"),
            _times(figures, happened, choice, "runs"),
        ],
        columns=table.columns(choice),
        function_lines=table.function_lines(figures.functions, choice, links),
        more_functions=max(0, len(figures.functions) - table.MOST_FUNCTIONS),
        queue_lines=table.queue_lines(
            figures.queues,
            state.depths,
            state.crews,
            state.paused,
            choice=choice,
            links=links,
            now=now,
        ),
        failure_lines=table.failure_lines(figures.failures, links, now=now),
        running_lines=running,
        running=sum(depth.running for depth in full),
        worker_lines=table.worker_lines(state.crews, links, now=now),
        tick_lines=table.tick_lines(state.ticks, now=now),
        paused_schedules=list(state.paused_schedules),
        schedules_url=links.schedules(),
        pause_lines=[
            (str(each), words.moment(instant(each.paused_at), now=now)) for each in state.paused
        ],
        pauses_url=links.pauses(),
    )


def _queue_options(state: State, choice: Choice) -> list[Option]:
    names = {point.queue or UNNAMED for point in state.points}
    names |= {depth.queue or UNNAMED for depth in state.depths}
    return _options(names, choice.queue)


def _options(names: Iterable[str], chosen_name: str) -> list[Option]:
    known = sorted(set(names))[:MOST_CHOICES]
    listed = known if not chosen_name or chosen_name in known else [chosen_name, *known]
    return [Option(name, name, name == chosen_name) for name in listed]


def _tiles(
    figures: Figures,
    full: Sequence[QueueDepth],
    crews: Sequence[Crew],
    choice: Choice,
    *,
    now: datetime,
) -> list[Tile]:
    whole = figures.whole
    alive = [crew for crew in crews if crew.is_alive]
    used, slots = (
        sum(len(crew.running) for crew in alive),
        sum(crew.worker.capacity for crew in alive),
    )
    due, later = sum(depth.due for depth in full), sum(depth.later for depth in full)
    is_more = any(depth.is_more for depth in full)
    waits = [wait for depth in full if (wait := depth.oldest_seconds(now)) is not None]
    oldest = f"oldest waits {words.duration(max(waits))}" if waits else "none waits"
    wait = words.duration(percentile(whole.waits, 50))
    run = words.duration(percentile(whole.runs, 50))
    failed = words.count(whole.failed)
    return [
        Tile("Due now", words.count(due, is_more=is_more), oldest),
        Tile("Later", words.count(later, is_more=is_more), "their time is to come"),
        Tile(
            "Slots in use",
            f"{words.count(used)} of {words.count(slots)}",
            f"{len(alive)} {'worker' if len(alive) == 1 else 'workers'} alive",
            level="" if alive else "warning",
            percent=round(100 * used / slots) if slots else None,
        ),
        Tile(
            "Ended",
            words.count(whole.ended),
            words.rate(whole.ended, choice.period.span.total_seconds()),
        ),
        Tile(
            "Failed",
            words.share(whole.failed_share),
            f"{failed} failed, {words.count(whole.retried)} retried",
            level="error" if whole.failed_share >= table.MANY_FAILED else "",
        ),
        Tile("Wait p95", words.duration(percentile(whole.waits, 95)), f"median {wait}"),
        Tile("Run p95", words.duration(percentile(whole.runs, 95)), f"median {run}"),
    ]


def _throughput(figures: Figures, timeline: Timeline, choice: Choice) -> Chart:
    series = [
        Series(
            outcome,
            outcome,
            [getattr(piece, outcome) for piece in figures.pieces],
            words.count(getattr(figures.whole, outcome)),
        )
        for outcome in OUTCOMES
    ]
    empty = f"No task has ended in {choice.period.words}."
    per = words.duration(choice.period.step.total_seconds())
    title = f"Tasks ended, by {per.removeprefix('1 ').replace('min', 'minute')}"
    return chart.bars("throughput", title, series, timeline, choice.period, empty)


def _times(figures: Figures, timeline: Timeline, choice: Choice, which: str) -> Chart:
    found, whole = percentiles(figures.pieces, which), getattr(figures.whole, which)
    series = [
        Series(f"p{each}", f"p{each}", found[each], words.duration(percentile(whole, each)))
        for each in PERCENTS
    ]
    title = "Wait: from due to claimed" if which == "waits" else "Run time"
    empty = f"Nothing was {'claimed' if which == 'waits' else 'run'} in {choice.period.words}."
    return chart.lines(which, title, series, timeline, choice.period, empty, are_durations=True)


def _depth_chart(state: State, timeline: Timeline, choice: Choice) -> Chart:
    samples = [sample for sample in state.samples if choice.has_queue(sample.queue or None)]
    found = [line for line in levels(samples, timeline) if line.highest]
    shown, rest = found[:MOST_LINES], found[MOST_LINES:]
    series = [
        Series(line.name or UNNAMED, f"line-{number}", line.values, _last(line.values))
        for number, line in enumerate(shown, 1)
    ]
    if rest:
        values = summed(rest)
        series.append(Series(f"{len(rest)} more", "line-rest", values, _last(values)))
    if not series and samples:  # somebody has looked, and there was nothing
        zero = Level(None, levels(samples, timeline)[0].values)
        series = [Series("all queues", "line-1", zero.values, "0")]
    empty = "No worker has looked at the queues in this time; one does so once a minute."
    title = "Due tasks, by queue"
    return chart.lines("depth", title, series, timeline, choice.period, empty, are_durations=False)


def _last(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return words.count(known[-1]) if known else words.NOTHING
