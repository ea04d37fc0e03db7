"""The tables of the page, as texts and links."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..models.worker import UNNAMED
from ..rollup import Tally
from ..store.depth import QueueDepth
from ..store.pause import Paused
from . import words
from .choice import Choice
from .figures import (
    MOST_FAILURES,
    MOST_FUNCTIONS,
    MOST_QUEUES,
    Failure,
    TallyRow,
    commonest,
    ranked,
)
from .link import Links
from .live import Crew, Held, NextTick
from .words import Moment

#: From which part of failed tasks on a row stands out.
MANY_FAILED = 0.05
#: How many tasks a worker's row lists, and the list of running tasks.
MOST_OF_WORKER, MOST_RUNNING = 5, 50
MOST_NAMES = 3


@dataclass(frozen=True, slots=True)
class Name:
    """A dotted name, of which the last part is what people look for.

    Attributes:
        prefix: All before it, with the dot.
        base: The last part.
        url: Where it leads to.
    """

    prefix: str
    base: str
    url: str | None = None

    @classmethod
    def of(cls, path: str, url: str | None = None) -> Name:
        """Return a name in two parts."""
        prefix, dot, base = path.rpartition(".")
        return cls(prefix + dot, base, url)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers by which the table can be sorted."""

    title: str
    hint: str
    url: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class FunctionLine:
    """A function, and what has become of its tasks."""

    name: Name
    ended: str
    failed_share: str
    failed_url: str | None
    is_bad: bool
    retried: str
    run_50: str
    run_95: str
    wait_95: str


COLUMNS = (
    ("name", "Function", ""),
    ("ended", "Ended", "tasks that have come to their end"),
    ("failed", "Failed", "the part of them that failed for good"),
    ("retried", "Retried", "runs after which there was to be another attempt"),
    ("run_50", "Run p50", "half of the runs took no longer"),
    ("run_95", "Run p95", "95% of the runs took no longer"),
    ("wait_95", "Wait p95", "95% of the tasks waited no longer for a worker once they were due"),
)


def columns(choice: Choice) -> list[Column]:
    """Return the titles of the table of functions."""
    return [
        Column(title, hint, choice.query(order=order), order == choice.order)
        for order, title, hint in COLUMNS
    ]


def function_lines(
    functions: Mapping[str, Tally], choice: Choice, links: Links
) -> list[FunctionLine]:
    """Return the rows of the table of functions."""
    lines = []
    for row in ranked(functions, choice.order)[:MOST_FUNCTIONS]:
        name = row.name or ""
        lines.append(
            FunctionLine(
                name=Name.of(name, choice.query(function=name)),
                ended=words.count(row.ended),
                failed_share=words.share(row.failed_share),
                failed_url=links.failed(name) if row.failed else None,
                is_bad=row.failed_share >= MANY_FAILED,
                retried=words.count(row.retried),
                run_50=words.duration(row.run_50),
                run_95=words.duration(row.run_95),
                wait_95=words.duration(row.wait_95),
            )
        )
    return lines


@dataclass(frozen=True, slots=True)
class QueueLine:
    """A queue: what is in it now, and what has become of its tasks."""

    name: str
    url: str
    list_url: str | None
    due: str
    later: str
    running: str
    oldest: str
    workers: int
    is_paused: bool
    is_left: bool
    ended: str
    failed_share: str
    is_bad: bool
    run_95: str
    wait_95: str


def queue_lines(
    queues: Mapping[str | None, Tally],
    depths: Iterable[QueueDepth],
    crews: Sequence[Crew],
    paused: Sequence[Paused],
    *,
    choice: Choice,
    links: Links,
    now: datetime,
) -> list[QueueLine]:
    """Return the rows of the table of queues, the fullest first."""
    known = {depth.queue: depth for depth in depths if choice.has_queue(depth.queue)}
    on_hold = {each.name for each in paused if each.kind == "queue"}
    names = {*known, *(name for name in queues if choice.has_queue(name))}
    full = {name: known.get(name, QueueDepth(name)) for name in names}
    tallies = {name: queues.get(name, Tally()) for name in names}

    def rank(name: str | None) -> tuple[int, int, str]:
        return (-full[name].due - full[name].running, -tallies[name].ended, name or "")

    lines = []
    for name in sorted(names, key=rank)[:MOST_QUEUES]:
        depth, row = full[name], TallyRow.of(name, tallies[name])
        workers = sum(crew.is_alive and crew.worker.serves(name) for crew in crews)
        is_paused = name in on_hold
        lines.append(
            QueueLine(
                name=name or UNNAMED,
                url=choice.query(queue=name or UNNAMED),
                list_url=links.waiting(name),
                due=words.count(depth.due, is_more=depth.is_more and depth.due > 0),
                later=words.count(depth.later, is_more=depth.is_more and depth.later > 0),
                running=words.count(depth.running),
                oldest=words.duration(depth.oldest_seconds(now)),
                workers=workers,
                is_paused=is_paused,
                is_left=depth.due > 0 and not workers and not is_paused,
                ended=words.count(row.ended),
                failed_share=words.share(row.failed_share),
                is_bad=row.failed_share >= MANY_FAILED,
                run_95=words.duration(row.run_95),
                wait_95=words.duration(row.wait_95),
            )
        )
    return lines


