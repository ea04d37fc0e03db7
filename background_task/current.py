"""What a task function may ask about its own run."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import models
from django.utils import timezone

from . import telemetry
from .attempt import Claim
from .models import Task
from .progress_report import ProgressReport, make_report
from .store import Store

#: Between two writes of a run's progress.
PROGRESS_SECONDS = 0.5


class Reporter:
    """Writes how far a run has come: not too often, and only while its claim holds.

    Inside a transaction that the function has opened nothing is written: nobody could see it
    before the commit, and the row would be locked until then. What was not written goes with the
    next report, or at the end of the run.

    Args:
        claim: The run.
        store: The store of the row.
        depth: How deep in transactions the function's thread is before it begins.
        thread: The function's thread; None is this one.
        clock: Counts seconds.
    """

    __slots__ = (
        "_claim", "_clock", "_depth", "_has_told", "_is_lost", "_pending", "_store", "_thread",
        "_was_complete", "_written_at",
    )  # fmt: skip

    def __init__(
        self,
        claim: Claim,
        store: Store,
        *,
        depth: int = 0,
        thread: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._claim, self._store, self._clock = claim, store, clock
        self._depth, self._thread = depth, threading.get_ident() if thread is None else thread
        self._pending: ProgressReport | None = None
        self._written_at: float | None = None
        self._was_complete = self._is_lost = self._has_told = False

    def note(self, done: Any, total: Any, message: Any) -> bool:
        """Take a report; return whether it is time to write it."""
        report = make_report(done, total, message, now=timezone.now())
        self._pending = None if self._is_lost else report
        if self._pending is None:
            return False
        if self._written_at is None or (report.is_complete and not self._was_complete):
            return True
        return self._clock() - self._written_at >= PROGRESS_SECONDS

    @property
    def is_pending(self) -> bool:
        """Whether a report has not been written."""
        return self._pending is not None

    def write(self) -> None:
        """Write the last report, if this thread can now; whatever the database does about it."""
        report = self._pending
        if report is None or not self._may_write():
            return
        self._pending, self._written_at = None, self._clock()
        try:
            self._is_lost = not self._store.report(self._claim, report.to_text())
            self._was_complete = report.is_complete
        except Exception as error:  # noqa: BLE001 - no task is to fail for its progress bar
            if not self._has_told:
                self._has_told = True
                telemetry.event("unreported", claim=self._claim, exception=error)

    def _may_write(self) -> bool:
        if has_event_loop():
            return False
        depth = self._depth if threading.get_ident() == self._thread else 0
        return self._store.depth() <= depth


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The run that is going on.

    Attributes:
        claim: The row, and the proof of its ownership.
        deadline: When its time limit ends it; None if nothing does.
        using: The alias of the database with the row.
    """

    claim: Claim
    deadline: datetime | None
    using: str
    _is_stopping: Callable[[], bool]
    _reporter: Reporter

    @property
    def id(self) -> UUID:
        """What the task is called for its whole life, in the archive, too: ``Task.uid``."""
        return self.claim.uid

    @property
    def name(self) -> str:
        """The name under which the function is registered."""
        return self.claim.task_name

    @property
    def queue(self) -> str | None:
        """The queue it came from; None is the unnamed one."""
        return self.claim.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self.claim.attempt

    @property
    def creator(self) -> models.Model | None:
        """The instance that was given as ``creator``; read from the database, two queries."""
        row = Task.objects.using(self.using).filter(pk=self.claim.task_id).first()
        return None if row is None else row.creator

    def is_stopping(self) -> bool:
        """Tell whether a long task should leave off: the worker stops, or it was cancelled."""
        return self._is_stopping()

    def progress(self, done: float, total: float | None = None, message: object = "") -> None:
        """Say how far the task has come: on ``Task.progress``, and in the admin.

        May be called as often as you like. It is written at most twice a second; what is complete
        is written at once, and what was said last at the end of the run. The database's errors are
        logged, not raised. In ``async def`` functions use ``aprogress``: there, this one is only
        written at the end.

        Args:
            done: How much is done, in units of your own.
            total: How much there is to do; None if nobody knows.
            message: What it is doing, for people; 500 characters of it are kept.

        Raises:
            InvalidOptionTypeError: ``done`` or ``total`` is no number.
            InvalidOptionError: One of them is not finite.
        """
        if self._reporter.note(done, total, message):
            self._reporter.write()

    async def aprogress(
        self, done: float, total: float | None = None, message: object = ""
    ) -> None:
        """Do the same in a coroutine."""
        if self._reporter.note(done, total, message):
            await sync_to_async(self._reporter.write)()


class Asked(Protocol):
    """Answers for a run when somebody asks; most functions never do, so nothing is made before."""

    def task(self) -> CurrentTask:
        """Return the run as its function may see it."""
        ...


_current: ContextVar[Asked | None] = ContextVar("background_task_current", default=None)


def current_task() -> CurrentTask | None:
    """Return the task whose function calls this, however deep; None outside of one.

    It goes wherever the context goes: into the asyncio tasks that the function starts, and into
    ``asyncio.to_thread``, but not into a thread that it starts itself.
    """
    run = _current.get()
    return None if run is None else run.task()


def progress(done: float, total: float | None = None, message: object = "") -> None:
    """Say how far the current task has come; see ``CurrentTask.progress``.

    Outside of a task nothing happens, so that functions which say so can be called directly.
    """
    task = current_task()
    if task is not None:
        task.progress(done, total, message)


async def aprogress(done: float, total: float | None = None, message: object = "") -> None:
    """Do the same in a coroutine."""
    task = current_task()
    if task is not None:
        await task.aprogress(done, total, message)


def has_event_loop() -> bool:
    """Tell whether an event loop runs in this thread: there, Django lets nobody use a database."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def enter(run: Asked) -> None:
    """Make it the run of the present context, which must be a copy of its own."""
    _current.set(run)
