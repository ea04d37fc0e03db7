"""Leaving off when somebody asks for it: in long tasks, and in programs of your own."""

from __future__ import annotations

import _thread
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from types import FrameType, TracebackType
from typing import Any, Protocol

from .current import CurrentTask, current_task
from .exceptions import InvalidOptionError, duration_of

logger = logging.getLogger(__name__)

#: How often a task that waits looks whether its worker is stopping.
SLICE_SECONDS = 0.1
#: How a process ends that is not given the time to end by itself.
FORCED = 1


class Shutdown(Protocol):
    """Something that tells when to leave off."""

    def is_set(self) -> bool:
        """Tell whether it is time."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is time, at most so many seconds; return whether it is."""
        ...


class GracefulShutdown:
    """Turns signals into an event, for a program of your own.

    As in::

        with GracefulShutdown() as shutdown, Runner():
            shutdown.wait()

    In the main thread it takes the signals over until the block ends; in other threads, where
    Python allows no handlers, only ``set`` sets it. Inside a worker of ``process_tasks`` it is not
    needed: that has handlers of its own.

    Args:
        signals: Which; None is SIGINT and SIGTERM, on Windows SIGBREAK, too.
        timeout: Seconds after the first signal at which the process is ended with status 1, if the
            block has not ended by then; 0 is never.
        on_signal: Called with the number of each signal, in a thread of its own.
        force_on_repeat: Whether a second signal ends the process at once, with status 1.
        log_signals: Whether the first signal is logged.

    Raises:
        InvalidOptionError: A ``timeout`` below 0.
    """

    def __init__(
        self,
        signals: Iterable[int] | None = None,
        *,
        timeout: float = 0,
        on_signal: Callable[[int], object] | None = None,
        force_on_repeat: bool = True,
        log_signals: bool = True,
    ) -> None:
        self.signals = tuple(_usual_signals() if signals is None else signals)
        self.timeout = duration_of(timeout, what="timeout").total_seconds()
        if self.timeout < 0:
            raise InvalidOptionError(f"timeout {timeout!r} is below 0; use seconds, 0 for never")
        self.on_signal = on_signal
        self.force_on_repeat = force_on_repeat
        self.log_signals = log_signals
        self.event = threading.Event()
        #: The first signal that came, and how many have come.
        self.signal_number: int | None = None
        self.request_count = 0
        self._has_left = threading.Event()
        self._previous: dict[int, Any] = {}

    def is_set(self) -> bool:
        """Tell whether it is time to leave off."""
        return self.request_count > 0 or self.event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is, at most so many seconds; return whether it is."""
        return self.event.wait(timeout) or self.is_set()

    def set(self) -> None:
        """Ask for it from code."""
        self.event.set()

    def install(self) -> None:
        """Take the signals over, and become the active one."""
        self._has_left.clear()
        _active.append(self)
        if threading.current_thread() is threading.main_thread():
            for number in self.signals:
                self._previous[number] = signal.signal(number, self._handle)

    def uninstall(self) -> None:
        """Give the signals back to whoever had them."""
        self._has_left.set()
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self in _active:
            _active.remove(self)

    def __enter__(self) -> GracefulShutdown:
        """Install it."""
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Uninstall it."""
        self.uninstall()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal.

        What takes a lock is left to another thread: the code that the signal has interrupted may
        have it. That thread is started by hand, because ``threading.Thread`` takes locks, too.
        """
        self.request_count += 1
        if self.signal_number is None:
            self.signal_number = number
        if self.request_count > 1 and self.force_on_repeat:
            os._exit(FORCED)
        _thread.start_new_thread(self._follow_up, (number, self.request_count))

    def _follow_up(self, number: int, count: int) -> None:
        self.event.set()
        if self.log_signals and count == 1:
            logger.info("%s: leaving off", signal.Signals(number).name)
        if self.on_signal is not None:
            try:
                self.on_signal(number)
            except Exception:
                logger.exception("on_signal has failed")
        if self.timeout and count == 1 and not self._has_left.wait(self.timeout):
            logger.error("Not done within %g s: ending the process", self.timeout)
            os._exit(FORCED)


class TaskShutdown:
    """What a task sees of its worker's orders, and of its own cancellation.

    Args:
        task: The run.
    """

    def __init__(self, task: CurrentTask) -> None:
        self._task = task

    def is_set(self) -> bool:
        """Tell whether the task should leave off."""
        return self._task.is_stopping()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it should, at most so many seconds; return whether it should."""
        until = None if timeout is None else time.monotonic() + timeout
        while not self.is_set():
            left = SLICE_SECONDS if until is None else until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(left, SLICE_SECONDS))
        return True


#: Those that are installed; the last one counts.
_active: list[GracefulShutdown] = []


def get_active_shutdown() -> Shutdown | None:
    """Return what tells this code when to leave off; None if nothing does.

    In a task that is its worker, elsewhere the ``GracefulShutdown`` that was installed last. May be
    called by any thread.
    """
    task = current_task()
    if task is not None:
        return TaskShutdown(task)
    return next(reversed(_active.copy()), None)


def is_shutdown_requested() -> bool:
    """Tell whether this code should leave off; a task also when it has been cancelled.

    A task is also asked to by a ``GracefulShutdown`` of its process. May be called by any thread.
    """
    shutdown = get_active_shutdown()
    if shutdown is not None and shutdown.is_set():
        return True
    return any(installed.is_set() for installed in _active.copy())


def _usual_signals() -> list[int]:
    signals: list[int] = [signal.SIGINT, signal.SIGTERM]
    if sys.platform == "win32":
        signals.append(signal.SIGBREAK)
    return signals
