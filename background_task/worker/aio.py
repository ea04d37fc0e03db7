"""Many ``async def`` tasks at once: they share one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction

from .. import telemetry
from ..attempt import Claim, Outcome
from ..registry import Registry
from ..store import Store
from .control import Control
from .executors import ThreadExecutor
from .heartbeat import Watchdog
from .lanes import Annex, Lanes
from .run_async import CoroutineRun, Workplace, make_task

logger = logging.getLogger(__name__)

#: A coroutine that keeps the loop from everybody else for longer than this is spoken of.
BLOCKED_SECONDS = 1.0
#: How long a cancelled coroutine may take to clean up.
CANCEL_SECONDS = 2.0


def is_coroutine_function(function: Callable[..., Any] | None) -> bool:
    """Tell whether a call returns a coroutine without doing anything yet.

    Also of a ``partial``, of an object with ``async def __call__``, and of what is marked by
    ``asgiref.sync.markcoroutinefunction``. Other functions may return an awaitable, too; they are
    called in a thread, which then waits for it.
    """
    kind: Any = type(function)
    return iscoroutinefunction(function) or iscoroutinefunction(kind.__call__)


class CoroutineExecutor:
    """Runs claims of coroutine functions on an event loop.

    Its threads are daemons: a coroutine that swallows its cancellation, or holds up the loop,
    cannot keep the process alive. Its row is released, as with ``ThreadExecutor``.

    Args:
        slots: How many run at once.
        registry: The functions by name.
        store: The store of the rows.
        control: The worker's orders.
        lanes: On how many threads they use the database.
        begin: Takes note of a run; returns the time, or None if it must not begin.
        is_slow: Tells whether ``end`` would hold up the event loop; then it is called on a lane.
        end: Passes on an outcome, which is None if there is none because of a defect; called
            with the claim, the outcome and the time at which the run began.
    """

    def __init__(
        self,
        *,
        slots: int,
        registry: Registry,
        store: Store,
        control: Control,
        lanes: int,
        begin: Callable[[Claim], float | None],
        end: Callable[[Claim, Outcome | None, float], None],
        is_slow: Callable[[], bool],
    ) -> None:
        self.slots = slots
        self._control = control
        self._lanes = Lanes(most=lanes)
        self._begin_run, self._end_run = begin, end
        self._place = Workplace(
            registry=registry,
            store=store,
            control=control,
            lanes=self._lanes,
            ended=self._ended,
            broke=self._broke,
            is_slow=is_slow,
        )
        self._waiting: deque[Claim] = deque()
        self._runs: dict[tuple[int, int], CoroutineRun] = {}
        self._submitted: dict[tuple[int, int], Claim] = {}
        self._lock = threading.Lock()
        self._moved_at = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_fill_due = False
        self._pinged_at: float | None = None
        self._suspect: CoroutineRun | None = None
        self._blocked_told: set[str] = set()

    def load(self) -> int:
        """Return how many claims run or wait."""
        with self._lock:
            return len(self._submitted)

    def submit(self, claim: Claim) -> None:
        """Hand the claim to the loop."""
        with self._lock:
            self._submitted[claim.task_id, claim.number] = claim
        self._moved_at = time.monotonic()
        self._waiting.append(claim)
        if self._loop is None:
            self._loop = self._start()
        self._fill_soon()
        self._control.pause()

    def work_off(self) -> None:
        """Nothing to do: the loop does it."""

    def has_waiting(self) -> bool:
        """Tell whether claims have not begun."""
        return bool(self._waiting)

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Tell whether the running claims hold up others."""
        return bool(self._waiting) and now - self._moved_at > seconds

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun."""
        taken = []
        while self._waiting:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:  # the event loop has just taken the last one
                break
        with self._lock:
            for claim in taken:
                self._submitted.pop((claim.task_id, claim.number), None)
        return taken

    def claims(self) -> list[Claim]:
        """Return the claims that run or wait."""
        with self._lock:
            return list(self._submitted.values())

    def forget_connections(self) -> None:
        """Let each lane close its connections before its next call."""
        self._lanes.outages += 1

    def drain(self) -> list[Claim]:
        """Wait for running claims; cancel those that are not done in time; return those left."""
        if self._loop is None:
            return self.claims()
        while self.load() and self._control.remaining() > 0:
            self._control.polling.wait(min(self._control.remaining(), 1.0))
        if self.load():
            self._control.stop_now()  # the deadline has passed, or the order has been given
            self._loop.call_soon_threadsafe(self._cancel_all)
            until = time.monotonic() + CANCEL_SECONDS
            while self.load() and (left := until - time.monotonic()) > 0:
                self._control.polling.wait(left)
        self._watchdog.end()
        left_running = self.claims()
        if not left_running:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=5)
            self._lanes.end(timeout=1)
        return left_running

    # -- the loop's thread ----------------------------------------------------------------------

    def _start(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(make_task)
        loop.set_default_executor(Annex(thread_name_prefix="background_task annex"))
        self._thread = threading.Thread(
            target=self._serve, args=(loop,), name="background_task event loop", daemon=True
        )
        self._thread.start()
        self._watchdog = Watchdog(self._tell_blocked)
        self._watchdog.start()
        return loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        is_over = False
        while not is_over:
            try:
                loop.run_forever()
                is_over = True
            except BaseException:  # SystemExit of an asyncio task that a task made itself
                logger.exception("An asyncio task tried to end the worker")
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    def _fill_soon(self) -> None:
        if not self._is_fill_due and self._loop is not None:
            self._is_fill_due = True
            self._loop.call_soon_threadsafe(self._fill)

    def _fill(self) -> None:
        """Begin what waits while there are slots."""
        self._is_fill_due = False  # first: what is submitted from now on asks again
        while len(self._runs) < self.slots:
            try:
                claim = self._waiting.popleft()  # the worker may take back some, too
            except IndexError:
                return
            key, started = (claim.task_id, claim.number), self._begin_run(claim)
            if started is None:
                with self._lock:
                    self._submitted.pop(key, None)
                continue
            run = self._runs[key] = CoroutineRun(claim, self._place, started=started)
            self._moved_at = time.monotonic()
            run.begin()

    def _cancel_all(self) -> None:
        for run in list(self._runs.values()):
            run.cancel()

    # -- ends of runs, told by any thread -------------------------------------------------------

    def _ended(self, run: CoroutineRun, outcome: Outcome | None) -> None:
        claim, key = run.claim, (run.claim.task_id, run.claim.number)
        self._end_run(claim, outcome, run.started)
        self._runs.pop(key, None)
        with self._lock:
            self._submitted.pop(key, None)
        self._moved_at = time.monotonic()
        if self._waiting:
            self._fill_soon()
        else:
            self._control.polling.wake()

    def _broke(self, run: CoroutineRun, error: BaseException) -> None:
        telemetry.event("defect", claim=run.claim, exception=error)
        self._ended(run, None)

    # -- the watchdog's thread ------------------------------------------------------------------

    def _tell_blocked(self) -> None:
        """Say of each function once that it keeps the loop from all others."""
        loop, pinged_at, now = self._loop, self._pinged_at, time.monotonic()
        if loop is None or (pinged_at is None and not self._runs):
            return
        if pinged_at is None:
            self._pinged_at = now
            loop.call_soon_threadsafe(self._pong)
        elif now - pinged_at > BLOCKED_SECONDS:
            suspect, self._suspect = self._suspect, self._run_at_work(loop)
            if suspect is None or suspect is not self._suspect:  # it may be many, a little each
                return
            if suspect.claim.task_name not in self._blocked_told:
                self._blocked_told.add(suspect.claim.task_name)
                seconds, where = now - pinged_at, self._where(suspect)
                telemetry.event("blocked", claim=suspect.claim, seconds=seconds, where=where)

    def _pong(self) -> None:
        self._pinged_at = self._suspect = None

    def _run_at_work(self, loop: asyncio.AbstractEventLoop) -> CoroutineRun | None:
        task = asyncio.current_task(loop)
        return next((run for run in list(self._runs.values()) if task in run.tasks), None)

    def _where(self, run: CoroutineRun) -> str:
        """Return the innermost line of the task's own file, or else of any."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        stack = traceback.extract_stack(frame)
        code = getattr(run.function, "__code__", None)
        own = [line for line in stack if code is not None and line.filename == code.co_filename]
        place = (own or stack)[-1]
        return f"{place.filename}:{place.lineno} in {place.name}"


