"""Threads on which coroutines do what must not run on an event loop, above all use the database.

Django's asynchronous ORM hands each query to a thread, by ``asgiref``'s ``sync_to_async``. Left to
itself ``asgiref`` takes one thread for all: each query would wait for those of all other tasks, and
a transaction that a task leaves open between two of them would swallow theirs. With a thread for
each task, each would need a connection of its own, and a thousand tasks a thousand.

Here tasks share a few threads, the lanes. A task stays on the lane that it got with its first
call, because cursors, temporary tables and locks belong to a connection. The moment a call leaves
a transaction open, its task holds the lane alone, until it has ended the transaction or has ended
itself; the others go on elsewhere.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import reset_queries

from .executors import IDLE_SECONDS
from .hygiene import Mess, close_connections, has_leftovers, put_in_order, refresh_connections

logger = logging.getLogger(__name__)

#: How many lanes there are, unless ``--threads`` says otherwise.
LANES = 8


class Guest(Executor):
    """One task among those that share the lanes; for ``asgiref``, an executor.

    Args:
        lanes: Where its calls are run.
    """

    def __init__(self, lanes: Lanes) -> None:
        self.lane: Lane | None = None
        self.has_left = False
        self._lanes = lanes

    def enter(self) -> None:
        """Let calls from the current context, and from all copied from it, be this guest's."""
        context = ThreadSensitiveContext()
        SyncToAsync.context_to_thread_executor[context] = self
        SyncToAsync.thread_sensitive_context.set(context)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on the guest's lane."""
        return self._lanes.submit(partial(function, *args, **kwargs), guest=self)

    def leave(self) -> bool:
        """The task has ended; return whether it left a transaction open on its lane."""
        return self._lanes.see_off(self)


@dataclass(slots=True)
class Call:
    """Something to be run on a lane."""

    function: Callable[[], Any]
    guest: Guest | None
    future: Future[Any]


class Lanes:
    """The threads.

    Args:
        most: How many there are at most, beside those that are held by an open transaction.
    """

    def __init__(self, *, most: int) -> None:
        self.outages = 0
        self._most = most
        self._all: list[Lane] = []
        self._started = 0
        self._lock = threading.Lock()

    def submit(self, function: Callable[[], Any], *, guest: Guest | None = None) -> Future[Any]:
        """Run a call: on the guest's lane, without a guest on any that is free."""
        call = Call(function, guest, Future())
        with self._lock:
            self._place(call)
        return call.future

    def see_off(self, guest: Guest) -> bool:
        """Take note that a guest has left; return whether its transaction is open on its lane.

        A call that it leaves running there, because it was cancelled, keeps the lane to itself.
        """
        with self._lock:
            guest.has_left = True
            lane = guest.lane
            if lane is None:
                return False
            lane.guests -= 1
            if lane.at_work is guest:
                lane.holder = guest
                self._empty(lane)
                return False
            return lane.holder is guest

    def admits(self, lane: Lane, call: Call) -> bool:
        """Tell whether a call may run on the lane it was put on; if not, it is put on another."""
        with self._lock:
            if lane.holder is None or lane.holder is call.guest:
                lane.at_work = call.guest
                return True
            lane.load -= 1
            self._place(call)
            return False

    def did(self, lane: Lane, guest: Guest | None, *, is_open: bool) -> bool:
        """Take note of the end of a call; return whether what it left is to be put in order now."""
        with self._lock:
            lane.load -= 1
            lane.at_work = None
            is_kept = is_open and guest is not None and not guest.has_left
            lane.holder = guest if is_kept else None
            return is_open and not is_kept

    def lets_go(self, lane: Lane) -> bool:
        """Tell an idle lane whether it may end, because there are more than usual."""
        with self._lock:
            is_needed = lane.load or lane.guests or lane.holder or self._usual() <= self._most
            if not is_needed:
                self._all.remove(lane)
            return not is_needed

    def end(self, *, timeout: float) -> None:
        """End the lanes when they have done what they were given."""
        with self._lock:
            lanes, self._all = self._all, []
        for lane in lanes:
            lane.inbox.put(None)
        for lane in lanes:
            lane.join(timeout=timeout)

    def _place(self, call: Call) -> None:
        guest = call.guest
        lane = None if guest is None else guest.lane
        if lane is None or lane.holder not in (None, guest):
            lane = self._choose()
            if guest is not None and not guest.has_left:
                if guest.lane is not None:
                    guest.lane.guests -= 1
                guest.lane = lane
                lane.guests += 1
        lane.load += 1
        lane.inbox.put(call)

    def _empty(self, lane: Lane) -> None:
        """Put what waits at a lane elsewhere."""
        waiting: list[Call] = []
        with suppress(queue.Empty):
            while (call := lane.inbox.get_nowait()) is not None:
                waiting.append(call)
        for call in waiting:
            lane.load -= 1
            self._place(call)

    def _choose(self) -> Lane:
        """Return a lane for a newcomer: if possible one that it shares with nobody."""
        lanes = [lane for lane in self._all if lane.holder is None]
        for lane in lanes:
            if not lane.load and not lane.guests:
                return lane
        if len(lanes) < self._most:
            self._started += 1
            lane = Lane(self, number=self._started)
            self._all.append(lane)
            lane.start()
            return lane
        return min(lanes, key=lambda lane: (lane.load, lane.guests))

    def _usual(self) -> int:
        return sum(lane.holder is None for lane in self._all)


