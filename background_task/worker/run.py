"""Hop 5: the only place that calls user code."""

from __future__ import annotations

import contextvars
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.db import reset_queries
from django.utils import timezone

from .. import payload, telemetry
from ..attempt import (
    Claim,
    Discarded,
    Outcome,
    Released,
    Retry,
    Settled,
    Succeeded,
    after_exception,
    describe,
)
from ..attendant import Company, factories
from ..current import enter
from ..exceptions import BackgroundTaskError, InvalidTaskError, StopNow, TaskTimeout
from ..models import Task
from ..policy import Policy
from ..registry import Registry
from ..return_value import not_kept, pack, why_not_kept
from ..settings import app_settings
from ..signals import task_error, task_started
from ..store import Store
from .atomic import Block
from .control import Control
from .current_run import CurrentRun
from .hygiene import announce, close_connections, orderly
from .limit import STRIKES, Run, after_cancel
from .terms import terms_of, unbegun

if TYPE_CHECKING:
    from .queued import QueuedRun

#: ``Released.reason`` of a task that was interrupted where no worker handles Ctrl-C.
KEYBOARD_INTERRUPT = "Ctrl-C"
#: ``Released.reason`` of a task that was interrupted because the worker left at once.
TOO_LATE = "the worker could not wait for it"
#: Stands where there is no transaction of the run's own.
NOTHING: AbstractContextManager[None] = nullcontext()
#: Where the code is that stands above a task function in a traceback.
OWN_DIRECTORY = os.path.join(os.path.dirname(__file__), "")


def run_claim(
    claim: Claim, registry: Registry, *, store: Store, control: Control | None = None
) -> Outcome | Settled:
    """Run the function of a claimed row and say what became of it; never raises.

    The function runs in a copy of the context, so that an activated time zone or language does
    not leak into the next task.

    Args:
        claim: The row.
        registry: The functions by name.
        store: The store of the row; read only for receivers of ``task_error``.
        control: The worker's orders; None outside a worker.
    """
    terms = terms_of(claim, registry)
    for problem in terms.problems:
        telemetry.event("mess", claim=claim, what=problem)
    is_cancelled = control is not None and control.limits.is_cancelled(claim)
    if (end := unbegun(claim, terms, is_cancelled=is_cancelled)) is not None:
        return end
    if settings.DEBUG and (control is not None or app_settings.BACKGROUND_TASK_RUN_ASYNC):
        reset_queries()  # elsewhere a caller may be counting them, as ``assertNumQueries`` does
    announce(task_started, sender=Task)
    telemetry.event("start", claim=claim)
    current = CurrentRun(claim, store, control=control, depth=store.depth())
    # Who looks on ends when no transaction of the function is open, or it would take with it what
    # they have written.
    with Company(claim, store) if factories else NOTHING as company:
        with orderly(control.surroundings if control else None) as mess:
            outcome = _attempt(
                claim, registry, terms=terms, store=store, control=control, current=current
            )
        current.write()  # what is left, now that no transaction of the function is in the way
        if company is not None:
            company.outcome = outcome
    for guard in control.guards if control else ():
        mended = guard()
        if mended:
            mess.found.append(mended)
    for what in mess.found:
        telemetry.event("mess", claim=claim, what=what)
    return outcome


