"""A snapshot in words: four tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from ..progress_report import ProgressReport
from ..recurrence.zone import instant, zone_called, zone_name
from ..store.depth import QueueDepth
from .snapshot import MOST_COUNTED, Colleague, Failure, Queue, Run, Snapshot

UNNAMED = "(unnamed)"
MIB = 1024 * 1024
TIME = "%Y-%m-%d %H:%M:%S %Z"
#: Units of time, and how many seconds each has.
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
#: A name or an error may have any length.
MOST_CHARS = 120


@dataclass(frozen=True, slots=True)
class Table:
    """One of the tables.

    Attributes:
        name: What it is called.
        head: Its columns.
        rows: Its lines of a snapshot.
        cells: The text of a line.
        key: What a line is told apart by.
        queue: The queue that a line is about.
        numbers: The columns that are numbers.
        is_of_queue: Whether its lines belong to queues.
    """

    name: str
    head: tuple[str, ...]
    rows: Callable[[Snapshot], Sequence[Any]]
    cells: Callable[[Any], tuple[str, ...]]
    key: Callable[[Any], str]
    numbers: Collection[str] = ()
    is_of_queue: bool = True


def clean(text: str) -> str:
    """Return a text in one line that does nothing to a terminal but show it."""
    shown = "".join(char if char.isprintable() else "?" for char in text[: MOST_CHARS + 1])
    return shown if len(shown) <= MOST_CHARS else f"{shown[: MOST_CHARS - 3]}..."


def span(seconds: float | None) -> str:
    """Return a length of time, as exact as people want it."""
    if seconds is None:
        return ""
    whole = int(seconds)
    for place, (unit, size) in enumerate(UNITS):
        if whole >= size and unit != "s":
            smaller, smaller_size = UNITS[place + 1]
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{whole} s"


def queue_name(name: str | None) -> str:
    """Return what a queue is called."""
    return UNNAMED if name is None else clean(name)


def how_far(progress: ProgressReport | None) -> str:
    """Return how far a task has come."""
    if progress is None:
        return ""
    part = progress.fraction
    done = f"{progress.done:g}" if part is None else f"{part:.0%}"
    return clean(f"{done} {progress.message}".strip())


def _count(number: int, depth: QueueDepth) -> str:
    is_beyond = depth.is_more and number >= MOST_COUNTED
    return f"{number}+" if is_beyond else str(number)


def _queue(queue: Queue) -> tuple[str, ...]:
    depth = queue.depth
    return (
        queue_name(queue.name),
        "paused" if queue.is_paused else "",
        _count(depth.due, depth),
        _count(depth.later, depth),
        _count(depth.running, depth),
        span(queue.oldest_seconds),
    )


def _worker(worker: Colleague) -> tuple[str, ...]:
    memory = worker.memory_bytes
    return (
        clean(worker.name),
        "alive" if worker.is_alive else f"silent for {span(worker.silent_seconds)}",
        clean(worker.host),
        str(worker.pid),
        f"{worker.running}/{worker.slots}",
        "" if memory is None else f"{memory / MIB:.0f} MiB",
        span(worker.age_seconds),
        clean(worker.queues) or "all",
    )


def _run(run: Run) -> tuple[str, ...]:
    return (
        clean(run.label),
        queue_name(run.queue),
        span(run.seconds),
        "to be cancelled" if run.is_cancelled else how_far(run.progress),
        clean(run.worker),
    )


def _failure(failure: Failure) -> tuple[str, ...]:
    return (
        clean(failure.label),
        queue_name(failure.queue),
        f"{span(failure.seconds)} ago",
        "tried anew" if failure.is_retried else "",
        clean(failure.error),
    )


QUEUES = Table(
    "Queues",
    ("queue", "state", "due", "later", "running", "oldest due"),
    rows=lambda snapshot: snapshot.queues,
    cells=_queue,
    key=lambda queue: repr(queue.name),
    numbers=("due", "later", "running"),
    is_of_queue=False,
)
WORKERS = Table(
    "Workers",
    ("worker", "state", "host", "process", "slots", "memory", "age", "queues"),
    rows=lambda snapshot: snapshot.workers,
    cells=_worker,
    key=lambda worker: worker.name,
    numbers=("process", "slots", "memory"),
    is_of_queue=False,
)
RUNNING = Table(
    "Running tasks",
    ("task", "queue", "since", "progress", "worker"),
    rows=lambda snapshot: snapshot.running,
    cells=_run,
    key=lambda run: str(run.uid),
)
FAILED = Table(
    "Failed lately",
    ("task", "queue", "failed", "state", "error"),
    rows=lambda snapshot: snapshot.failed,
    cells=_failure,
    key=lambda failure: str(failure.uid),
)
TABLES = (QUEUES, WORKERS, RUNNING, FAILED)


def headline(snapshot: Snapshot) -> str:
    """Return what is to be known first."""
    alive, at = snapshot.alive, instant(snapshot.at).astimezone(zone_called(zone_name()))
    workers = "no worker is alive" if not alive else f"{alive} worker{'s'[: alive > 1]} alive"
    due = sum(queue.depth.due for queue in snapshot.queues)
    parts = [clean(snapshot.database), f"{at:{TIME}}", workers, f"{due} due"]
    if snapshot.paused_functions:
        parts.append(f"paused functions: {clean(', '.join(snapshot.paused_functions))}")
    return " | ".join(parts)