class Lane(threading.Thread):
    """One of the threads.

    Args:
        lanes: Those it belongs to.
        number: For its name.
    """

    def __init__(self, lanes: Lanes, *, number: int) -> None:
        super().__init__(name=f"background_task lane {number}", daemon=True)
        self.inbox: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        #: The task whose transaction is open.
        self.holder: Guest | None = None
        #: The task whose call is running.
        self.at_work: Guest | None = None
        #: How many tasks come back here with their next call.
        self.guests = 0
        #: How many calls run or wait.
        self.load = 0
        self._lanes = lanes
        self._outages = lanes.outages

    def run(self) -> None:
        """Serve until told to end."""
        while True:
            try:
                call = self.inbox.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                if self._lanes.lets_go(self):
                    break
                if self.holder is None:
                    close_connections()
                continue
            if call is None:
                break
            if self._lanes.admits(self, call):
                self._serve(call)
        put_in_order(Mess())
        close_connections()

    def _serve(self, call: Call) -> None:
        is_wanted, result, error = False, None, None
        try:
            try:
                is_wanted = call.future.set_running_or_notify_cancel()
                if is_wanted:
                    self._prepare()
                    result = call.function()
            finally:
                self._check(call.guest)
        except BaseException as raised:  # noqa: BLE001 - raised again where the call is awaited
            error = _awaitable(raised)
        if error is not None:
            call.future.set_exception(error)
        elif is_wanted:
            call.future.set_result(result)
        del call, error  # or the exception, its traceback and this frame would be a cycle

    def _prepare(self) -> None:
        if self.holder is not None:
            return
        if self._outages != self._lanes.outages:
            self._outages = self._lanes.outages
            close_connections()
        put_in_order(Mess())  # a neighbour may have closed the driver's connection
        refresh_connections()

    def _check(self, guest: Guest | None) -> None:
        if not self._lanes.did(self, guest, is_open=has_leftovers()):
            return
        mess = Mess()
        put_in_order(mess)
        for what in mess.found:
            logger.warning("After a call that outlived its task: %s", what)


class Annex(ThreadPoolExecutor):
    """The event loop's own pool, for ``asyncio.to_thread`` and the like.

    Its threads belong to no task, so each call finds no connection and leaves none.
    """

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call, and close the connections that it opened."""
        return super().submit(_without_traces, partial(function, *args, **kwargs))


def _without_traces(function: Callable[[], Any]) -> Any:
    try:
        return function()
    finally:
        reset_queries()
        put_in_order(Mess())
        close_connections()


def _awaitable(error: BaseException) -> BaseException:
    """Return what can be raised in a coroutine: a future refuses StopIteration, and hangs."""
    if not issubclass(type(error), StopIteration):
        return error
    stand_in = RuntimeError("StopIteration was raised in a thread")
    stand_in.__cause__ = error
    return stand_in