def _attempt(
    claim: Claim,
    registry: Registry,
    *,
    terms: Policy,
    store: Store,
    control: Control | None,
    current: CurrentRun,
) -> Outcome | Settled:
    value, returned, pid = None, False, os.getpid()
    block = Block(claim, store) if terms.atomic else None
    try:
        queued = None if claim.backend is None else begin_queued(claim)
        function = resolve(claim, registry) if queued is None else queued.function
        if function is None:
            return Released(f"no function is registered as {claim.task_name!r}")
        args, kwargs = payload.decode(claim.task_params) if queued is None else queued.call
        current.run = control.limits.run(claim, terms) if control else None
        with block or NOTHING:
            try:
                if control is not None:
                    control.open_to_interruption()
                value = call(function, args, kwargs, current=current, control=control)
                if queued is not None:
                    value = queued.packed(value)
                returned = True
                end_if_forked(pid)
            finally:
                if control is not None:
                    control.close_to_interruption()
            if block is not None:
                block.finish(Succeeded(kept(claim, value, terms)))
    except BaseException as exception:  # noqa: BLE001 - user code may raise anything
        end_if_forked(pid, exception)
        if block is not None and (settled := block.settled(control=control)):
            return settled
        if block is not None or not returned:
            if issubclass(type(exception), STRIKES):
                close_connections()  # it may have been waiting for an answer on one
            return outcome_after(claim, exception, terms=terms, store=store, control=control)
        # Interrupted after its last line: it has done its work.
    return Succeeded(kept(claim, value, terms)) if block is None else block.committed()


def kept(claim: Claim, value: Any, terms: Policy) -> str | None:
    """Return what is to be stored of a function's return value; never raises.

    The task has succeeded, whatever it returned.
    """
    if value is None:
        return None
    keeps = terms.keep_result
    if claim.backend is not None:
        return None if keeps is False else value.text
    if not (app_settings.BACKGROUND_TASK_KEEP_RESULTS if keeps is None else keeps):
        return None
    try:
        return pack(value, most=app_settings.BACKGROUND_TASK_MAX_RESULT_BYTES)
    except BaseException as error:  # noqa: BLE001 - the value may be hostile
        reason = why_not_kept(error)
    telemetry.event("not_kept", claim=claim, reason=reason)
    return not_kept(reason)


def outcome_after(
    claim: Claim,
    exception: BaseException,
    *,
    terms: Policy,
    store: Store,
    control: Control | None,
) -> Outcome:
    """Say what became of a run that raised, and tell everybody; called in the ``except`` block.

    Args:
        claim: The row.
        exception: What came out of the function.
        terms: The options of the row.
        store: The store of the row; read only for receivers of ``task_error``.
        control: The worker's orders; None outside a worker.
    """
    kind = type(exception)  # isinstance would ask a hostile __class__
    with suppress(Exception):  # a hostile exception
        _drop_own_frames(exception)
    if control is not None and control.limits.is_cancelled(claim):
        return after_cancel(exception)
    if issubclass(kind, TaskTimeout):
        return _failed(claim, exception, terms=terms, store=store)
    if control is not None and control.is_at_once:
        return Released(TOO_LATE)
    if issubclass(kind, StopNow):
        return Released("interrupted")
    if control is None and issubclass(kind, KeyboardInterrupt):
        return Released(KEYBOARD_INTERRUPT)
    return _failed(claim, exception, terms=terms, store=store)


def end_if_forked(pid: int, exception: BaseException | None = None) -> None:
    """End a child process that a task forked and that has come to the end of the task.

    It must not go on as a second worker, under the same name and on the same connections.

    Args:
        pid: The process in which the task was started.
        exception: What the task raised in this process.
    """
    if os.getpid() == pid:
        return
    code = 0 if exception is None else 1
    if isinstance(exception, SystemExit):
        code = exception.code if isinstance(exception.code, int) else int(bool(exception.code))
    elif exception is not None:
        traceback.print_exception(exception)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def begin_queued(claim: Claim) -> QueuedRun:
    """Return the run of a task that a backend of ``django.tasks`` has queued; tell of its start.

    Raises:
        Exception: As ``QueuedRun``.
    """
    from .queued import QueuedRun  # not every project has that framework

    run = QueuedRun(claim)
    run.tell_started()
    return run


def resolve(claim: Claim, registry: Registry) -> Callable[..., Any] | None:
    """Return the function of a row; None if there is none of that name.

    Raises:
        BackgroundTaskError: The name is registered without a function.
    """
    registered = registry.get(claim.task_name)
    if registered is None:
        return None
    if registered.task_function is None:
        raise BackgroundTaskError(f"{claim.task_name!r} is registered without a function")
    return registered.task_function


