"""What is in the queues at one moment, at a cost that does not grow with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models.functions import Right

from ..models import CompletedTask, Pause, Task, Worker
from ..progress_report import ProgressReport, read_report
from ..recurrence.zone import instant
from ..store import get_store
from ..store.again import RETRIED_TEXT
from ..store.depth import QueueDepth, depths
from ..store.pause import Pauses

#: How many rows are read of each kind, and how far tasks are counted.
MOST_WORKERS, MOST_RUNNING, MOST_FAILED, MOST_COUNTED = 200, 200, 50, 10_000
#: How much of an error is read: its end, where the exception stands.
ERROR_CHARS = 300


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Attributes:
        depth: What is in it.
        oldest_seconds: For how long the first of its due tasks has waited; None if none is due.
        is_paused: Whether no worker claims of it.
    """

    depth: QueueDepth
    oldest_seconds: float | None
    is_paused: bool

    @property
    def name(self) -> str | None:
        """Its name; None for the unnamed one."""
        return self.depth.queue


@dataclass(frozen=True, slots=True)
class Colleague:
    """A worker that has not said goodbye.

    Attributes:
        name: Its name.
        host: Where it runs.
        pid: Its process.
        queues: What it serves; empty is everything.
        slots: How many tasks it can run at once.
        running: How many it has claimed, of those that were read.
        memory_bytes: The memory of its process at its last heartbeat; None if nobody can tell.
        age_seconds: How long ago it was started.
        silent_seconds: How long ago its last heartbeat was.
        is_alive: Whether its lease is not over.
    """

    name: str
    host: str
    pid: int
    queues: str
    slots: int
    running: int
    memory_bytes: int | None
    age_seconds: float
    silent_seconds: float
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A task that somebody has claimed.

    Attributes:
        uid: Its id; None for a row of 1.x.
        label: What people call it.
        queue: Its queue.
        worker: Who has claimed it.
        seconds: How long ago; None if nobody knows.
        progress: How far it has come, as it says itself.
        is_cancelled: Whether it has been asked to end.
    """

    uid: UUID | None
    label: str
    queue: str | None
    worker: str
    seconds: float | None
    progress: ProgressReport | None
    is_cancelled: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A task that has failed for good.

    Attributes:
        uid: Its id; None for a row of 1.x.
        label: What people call it.
        queue: Its queue.
        seconds: How long ago it failed.
        error: The last line of its last error.
        is_retried: Whether it has been tried anew.
    """

    uid: UUID | None
    label: str
    queue: str | None
    seconds: float
    error: str
    is_retried: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of that.

    Attributes:
        at: The moment, by the database's clock.
        database: What the database is called.
        queues: The queues that have anything, or are paused.
        workers: The workers.
        running: The tasks that were claimed, the oldest claim first.
        failed: The tasks that failed last, the latest first.
        paused_functions: The functions of which nobody claims anything.
    """

    at: datetime
    database: str
    queues: tuple[Queue, ...] = ()
    workers: tuple[Colleague, ...] = ()
    running: tuple[Run, ...] = ()
    failed: tuple[Failure, ...] = ()
    paused_functions: tuple[str, ...] = ()

    @property
    def alive(self) -> int:
        """How many workers are alive."""
        return sum(worker.is_alive for worker in self.workers)


def look(using: str | None = None) -> Snapshot:
    """Read it.

    Args:
        using: The alias of the database; None lets the project's routers decide.
    """
    using = get_store(using).using
    return _Reading(using).snapshot()


class _Reading:
    """Reads it once.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._now = get_store(using).now()

    def snapshot(self) -> Snapshot:
        on_hold = Pauses(self._using).all()
        running = self._running()
        connection = connections[self._using]
        name = Path(str(connection.settings_dict["NAME"])).name  # of SQLite it is a path
        return Snapshot(
            at=self._now,
            database=f"{name} ({connection.vendor})",
            queues=self._queues({each.name for each in on_hold if each.kind == Pause.QUEUE}),
            workers=self._workers(Counter(run.worker for run in running)),
            running=running,
            failed=self._failed(),
            paused_functions=tuple(
                each.name or "" for each in on_hold if each.kind == Pause.FUNCTION
            ),
        )

    def _queues(self, on_hold: set[str | None]) -> tuple[Queue, ...]:
        found = depths(self._using, self._now, MOST_COUNTED)
        known = {depth.queue for depth in found}
        empty = [QueueDepth(name) for name in sorted(on_hold - known, key=str)]
        return tuple(
            Queue(depth, self._seconds_since(depth.oldest_due_at), depth.queue in on_hold)
            for depth in [*found, *empty]
        )

    def _workers(self, load: Counter[str]) -> tuple[Colleague, ...]:
        rows = Worker.objects.using(self._using).filter(stopped_at__isnull=True)
        return tuple(
            Colleague(
                name=row.name,
                host=row.host,
                pid=row.pid,
                queues=row.queues,
                slots=row.capacity,
                running=load[row.name],
                memory_bytes=row.memory_bytes,
                age_seconds=self._seconds_since(row.started_at) or 0.0,
                silent_seconds=self._seconds_since(row.heartbeat_at) or 0.0,
                is_alive=row.expires_at >= self._now,
            )
            for row in rows.order_by("name")[:MOST_WORKERS]
        )

    def _running(self) -> tuple[Run, ...]:
        rows = Task.objects.using(self._using).filter(locked_by__isnull=False)
        columns = ("uid", "task_name", "verbose_name", "queue", "locked_by", "locked_at")
        chosen = rows.order_by("locked_by").values_list(
            *columns, "progress_json", "cancel_requested_at"
        )[:MOST_RUNNING]
        runs = [
            Run(
                uid=uid,
                label=verbose_name or name,
                queue=queue or None,
                worker=str(owner),
                seconds=self._seconds_since(since),
                progress=read_report(progress),
                is_cancelled=cancelled_at is not None,
            )
            for uid, name, verbose_name, queue, owner, since, progress, cancelled_at in chosen
        ]
        return tuple(sorted(runs, key=lambda run: -(run.seconds or 0.0)))

    def _failed(self) -> tuple[Failure, ...]:
        rows = CompletedTask.objects.using(self._using).filter(failed_at__isnull=False)
        columns = ("uid", "task_name", "verbose_name", "queue", "failed_at", "options")
        chosen: Any = (
            rows.order_by("-failed_at")
            .annotate(error_end=Right("last_error", ERROR_CHARS))
            .values_list(*columns, "error_end")[:MOST_FAILED]
        )
        return tuple(
            Failure(
                uid=uid,
                label=verbose_name or name,
                queue=queue or None,
                seconds=self._seconds_since(failed_at) or 0.0,
                error=next(reversed((error or "").strip().splitlines()), ""),
                is_retried=RETRIED_TEXT in (options or ""),
            )
            for uid, name, verbose_name, queue, failed_at, options, error in chosen
        )

    def _seconds_since(self, moment: datetime | None) -> float | None:
        if moment is None:
            return None
        return max(0.0, (instant(self._now) - instant(moment)).total_seconds())
