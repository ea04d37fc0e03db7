"""How a worker is told to stop, and how it tells the task that is running."""

from __future__ import annotations

import _thread
import asyncio
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ..exceptions import StopNow
from ..settings import app_settings
from ..wakeup import Polling
from .drain import Drain
from .hygiene import Surroundings
from .limit import Limits
from .outage import Outage

#: How soon a waiting thread notices an order to leave at once.
SLICE_SECONDS = 0.1

#: How long a worker that must leave at once may take to hand back its rows.
LAST_SECONDS = 5.0

#: The pause between interruptions of a task that keeps the worker from leaving.
AGAIN_SECONDS = 1.0


class Control:
    """Orders to one worker.

    Signal handlers only set plain attributes and wake the loop: whatever takes a lock could
    deadlock with the code that the signal interrupted.

    Args:
        drain: Tells others in this process when nothing is left to do.
    """

    def __init__(self, drain: Drain | None = None) -> None:
        self.reason: str | None = None
        self.is_at_once = False
        self.has_signal_handlers = False
        #: Seconds that a stop signal leaves running tasks; None follows the settings.
        self.shutdown: float | None = None
        self.pause_range: tuple[float, float] = (0.0, 0.0)
        self.polling = Polling()
        self.outage = Outage()
        self.drain = drain or Drain()
        self.limits = Limits()
        self.surroundings = Surroundings()
        #: Called after each task run in the main thread; each returns what it had to mend.
        self.guards: list[Callable[[], str | None]] = []
        #: Ends the process as it is; set where the process is the worker's own.
        self.end_process: Callable[[], None] | None = None
        self._leaving_since: float | None = None
        self._interrupted_at = 0.0
        self._deadline: float | None = None
        self._was_ordered = False
        self._is_interruptible = False
        self._cancel: Callable[[], object] | None = None

    @property
    def is_stopping(self) -> bool:
        """Whether no new task may be started."""
        return self.reason is not None

    @property
    def shutdown_seconds(self) -> float:
        """How long running tasks may go on after a stop signal."""
        seconds = app_settings.BACKGROUND_TASK_SHUTDOWN_SECONDS
        return seconds if self.shutdown is None else self.shutdown

    def stop(self, reason: str, *, within: float, is_order: bool = True) -> None:
        """Stop claiming; running tasks have ``within`` seconds.

        A second order means: at once. The end of ``--duration`` is not an order, so the first
        signal after it only shortens the time.
        """
        if self.is_stopping and not is_order:
            return
        if self._was_ordered or self.is_at_once:
            self.stop_now()
            return
        self._was_ordered = is_order
        self._deadline = time.monotonic() + within
        self.reason = reason
        self.polling.wake()

    def stop_now(self) -> None:
        """Leave without waiting for running tasks.

        Raises:
            StopNow: In the main thread, while it runs a task: that is how the task is interrupted.
                A coroutine that it waits for is cancelled instead, and may use the thread to clean
                up; the next order, a second later, raises.
        """
        self.reason = self.reason or "stopped at once"
        self.is_at_once = True
        self.polling.wake()
        if self._is_interruptible and threading.current_thread() is threading.main_thread():
            cancel, self._cancel = self._cancel, None
            if cancel is None:
                raise StopNow
            cancel()

    def remaining(self) -> float:
        """Return how many seconds running tasks still have; infinite while nobody stops."""
        if self.is_at_once:
            return 0.0
        if self._deadline is None:
            return float("inf")
        return max(0.0, self._deadline - time.monotonic())

    def open_to_interruption(self) -> None:
        """Allow ``stop_now`` to interrupt what follows, if this is the main thread.

        To be called within a ``try`` whose ``finally`` calls ``close_to_interruption``: an order
        may come before this has returned.
        """
        if threading.current_thread() is threading.main_thread():
            self._is_interruptible = True
            if self.is_at_once:
                raise StopNow

    def close_to_interruption(self) -> None:
        """Allow it no more."""
        if threading.current_thread() is threading.main_thread():
            self._is_interruptible = False

    @contextmanager
    def cancellable(self) -> Iterator[None]:
        """Wrap what a coroutine function awaits on behalf of the main thread."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # the code within is awaited
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            yield
        finally:
            self._cancel = None

    def enforce_deadline(self) -> None:
        """Called by the watchdog several times a second: see that the worker leaves in time.

        First the main thread's task is interrupted; again after a while, because a bare ``except:``
        may swallow the interruption. If the worker still does not get to leaving (it may be waiting
        for a lock or a socket), the process is ended.
        """
        if not self.is_stopping or self.remaining() > 0:
            return
        now = time.monotonic()
        if self._leaving_since is None:
            self._leaving_since = self._interrupted_at = now
            if not self.is_at_once:
                self.is_at_once = True
                self.interrupt()
            return
        if now - self._interrupted_at > AGAIN_SECONDS:
            self._interrupted_at = now
            self.interrupt()
        if now - self._leaving_since > LAST_SECONDS and self.end_process is not None:
            self.end_process()

    def interrupt(self) -> None:
        """Interrupt the main thread's task by a real signal, which also ends a system call."""
        self.polling.wake()
        if self._is_interruptible and self.has_signal_handlers:
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
            else:
                _thread.interrupt_main(signal.SIGTERM)

    def sleep(self, seconds: float) -> bool:
        """Sleep in a thread other than the loop's; return False when told to leave at once."""
        until = time.monotonic() + seconds
        while not self.is_at_once:
            left = until - time.monotonic()
            if left <= 0:
                return True
            time.sleep(min(left, SLICE_SECONDS))
        return False

    def pause(self) -> None:
        """Make the pause between tasks that was asked for (none by default)."""
        low, high = self.pause_range
        if not high:
            return
        until = time.monotonic() + random.uniform(low, high)
        while not self.is_stopping and (left := until - time.monotonic()) > 0:
            self.polling.wait(left)  # ended early by each task that a thread finishes


class Backoff:
    """Waits between tries of something that fails: the first try again is at once, then longer.

    Args:
        longest: The cap in seconds.
    """

    def __init__(self, *, longest: float) -> None:
        self.longest = longest
        self.failures = 0

    def next(self) -> float:
        """Count a failure and return the seconds to wait, with jitter."""
        self.failures += 1
        if self.failures == 1:
            return 0.0
        pause = min(self.longest, 0.05 * float(2 ** min(self.failures - 2, 16)))
        return pause * random.uniform(0.5, 1.0)

    def reset(self) -> bool:
        """Forget the failures; return whether there had been more than one."""
        had_failed, self.failures = self.failures > 1, 0
        return had_failed
