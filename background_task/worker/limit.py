"""How a run is ended that takes too long, or was cancelled, and never one that has returned.

A run is struck from the watchdog's thread. In the main thread that is a signal, whose handler
raises; in another thread an exception that Python raises there between two instructions; an
``async def`` function is cancelled. Whatever the task swallows is repeated each second.

The two rivals are the strike and the return of the function. Whether a function has returned is
decided by one call of C code, ``defaultdict.__missing__``, which calls the function and keeps what
it returns without coming back to Python in between. A strike that comes later is absorbed here.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from django.utils import timezone

from ..attempt import Claim, Failed, Outcome, after_exception, cancelled_after, format_error
from ..attempt_error import path_of
from ..exceptions import StopNow, TaskCancelled, TaskTimeout
from ..policy import Policy
from ..settings import app_settings
from .terms import DEFAULT

#: How long after its limit a task may go on, because it cleans up or cannot be reached.
GRACE_SECONDS = 5.0
#: The pause between strikes.
AGAIN_SECONDS = 1.0
#: For how long the setting is remembered.
FRESH_SECONDS = 0.2
#: What a strike raises.
STRIKES = (TaskTimeout, TaskCancelled)
NEVER = float("inf")

#: Task id and claim number.
Key = tuple[int, int]


def timed_out(claim: Claim, terms: Policy, *, seconds: float, limit: float) -> TaskTimeout:
    """Return the error of a run that was ended."""
    rule = "BACKGROUND_TASK_TIMEOUT_SECONDS" if terms.timeout is None else "its timeout"
    return TaskTimeout(f"{claim} was ended after {seconds:.1f} s; {rule} is {limit:g}")


def after_timeout(claim: Claim, terms: Policy, *, seconds: float, limit: float) -> Outcome:
    """Return the outcome of a run that could only be ended together with its process."""
    error = timed_out(claim, terms, seconds=seconds, limit=limit)
    most = app_settings.MAX_ATTEMPTS
    return after_exception(claim, error, terms, max_attempts=most, now=timezone.now())


def after_cancel(error: BaseException) -> Outcome:
    """Return the outcome of a run that somebody has cancelled, and that raised."""
    return cancelled_after(Failed(format_error(error), exception=path_of(error)))


class Witness(Protocol):
    """Who is told what runs with a limit, to end the process when nothing inside can end it."""

    def begin(self, claim: Claim, *, begun: float, limit: float) -> None:
        """A run began at this ``time.monotonic()``, which is the same in all processes."""
        ...

    def end(self, claim: Claim) -> None:
        """The function has returned or raised."""
        ...

    def is_behind(self) -> bool:
        """Tell whether something could not be said; say that the process is alive."""
        ...

    def forget(self) -> None:
        """All runs are about to be named anew."""
        ...

    def ask_for_the_end(self, claim: Claim) -> None:
        """This run cannot be ended from within."""
        ...


class Run:
    """One run, which may have to be ended.

    Args:
        limits: Those of the worker.
        claim: What runs.
        limit: How many seconds it may.
        terms: The other options of the task.
    """

    __slots__ = (
        *("begun", "cancelled_at", "claim", "grace", "is_inside", "limit", "returned", "strikes"),
        *("struck_at", "terms", "_limits", "_pid", "_strike", "_thread"),
    )

    def __init__(
        self, limits: Limits, claim: Claim, limit: float = NEVER, terms: Policy = DEFAULT
    ) -> None:
        self.claim = claim
        self.terms = terms
        self.limit = limit
        self.begun = time.monotonic()
        #: What the function has returned, if it has.
        self.returned: dict[str, Any] = {}
        self.is_inside = False
        self.struck_at: float | None = None
        #: What strikes raise.
        self.strikes: type[BaseException] = TaskTimeout
        #: When this process learned that the task was cancelled, and how long it then may go on.
        self.cancelled_at: float | None = None
        self.grace = NEVER
        self._limits = limits
        self._pid = os.getpid()
        self._thread = 0
        #: None is to raise in the thread. (Its own method would make each run a cycle.)
        self._strike: Callable[[], object] | None = None

    @property
    def has_limit(self) -> bool:
        """Whether it may only take so long."""
        return self.limit < NEVER

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody has cancelled the task."""
        return self.cancelled_at is not None

    @property
    def is_struck(self) -> bool:
        """Whether the task was told to end."""
        return self.struck_at is not None

    def seconds(self) -> float:
        """Return for how long it has been running."""
        return time.monotonic() - self.begun

    def next_strike_at(self) -> float:
        """Return the moment at which the task is told to end, or told again."""
        if self.struck_at is not None:
            return self.struck_at + AGAIN_SECONDS
        end = self.begun + self.limit
        return end if self.cancelled_at is None else min(end, self.cancelled_at + self.grace)

    def is_stuck(self) -> bool:
        """Tell whether it goes on although it should have ended a while ago."""
        return self.seconds() > self.limit + GRACE_SECONDS

    def error(self) -> BaseException:
        """Return what to raise for a run that was ended."""
        if self.strikes is TaskCancelled:
            return TaskCancelled(
                f"{self.claim} was ended after {self.seconds():.1f} s; it was cancelled, and "
                f"BACKGROUND_TASK_CANCEL_GRACE_SECONDS is {self.grace:g}"
            )
        return timed_out(self.claim, self.terms, seconds=self.seconds(), limit=self.limit)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call the function here; what it returns counts, even if it was struck at that moment.

        Raises:
            TaskTimeout: It was ended.
            TaskCancelled: Likewise.
        """
        raised: BaseException | None = None
        self._thread, self._strike = threading.get_ident(), self._limits.strike_for(self)
        self.returned = defaultdict(function)
        try:
            self._limits.enter(self)
            try:
                self.is_inside = True
                self.returned.__missing__("value")
            except BaseException as error:  # noqa: BLE001 - raised again below
                raised = error
            self.leave()
        except STRIKES as late:
            # Struck after the function, between the lines above. One strike a second at most, so
            # there is none while this handler runs.
            self.leave()
            raised = late if raised is None else raised
        if self.returned:
            return self.returned.pop("value")  # which may be a coroutine, to be watched in its turn
        assert raised is not None  # the function either returned or raised
        if self.is_struck:
            raised = self._explained(raised)
        try:
            raise raised
        finally:
            del raised  # or this frame and the exception would keep each other

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Wrap what a coroutine function awaits: from now on a strike cancels it."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # the code within is awaited
        self._strike = lambda: loop.call_soon_threadsafe(task.cancel)
        self._limits.enter(self)
        self.is_inside = True
        try:
            yield
        except asyncio.CancelledError as cancelled:
            if self.is_struck:
                raise self.error() from cancelled
            raise
        finally:
            self.leave()

    def leave(self) -> None:
        """The function has ended; called twice, it does nothing more."""
        self.is_inside = False
        if os.getpid() == self._pid:  # in a forked child nobody would ever release the lock
            self._limits.leave(self)
        self._strike = None  # what it refers to may refer to this

    def strike(self) -> None:
        """Tell the task to end. Called by the watchdog with the lock held."""
        now = time.monotonic()
        if self.struck_at is None and now < self.begun + self.limit:
            self.strikes = TaskCancelled
        self.struck_at = now
        with suppress(RuntimeError):  # the event loop is closed: it has just ended
            (self._strike or self.raise_here)()

    def raise_here(self) -> None:
        """Raise in the thread of the run, by way of the interpreter."""
        _set_exception(self._thread, self.strikes)

    def absorb(self) -> None:
        """Take back what was raised and has not arrived. Called with the lock held."""
        if self.is_struck:
            _set_exception(self._thread, None)

    def _explained(self, error: BaseException) -> BaseException:
        """Say what happened: Python makes the exception itself, and tasks may have wrapped it."""
        if isinstance(error, StopNow):  # nothing less could end it
            return self.error().with_traceback(error.__traceback__)
        seen: list[BaseException] = []
        found: BaseException | None = error
        with suppress(Exception):  # hostile exceptions
            while found is not None and not any(found is one for one in seen):
                seen.append(found)
                if type(found) is self.strikes and not found.args:
                    found.args = self.error().args
                found = found.__context__ if found.__cause__ is None else found.__cause__
        return error


class Limits:
    """The runs of one worker.

    Args:
        has_signal_handler: Whether SIGURG calls ``on_signal``.
    """

    def __init__(self, *, has_signal_handler: bool = False) -> None:
        self.has_signal_handler = has_signal_handler
        self.witness: Witness | None = None
        self._runs: dict[Key, Run] = {}
        self._cancelled: Collection[Key] = frozenset()
        self._lock = threading.Lock()
        self._in_main: Run | None = None
        self._default: float | None = None
        self._read_at = float("-inf")

    def run(self, claim: Claim, terms: Policy = DEFAULT) -> Run:
        """Return what watches over a run of the claim."""
        now = time.monotonic()
        if now - self._read_at > FRESH_SECONDS:  # asking Django for a setting takes microseconds
            self._default = app_settings.BACKGROUND_TASK_TIMEOUT_SECONDS
            self._read_at = now
        limit = self._default if terms.timeout is None else terms.timeout.total_seconds()
        return Run(self, claim, limit or NEVER, terms)

    def cancel(self, claims: Collection[Key]) -> None:
        """Take note of all claims that somebody has cancelled, those known before among them."""
        with self._lock:
            self._cancelled = claims
            for run in filter(None, map(self._runs.get, claims)):
                if run.cancelled_at is None:
                    grace = app_settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS
                    run.grace = NEVER if grace is None else grace
                    run.cancelled_at = time.monotonic()

    def is_cancelled(self, claim: Claim) -> bool:
        """Tell whether somebody has cancelled a claim, as far as this process has learned."""
        known = self._cancelled
        return bool(known) and (claim.task_id, claim.number) in known

    def enter(self, run: Run) -> None:
        """The function is about to be called."""
        with self._lock:
            self._runs[run.claim.task_id, run.claim.number] = run
            if self.witness is not None and run.has_limit:
                self.witness.begin(run.claim, begun=run.begun, limit=run.limit)

    def leave(self, run: Run) -> None:
        """The function has ended: no strike comes after this, and none is on its way."""
        with self._lock:
            run.absorb()
            if self.witness is not None and run.has_limit:
                self.witness.end(run.claim)
            self._runs.pop((run.claim.task_id, run.claim.number), None)
            if self._in_main is run:
                self._in_main = None

    def enforce(self) -> list[Claim]:
        """Strike what is to end; return what should have ended at its limit, a while ago.

        Called by the watchdog several times a second.
        """
        now = time.monotonic()
        with self._lock:
            for run in self._runs.values():
                if now >= run.next_strike_at() and run.is_inside and not run.returned:
                    run.strike()
            self._testify()
            return [run.claim for run in self._runs.values() if run.is_stuck()]

    def verdicts(self) -> list[tuple[Claim, Outcome, float]]:
        """Return the outcomes of the runs that only the end of this process will end.

        Each with its claim and how long it took.
        """
        with self._lock:
            runs = [run for run in self._runs.values() if run.is_struck and not run.returned]
        return [(run.claim, self._verdict(run), run.seconds()) for run in runs]

    def on_signal(self) -> None:
        """Raise in the main thread if its task is to end; called by the handler.

        Raises:
            TaskTimeout: It is, and the function has not returned.
            TaskCancelled: Likewise.
        """
        run = self._in_main
        if run is not None and run.is_struck and run.is_inside and not run.returned:
            raise run.strikes

    def strike_for(self, run: Run) -> Callable[[], object] | None:
        """Return how to strike a run of the thread that calls this; None is by raising there."""
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and self.has_signal_handler and hasattr(signal, "pthread_kill"):
            self._in_main = run
            return _signal_main_thread
        return None

    def _verdict(self, run: Run) -> Outcome:
        if run.is_cancelled:
            return after_cancel(run.error())
        return after_timeout(run.claim, run.terms, seconds=run.seconds(), limit=run.limit)

    def _testify(self) -> None:
        limited = [run for run in self._runs.values() if run.has_limit]
        if self.witness is None or not limited or not self.witness.is_behind():
            return
        self.witness.forget()
        for run in limited:
            self.witness.begin(run.claim, begun=run.begun, limit=run.limit)


def _signal_main_thread() -> None:
    """Send a signal that means nothing to anybody else, and is ignored by default.

    A real one, because it also ends a system call.
    """
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGURG)


def _set_exception(thread: int, exception: type[BaseException] | None) -> None:
    """Let Python raise an exception in a thread, at its next instruction; None takes it back."""
    pythonapi = getattr(ctypes, "pythonapi", None)
    if pythonapi is not None and hasattr(pythonapi, "PyThreadState_SetAsyncExc"):
        raised = None if exception is None else ctypes.py_object(exception)
        pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)