@dataclass(frozen=True, slots=True)
class FailureLine:
    """An exception, and the functions that it has ended runs of."""

    name: Name
    runs: str
    functions: list[Name]
    more: int
    last: Moment | None


def failure_lines(
    failures: Mapping[str, Failure], links: Links, *, now: datetime
) -> list[FailureLine]:
    """Return the rows of the table of exceptions."""
    lines = []
    for failure in commonest(failures)[:MOST_FAILURES]:
        shown = failure.functions.most_common(MOST_NAMES)
        lines.append(
            FailureLine(
                name=Name.of(failure.name),
                runs=words.count(failure.runs),
                functions=[Name.of(name, links.failed(name)) for name, _ in shown],
                more=len(failure.functions) - len(shown),
                last=None if failure.last_at is None else words.moment(failure.last_at, now=now),
            )
        )
    return lines


@dataclass(frozen=True, slots=True)
class RunningLine:
    """A task that runs."""

    pk: int
    name: Name
    title: str
    queue: str
    worker: str
    since: Moment | None
    seconds: str
    attempt: int
    percent: int | None
    progress: str
    is_cancelling: bool


def running_lines(
    crews: Iterable[Crew], held: Iterable[Held], choice: Choice, links: Links, *, now: datetime
) -> list[RunningLine]:
    """Return the tasks that run, the longest running first.

    What workers have in hand does not run yet; what nobody alive holds is not left out.
    """
    by_crew = {crew.worker.name: {task.pk for task in crew.running} for crew in crews}
    tasks = [
        task
        for task in held
        if task.pk in by_crew.get(task.worker, {task.pk})
        and choice.has_queue(task.queue)
        and choice.has_function(task.task_name)
    ]
    tasks.sort(key=lambda task: (task.since or now, task.pk))
    return [_running_line(task, links, now) for task in tasks[:MOST_RUNNING]]


def _running_line(task: Held, links: Links, now: datetime) -> RunningLine:
    fraction = None if task.progress is None else task.progress.fraction
    seconds = None if task.since is None else round((now - task.since).total_seconds())
    return RunningLine(
        pk=task.pk,
        name=Name.of(task.task_name, links.task(task.pk)),
        title=task.name if task.name != task.task_name else "",
        queue=task.queue or UNNAMED,
        worker=task.worker,
        since=None if task.since is None else words.moment(task.since, now=now),
        seconds=words.duration(seconds),
        attempt=task.attempts + 1,
        percent=None if fraction is None else round(fraction * 100),
        progress="" if task.progress is None else str(task.progress),
        is_cancelling=task.is_cancelling,
    )


@dataclass(frozen=True, slots=True)
class WorkerLine:
    """A worker."""

    pk: int
    name: str
    url: str | None
    state: str
    host: str
    pid: int
    queues: str
    used: int
    capacity: int
    in_hand: int
    memory: str
    processed: str
    age: str
    heard: str
    tasks: list[RunningLine]
    more: int


def worker_lines(crews: Iterable[Crew], links: Links, *, now: datetime) -> list[WorkerLine]:
    """Return the rows of the table of workers."""
    lines = []
    for crew in crews:
        row, shown = crew.worker, crew.running[:MOST_OF_WORKER]
        processed = row.processed
        lines.append(
            WorkerLine(
                pk=row.pk,
                name=row.name,
                url=links.worker(row.pk),
                state=crew.state,
                host=row.host,
                pid=row.pid,
                queues=row.queues or "all",
                used=len(crew.running),
                capacity=row.capacity,
                in_hand=crew.in_hand,
                memory=words.memory(row.memory_bytes),
                processed=words.NOTHING if processed is None else words.count(processed),
                age=words.duration(round((now - crew.started_at).total_seconds())),
                heard=words.duration(round((now - crew.heard_at).total_seconds())),
                tasks=[_running_line(task, links, now) for task in shown],
                more=len(crew.running) - len(shown),
            )
        )
    return lines


@dataclass(frozen=True, slots=True)
class TickLine:
    """When a periodic task runs next."""

    name: str
    function: Name
    rule: str
    at: Moment
    wait: str


def tick_lines(ticks: Iterable[NextTick], *, now: datetime) -> list[TickLine]:
    """Return the rows of the table of periodic tasks."""
    lines = []
    for tick in ticks:
        seconds = round((tick.at - now).total_seconds())
        wait = f"in {words.duration(seconds)}" if seconds > 0 else "now"
        at = words.moment(tick.at, now=now)
        lines.append(TickLine(tick.name, Name.of(tick.task_name), tick.rule, at, wait))
    return lines