class AsyncExecutor:
    """Runs coroutine functions on an event loop, and all others on threads.

    Args:
        coroutines: Runs the ones.
        functions: Runs the others.
        registry: The functions by name.
    """

    def __init__(
        self, coroutines: CoroutineExecutor, functions: ThreadExecutor, *, registry: Registry
    ) -> None:
        self.slots = coroutines.slots + functions.slots
        self._coroutines = coroutines
        self._functions = functions
        self._registry = registry
        self._kinds: dict[str, tuple[Callable[..., Any] | None, bool]] = {}

    def names(self, *, is_coroutine: bool) -> list[str]:
        """Return the names of the functions of either kind."""
        return [name for name in list(self._registry) if self._is_coroutine(name) == is_coroutine]

    def load(self) -> int:
        """Return how many claims run or wait."""
        return self._coroutines.load() + self._functions.load()

    def submit(self, claim: Claim) -> None:
        """Hand the claim to whoever runs its function."""
        is_known = claim.backend is None and claim.task_name in self._registry
        is_coroutine = is_known and self._is_coroutine(claim.task_name)
        (self._coroutines if is_coroutine else self._functions).submit(claim)

    def work_off(self) -> None:
        """Nothing to do: the threads do it."""

    def has_waiting(self) -> bool:
        """Tell whether claims have not begun."""
        return self._coroutines.has_waiting() or self._functions.has_waiting()

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Tell whether the running claims hold up others."""
        return self._coroutines.is_stalled(now, seconds) or self._functions.is_stalled(now, seconds)

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun."""
        return [*self._coroutines.take_back(), *self._functions.take_back()]

    def claims(self) -> list[Claim]:
        """Return the claims that run or wait."""
        return [*self._coroutines.claims(), *self._functions.claims()]

    def forget_connections(self) -> None:
        """Let all threads connect anew."""
        self._coroutines.forget_connections()
        self._functions.forget_connections()

    def drain(self) -> list[Claim]:
        """Wait for running claims as long as the worker's orders allow; return those left."""
        return [*self._functions.drain(), *self._coroutines.drain()]

    def _is_coroutine(self, name: str) -> bool:
        function = self._registry[name].task_function
        known = self._kinds.get(name)
        if known is None or known[0] is not function:
            known = self._kinds[name] = (function, is_coroutine_function(function))
        return known[1]