def call(
    function: Callable[..., Any],
    args: Any,
    kwargs: Any,
    *,
    current: CurrentRun | None = None,
    control: Control | None = None,
) -> Any:
    """Call a task function in a context of its own; await what it returns, if that is needed.

    Args:
        function: What to call.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        current: Its run; None if it has no row.
        control: The worker's orders; None outside a worker.
    """
    context = contextvars.copy_context()
    run = None
    if current is not None:
        context.run(enter, current)
        run = current.run
    if run is None:
        result = context.run(function, *args, **kwargs)
    else:  # no line of this library stands between the limit and the function
        result = run.call(partial(context.run, function, *args, **kwargs))
    if result is None:
        return None
    refuse_generators(function, result)
    if not inspect.isawaitable(result):
        return result
    is_main = threading.current_thread() is threading.main_thread()
    return context.run(async_to_sync(_awaited), result, run, control if is_main else None)


def refuse_generators(function: Callable[..., Any], result: Any) -> None:
    """Raise InvalidTaskError if calling the function has run nothing of it."""
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise InvalidTaskError(
            f"{function!r} is a generator function, of which a call runs nothing; "
            "remove its yield, or call it from a task function"
        )


async def _awaited(awaitable: Any, run: Run | None, control: Control | None) -> Any:
    with (
        nullcontext() if run is None else run.cancellable(),
        nullcontext() if control is None else control.cancellable(),
    ):
        return await awaitable


def _failed(claim: Claim, exception: BaseException, *, terms: Policy, store: Store) -> Outcome:
    """Tell everybody, in the ``except`` block, so that ``sys.exc_info()`` shows the exception.

    Whoever formats a hostile exception, as every log handler does, may be raised at. Then a
    harmless one is shown in its place.
    """
    outcome = _outcome_of(claim, exception, terms, store=store)
    if isinstance(outcome, Discarded):
        return outcome
    if isinstance(outcome, Retry) and outcome.is_wish:
        telemetry.event("put_off", claim=claim, delay=outcome.delay, reason=describe(exception))
        return outcome
    try:
        telemetry.event("error", claim=claim, exception=exception)
        _announce_error(claim, exception, store=store)
    except Exception:  # noqa: BLE001 - see above
        error = getattr(outcome, "error", "")
        telemetry.event("error", claim=claim, exception=BackgroundTaskError(error))
    return outcome


def _outcome_of(claim: Claim, exception: BaseException, terms: Policy, *, store: Store) -> Outcome:
    most = app_settings.MAX_ATTEMPTS
    try:
        now = _now_for(exception, store)
        return after_exception(claim, exception, terms, max_attempts=most, now=now)
    except Exception:  # noqa: BLE001 - a hostile exception: it is not even possible to ask its class
        name = type(exception).__name__
        stand_in = BackgroundTaskError(f"{name} was raised; nothing more can be asked of it")
        return after_exception(claim, stand_in, terms, max_attempts=most, now=timezone.now())


def _now_for(exception: BaseException, store: Store) -> datetime:
    """Return the time from which a wait until a given moment is counted."""
    if getattr(exception, "until", None) is not None:
        with suppress(Exception):  # the task may have left its connection unusable
            return store.now()
    return timezone.now()


def _announce_error(claim: Claim, exception: BaseException, *, store: Store) -> None:
    if task_error.has_listeners(type(exception)):
        task = _task_for_receivers(claim, store)
        if task is not None:
            announce(task_error, sender=type(exception), task=task)


def _drop_own_frames(exception: BaseException) -> None:
    """Let the traceback begin in the task, which is where a reader looks."""
    place = exception.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename.startswith(OWN_DIRECTORY):
        place = place.tb_next
    if place is not None:
        exception.__traceback__ = place


def _task_for_receivers(claim: Claim, store: Store) -> Task | None:
    try:
        return store.task_of(claim)
    except Exception:  # noqa: BLE001 - the task may have left its connection unusable; the outcome comes first
        return None
