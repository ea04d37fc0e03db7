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
from . import drawing, table, words
from .alert import Alert, alerts
from .chart import Chart
from .choice import Choice
from .figures import MOST_FUNCTIONS, Figures, add_up, chosen
from .link import Links
from .live import Crew, Held, NextTick, read_crews, read_held, read_ticks
from .period import PERIODS, Timeline
from .tile import Tile, tiles
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
    return Page(
        choice=choice,
        updated=words.moment(now, now=now),
        periods=_period_options(choice),
        queues=_queue_options(state, choice),
        functions=_options((point.task_name for point in state.points), choice.function),
        alerts=_alerts(state),
        is_blank=not (state.points or state.depths or state.crews or state.last_seen),
        tiles=tiles(figures.whole, full, state.crews, choice.period, now=now),
        charts=[
            drawing.throughput(figures, happened, choice.period),
            drawing.depth(state.samples, looked, choice),
            drawing.times(figures, happened, choice.period, "waits"),
            drawing.times(figures, happened, choice.period, "runs"),
        ],
        columns=table.columns(choice),
        function_lines=table.function_lines(figures.functions, choice, links),
        more_functions=max(0, len(figures.functions) - MOST_FUNCTIONS),
        queue_lines=_queue_lines(state, figures, choice, links),
        failure_lines=table.failure_lines(figures.failures, links, now=now),
        running_lines=table.running_lines(state.crews, state.held, choice, links, now=now),
        worker_lines=table.worker_lines(state.crews, links, now=now),
        tick_lines=table.tick_lines(state.ticks, now=now),
        paused_schedules=list(state.paused_schedules),
        schedules_url=links.schedules(),
        pause_lines=[
            (str(each), words.moment(instant(each.paused_at), now=now)) for each in state.paused
        ],
        pauses_url=links.pauses(),
    )


def _alerts(state: State) -> list[Alert]:
    return alerts(
        state.depths,
        state.crews,
        state.paused,
        last_seen=state.last_seen,
        lease=timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS),
        now=state.now,
    )


def _queue_lines(
    state: State, figures: Figures, choice: Choice, links: Links
) -> list[table.QueueLine]:
    return table.queue_lines(
        figures.queues,
        state.depths,
        state.crews,
        state.paused,
        choice=choice,
        links=links,
        now=state.now,
    )


def _period_options(choice: Choice) -> list[Option]:
    return [
        Option(each.name, each.label, each == choice.period, choice.query(period=each))
        for each in PERIODS
    ]


def _queue_options(state: State, choice: Choice) -> list[Option]:
    names = {point.queue or UNNAMED for point in state.points}
    names |= {depth.queue or UNNAMED for depth in state.depths}
    return _options(names, choice.queue)


def _options(names: Iterable[str], chosen_name: str) -> list[Option]:
    known = sorted(set(names))[:MOST_CHOICES]
    listed = known if not chosen_name or chosen_name in known else [chosen_name, *known]
    return [Option(name, name, name == chosen_name) for name in listed]
