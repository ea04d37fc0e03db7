"""Hop 5 for coroutine functions: the run of one claim on an event loop that it shares.

What ``run_claim`` does in one thread is divided here: the function itself runs on the loop;
whatever may wait or use the database (receivers, log handlers for errors, putting in order what
was left behind) runs on a lane.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Any

from .. import payload, telemetry
from ..attempt import Claim, Outcome, Released, Succeeded
from ..attendant import Company, factories
from ..current import enter
from ..exceptions import InvalidTaskError
from ..models import Task
from ..registry import Registry
from ..signals import task_started
from ..store import Store
from .control import Control
from .current_run import CurrentRun
from .hygiene import Mess, announce, close_connections, put_in_order
from .lanes import Guest, Lanes
from .run import (
    TOO_LATE,
    end_if_forked,
    kept,
    outcome_after,
    refuse_generators,
    resolve,
)
from .terms import terms_of, unbegun

#: The run in whose context code runs; the asyncio tasks that it starts inherit it.
_current: ContextVar[CoroutineRun] = ContextVar("background_task_run")


@dataclass(frozen=True)
class Workplace:
    """What the runs of one worker share.

    Attributes:
        registry: The functions by name.
        store: The store of the rows.
        control: The worker's orders.
        lanes: Where to do what would hold up the loop.
        ended: Called with each run and its outcome, in any thread.
        broke: Called with a run and the defect of ours that cost its outcome.
        is_slow: Tells whether what ``ended`` does with an outcome would hold up the loop.
    """

    registry: Registry
    store: Store
    control: Control
    lanes: Lanes
    ended: Callable[[CoroutineRun, Outcome], None]
    broke: Callable[[CoroutineRun, BaseException], None]
    is_slow: Callable[[], bool]


class CoroutineRun:
    """One run. Its methods are called in the loop's thread, unless they say otherwise.

    Args:
        claim: The row.
        place: What it shares with others.
        started: ``time.monotonic()`` at the beginning.
    """

    def __init__(self, claim: Claim, place: Workplace, *, started: float) -> None:
        self.claim = claim
        self.terms = terms_of(claim, place.registry)
        self.started = started
        self.function: Callable[..., Any] | None = None
        self.task: asyncio.Task[None] | None = None
        #: The asyncio tasks of the run: its own, and those that the function starts beside it.
        self.tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()
        self._place = place
        self._guest = Guest(place.lanes)
        self._mess = Mess()
        self._current = CurrentRun(claim, place.store, control=place.control)
        #: Empty, so that nothing comes in from whoever began the run, or goes out.
        self._context = Context()
        self._company: Company | None = None
        self._has_returned = False
        self._result: str | None = None
        self._exception: BaseException | None = None

    def begin(self) -> None:
        """Begin: receivers first, on a lane."""
        for problem in self.terms.problems:
            telemetry.event("mess", claim=self.claim, what=problem)
        is_cancelled = self._place.control.limits.is_cancelled(self.claim)
        if (end := unbegun(self.claim, self.terms, is_cancelled=is_cancelled)) is not None:
            self._end_unbegun(end)
            return
        if not task_started.has_listeners(Task):
            self._start()
            return
        loop = asyncio.get_running_loop()
        told = self._place.lanes.submit(lambda: announce(task_started, sender=Task))
        told.add_done_callback(lambda _: loop.call_soon_threadsafe(self._start))

    def cancel(self) -> None:
        """Interrupt the function where it awaits something."""
        if self.task is not None:
            self.task.cancel()

    def _end_unbegun(self, outcome: Outcome) -> None:
        if not self._place.is_slow():
            self._place.ended(self, outcome)
            return
        ended = self._place.lanes.submit(lambda: self._place.ended(self, outcome))
        ended.add_done_callback(self._on_settled)

    def _start(self) -> None:
        if self._place.control.is_at_once:
            self._place.ended(self, Released(TOO_LATE))
            return
        telemetry.event("start", claim=self.claim)
        self.task = self._context.run(self._create_task)
        self.task.add_done_callback(self._on_done, context=Context())

    def _create_task(self) -> asyncio.Task[None]:
        _current.set(self)
        self._guest.enter()
        if factories:
            self._company = Company(self.claim, self._place.store).__enter__()
        return asyncio.get_running_loop().create_task(self._attempt())

    async def _attempt(self) -> None:
        pid = os.getpid()
        try:
            self.function = resolve(self.claim, self._place.registry)
            if self.function is None:
                return
            if self.terms.atomic:  # a row's own option, or a function that became a coroutine
                raise InvalidTaskError(
                    f"{self.claim} is to be atomic, which a coroutine function cannot be"
                )
            args, kwargs = await payload.adecode(self.claim.task_params)
            self._current.run = run = self._place.control.limits.run(self.claim, self.terms)
            enter(self._current)
            with run.cancellable():
                result = self.function(*args, **kwargs)
                refuse_generators(self.function, result)
                value = await result
            self._has_returned = True
            self._result = kept(self.claim, value, self.terms)
            end_if_forked(pid)
        except BaseException as exception:  # noqa: BLE001 - user code may raise anything
            end_if_forked(pid, exception)
            self._exception = exception
        finally:
            if "DJANGO_ALLOW_ASYNC_UNSAFE" in os.environ:
                # Then the loop's thread may have connections, too, for each task its own.
                put_in_order(self._mess)
                close_connections()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # before its first step
            self._exception = asyncio.CancelledError()
        left = [child for child in self.tasks if not child.done()]
        for child in left:
            child.cancel()
        if left:
            self._mess.found.append(
                f"it left {len(left)} asyncio tasks behind; they were cancelled"
            )
        self._place.control.surroundings.restore(self._mess)
        is_open = self._guest.leave()
        is_done = self._exception is None and not is_open and not self._current.has_unwritten()
        is_slow = self._company is not None and self._company.is_slow()
        if is_done and not is_slow and not self._place.is_slow():
            self._end(self._outcome())
            return
        guest = self._guest if is_open else None
        self._place.lanes.submit(self._settle, guest=guest).add_done_callback(self._on_settled)

    def _settle(self) -> None:
        """The slow end, on a lane: on the run's own, if a transaction is open there."""
        put_in_order(self._mess)
        self._current.write()
        exception, self._exception = self._exception, None
        try:
            if exception is not None:
                raise exception
            outcome = self._outcome()
        except BaseException as raised:  # noqa: BLE001 - see above
            place = self._place
            outcome = outcome_after(
                self.claim, raised, terms=self.terms, store=place.store, control=place.control
            )
        finally:
            del exception
        self._end(outcome)

    def _on_settled(self, settled: Future[None]) -> None:
        error = settled.exception()
        if error is not None:
            self._dismiss(None)
            self._place.broke(self, error)

    def _outcome(self) -> Outcome:
        if self._has_returned:
            return Succeeded(self._result)
        return Released(f"no function is registered as {self.claim.task_name!r}")

    def _dismiss(self, outcome: Outcome | None) -> None:
        """Let those end who have looked on, in the context in which they began."""
        company, self._company = self._company, None
        if company is not None:
            company.outcome = outcome
            self._context.run(company.__exit__)

    def _end(self, outcome: Outcome) -> None:
        self._dismiss(outcome)
        for what in self._mess.found:
            telemetry.event("mess", claim=self.claim, what=what)
        self._place.ended(self, outcome)


def make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make an asyncio task, and tell the run that starts it; an event loop's task factory."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    run = _current.get(None)
    if run is not None:
        run.tasks.add(task)
    return task
