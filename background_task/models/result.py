"""What one asks of a task, live or archived: how it stands, what it returned, what went wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, TypeAlias

from asgiref.sync import sync_to_async
from django.db import connections, models, router

from ..attempt_error import AttemptError, read_errors
from ..exceptions import (
    BackgroundTaskError,
    InvalidOptionError,
    NotFinishedError,
    TaskGoneError,
    WaitTimeoutError,
    brief,
    duration_of,
)
from ..progress_report import ProgressReport, read_report

#: The pauses between two looks, in seconds: the first one, the growth, the longest one.
FIRST_PAUSE, GROWTH, LONGEST_PAUSE = 0.02, 1.5, 1.0

Seconds: TypeAlias = "float | timedelta"


class Result(models.Model):
    """The part of both models that answers such questions.

    A task is found by its ``uid``, wherever it is by now, in the database to which it was written.
    """

    #: The errors of the attempts in JSON; see ``attempt_errors``.
    errors = models.TextField(null=True, editable=False)
    #: How far the task has come, in JSON; see ``progress``.
    progress_json = models.TextField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def attempt_errors(self) -> list[AttemptError]:
        """How attempts went wrong, as this instance was read: the first one, and the last nine."""
        return read_errors(self.errors)

    @property
    def progress(self) -> ProgressReport | None:
        """How far the task has come, as this instance was read; None if it does not say."""
        return read_report(self.progress_json)

    @property
    def status(self) -> str:
        """How the task stands now; asks the database.

        One of ``"waiting"``, ``"running"``, ``"succeeded"``, ``"failed"``, ``"discarded"``,
        ``"cancelled"``; or ``"gone"``, if it was deleted or its transaction rolled back.
        """
        row = self._row_now()
        return "gone" if row is None else row._own_status()

    @property
    def result(self) -> Any:
        """What the function returned; asks the database.

        None, too, if what the function returns is not to be kept.

        Raises:
            NotFinishedError: The task waits or runs.
            TaskFailedError: It has failed for good.
            TaskDiscardedError: It was not wanted any more.
            TaskCancelledError: Somebody cancelled it.
            TaskGoneError: It was deleted, or its transaction was rolled back.
            ResultNotKeptError: What it returned could not be kept.
        """
        row = self._row_now()
        if row is None:
            raise TaskGoneError(
                f"{self} is in no table: it was deleted, or purged from the archive, or its "
                "transaction was rolled back; ask before that"
            )
        return row._own_result()

    async def aresult(self) -> Any:
        """Do as ``result`` does, in a coroutine."""
        return await sync_to_async(lambda: self.result)()

    def wait(self, timeout: Seconds | None = None, *, poll: Seconds | None = None) -> Any:
        """Wait until the task has finished, and return what the function returned.

        Not inside a transaction, unless it has finished already: the row may not be committed yet,
        and what others commit may not be seen.

        Args:
            timeout: How long to wait, in seconds or as a timedelta; None is for ever.
            poll: The pause between two looks; by default it grows from 0.02 to 1 second.

        Raises:
            WaitTimeoutError: It has not finished in time (a ``TimeoutError``, too).
            BackgroundTaskError: This is inside a transaction; or as ``result``.
        """
        pauses = _pauses(timeout, poll)
        while (taken := self._take()) is None:
            time.sleep(self._next(pauses, timeout))
        return taken[0]

    async def await_result(
        self, timeout: Seconds | None = None, *, poll: Seconds | None = None
    ) -> Any:
        """Do as ``wait`` does, in a coroutine, and hold up no other one."""
        pauses = _pauses(timeout, poll)
        while (taken := await sync_to_async(self._take)()) is None:
            await asyncio.sleep(self._next(pauses, timeout))
        return taken[0]

    def _take(self) -> tuple[Any] | None:
        """Return the result, if the task has finished."""
        try:
            return (self.result,)
        except NotFinishedError:
            if connections[self._database()].in_atomic_block:
                raise BackgroundTaskError(
                    f"{self} cannot be waited for inside a transaction: no worker sees its row "
                    "before the commit, nor this transaction, perhaps, what the worker commits; "
                    "wait after the atomic block"
                ) from None
            return None

    def _next(self, pauses: Iterator[float], timeout: Seconds | None) -> float:
        pause = next(pauses, None)
        if pause is None:
            raise WaitTimeoutError(
                f"{self} has not finished within {timeout} (seconds); wait for longer, or see "
                "whether a worker serves its queue"
            )
        return pause

    def _database(self) -> str:
        return router.db_for_write(type(self), instance=self)

    def _row_now(self) -> Result | None:
        """Return the row of the task as it is now, wherever that is."""
        raise NotImplementedError

    def _own_status(self) -> str:
        """Return how the task of this very row stands."""
        raise NotImplementedError

    def _own_result(self) -> Any:
        """Return what the task of this very row returned, or raise."""
        raise NotImplementedError


def _pauses(timeout: Seconds | None, poll: Seconds | None) -> Iterator[float]:
    """Return the pauses between looks, until the time is up."""
    longest = None if timeout is None else duration_of(timeout, what="timeout").total_seconds()
    fixed = None if poll is None else duration_of(poll, what="poll").total_seconds()
    if fixed is not None and fixed <= 0:
        raise InvalidOptionError(f"poll {brief(poll)} would never pause; use above 0 seconds")
    return _until(None if longest is None else time.monotonic() + longest, fixed)


def _until(end: float | None, fixed: float | None) -> Iterator[float]:
    pause = FIRST_PAUSE if fixed is None else fixed
    while True:
        left = pause if end is None else end - time.monotonic()
        if left <= 0:
            return
        yield min(pause, left)
        if fixed is None:
            pause = min(pause * GROWTH, LONGEST_PAUSE)
