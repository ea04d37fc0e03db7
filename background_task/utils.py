"""Operating system signals."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Any

from .worker import Control

#: Seconds between tasks, least and most, after SIGUSR2.
TTW_SLOW = [0.5, 1.5]
#: The same after SIGUSR1 and by default. No pause is made while it is this very list.
TTW_FAST = [0.0, 0.1]

#: What ``signal.getsignal`` wraps. Up to Python 3.12, the wrapper looks for each handler among the
#: members of an enum, which takes as long as all else that is put in order after a task.
_getsignal = getattr(sys.modules.get("_signal"), "getsignal", signal.getsignal)


class SignalManager:
    """Turns signals into orders to a worker.

    SIGTERM, SIGINT, SIGQUIT and SIGTSTP stop it gracefully, a second one at once; SIGUSR1 and
    SIGUSR2 make it fast and slow again. SIGURG, which the worker sends itself, ends a task. Windows
    has SIGTERM, SIGINT and SIGBREAK. Outside the main thread, where Python allows no handlers,
    nothing is installed.

    Args:
        control: Where the orders go; without one only the attributes change.
    """

    kill_now = False
    time_to_wait = TTW_FAST

    def __init__(self, control: Control | None = None) -> None:
        self.control = control
        self._previous: dict[int, Any] = {}
        #: What is installed: these very objects, as each ``self.method`` makes a new one.
        self._own: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            return
        self._own = self._handlers()
        for number, handler in self._own.items():
            self._previous[number] = signal.signal(number, handler)
        _installed.add(self)
        if control is not None:
            control.has_signal_handlers = control.limits.has_signal_handler = True
            control.guards.append(self.reinstall)

    def exit_gracefully(self, signum: int, frame: FrameType | None) -> None:
        """Stop after the running tasks; if already stopping, at once."""
        self.kill_now = True
        if self.control is not None:
            name = signal.Signals(signum).name
            self.control.stop(name, within=self.control.shutdown_seconds)

    def speed_up(self, signum: int, frame: FrameType | None) -> None:
        """Make no pause between tasks."""
        self._set_pause(TTW_FAST)

    def slow_down(self, signum: int, frame: FrameType | None) -> None:
        """Pause half a second to one and a half between tasks."""
        self._set_pause(TTW_SLOW)

    def end_task(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the task that has reached its time limit."""
        if self.control is not None:
            self.control.limits.on_signal()

    def reinstall(self) -> str | None:
        """Take back signals for which a task installed its own handlers; say so."""
        if threading.current_thread() is not threading.main_thread():
            return None
        stolen = [
            number for number, handler in self._own.items() if _getsignal(number) is not handler
        ]
        if not stolen:
            return None
        for number in stolen:
            signal.signal(number, self._own[number])
        names = ", ".join(signal.Signals(number).name for number in stolen)
        return f"it had changed the handler of {names}"

    def restore(self) -> None:
        """Put back the handlers that were there before."""
        for number, handler in self._previous.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._previous.clear()
        self._own.clear()  # they refer to this

    def _handlers(self) -> dict[int, Any]:
        wanted = {
            "SIGTERM": self.exit_gracefully,
            "SIGINT": self.exit_gracefully,
            "SIGBREAK": self.exit_gracefully,
            "SIGTSTP": self.exit_gracefully,
            "SIGQUIT": self.exit_gracefully,
            "SIGUSR1": self.speed_up,
            "SIGUSR2": self.slow_down,
            "SIGURG": self.end_task,
        }
        return {
            getattr(signal, name): handler
            for name, handler in wanted.items()
            if hasattr(signal, name)
        }

    def _set_pause(self, time_to_wait: list[float]) -> None:
        self.time_to_wait = time_to_wait
        if self.control is not None:
            is_fast = time_to_wait is TTW_FAST
            self.control.pause_range = (0.0, 0.0) if is_fast else (time_to_wait[0], time_to_wait[1])


_installed: weakref.WeakSet[SignalManager] = weakref.WeakSet()


def _restore_in_child() -> None:
    """Give a process that a task forked its signals back.

    ``multiprocessing`` ends its children by SIGTERM; one that obeyed the worker's handler would
    never end. Done at the fork, because Python runs no handler in a child that is about to wait.
    """
    for manager in tuple(_installed):
        manager.restore()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restore_in_child)
