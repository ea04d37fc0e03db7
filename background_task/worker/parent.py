"""The process that started this worker, as the worker sees it.

Orders come on what the process was started with as its standard input; what the worker has to say
goes through a pipe, in lines of ASCII:

``N name``                    it works under this name (in the database)
``H``                         its heartbeat has reached the database
``B task number begun limit`` a run with a time limit began
``E task number``             it ended
``T``                         the worker is alive; said while something runs that has a limit
``C``                         all that was said of runs is forgotten, and said anew
``K task number``             this run cannot be ended; end the process
``R``                         the worker ends because it is to be recycled
``D``                         the worker ends because nothing is left to do
``S runs failures``           so many runs it has brought to an end, so many tasks have failed
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from .. import telemetry
from ..attempt import Claim
from .control import Control
from .drain import DRAINED
from .options import Summary
from .recycle import RECYCLED

#: Environment variable: the worker's number among its siblings, and the descriptor of the pipe.
VARIABLE = "BACKGROUND_TASK_PARENT"
#: Orders.
STOP, NOW, PAUSE, WAKE = "stop", "now", "pause", "wake"


class Parent:
    """The worker's end of the connection.

    Args:
        number: The worker's number among its siblings, for people.
        orders: Descriptor to read from. It ends when the parent does.
        reports: Descriptor to write to.
    """

    def __init__(self, number: int, *, orders: int, reports: int) -> None:
        self.number = number
        self._orders = orders
        self._reports = reports
        self._pid = os.getpid()
        self._has_lost_something = False
        with suppress(OSError):  # Windows, before Python 3.12
            os.set_blocking(reports, False)

    @classmethod
    def of_this_process(cls) -> Parent | None:
        """Return the supervisor that started this process; None if it was somebody else.

        What this process starts itself is to know nothing of it: neither the variable nor the
        descriptors are passed on, and the standard input becomes an empty one.
        """
        words = os.environ.pop(VARIABLE, "").split(":")
        if len(words) != 2:
            return None
        reports = _open_reports(int(words[1]))
        orders = os.dup(0)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        return cls(int(words[0]), orders=orders, reports=reports)

    # -- orders ---------------------------------------------------------------------------------

    def obey(self, control: Control) -> None:
        """Pass orders on from now on; the end of the parent is one, too."""
        listener = threading.Thread(
            target=self._listen, args=(control,), name="background_task orders", daemon=True
        )
        listener.start()

    def _listen(self, control: Control) -> None:
        with open(self._orders, encoding="utf-8", errors="replace") as orders, suppress(OSError):
            for line in orders:
                _carry_out(line.split(" "), control)
        reason = "the process that started this worker is gone"
        _stop(control, reason, within=control.shutdown_seconds)

    # -- reports --------------------------------------------------------------------------------

    @contextmanager
    def informed(self, control: Control, *, name: str) -> Iterator[None]:
        """Obey and report while the worker works.

        Args:
            control: Where orders go.
            name: The name under which the worker is going to claim.
        """
        self.obey(control)
        self.introduce(name)
        control.limits.witness = self
        with telemetry.subscribed(self.on_event, to=("evicted", "heartbeat")):
            yield
        if (control.reason or "").startswith(RECYCLED):
            self._say("R")
        elif control.reason == DRAINED:
            self._say("D")

    def on_event(self, name: str, fields: Mapping[str, Any]) -> None:
        """Tell the worker's new name, and of its heartbeat; a subscriber of the telemetry."""
        if name == "evicted":
            self.introduce(fields["name"])
        elif name == "heartbeat":
            self._say("H")

    def introduce(self, name: str) -> None:
        """Tell the name under which this worker is going to claim."""
        self._say("N", name)

    def sum_up(self, summary: Summary) -> None:
        """Tell what became of the tasks."""
        self._say("S", summary.processed, summary.failures)

    def ask_for_the_end(self, claim: Claim) -> None:
        """Tell that this run cannot be ended from within."""
        self._say("K", claim.task_id, claim.number)

    def begin(self, claim: Claim, *, begun: float, limit: float) -> None:
        """A run with a limit began; see ``limit.Witness``, as for the next three."""
        self._say("B", claim.task_id, claim.number, begun, limit)

    def end(self, claim: Claim) -> None:
        """The function has returned or raised."""
        self._say("E", claim.task_id, claim.number)

    def is_behind(self) -> bool:
        """Say that the process is alive; return whether something could not be said."""
        self._say("T")
        return self._has_lost_something

    def forget(self) -> None:
        """All runs are about to be named anew."""
        self._has_lost_something = False
        self._say("C")

    def _say(self, *words: object) -> None:
        """Write a line at once or not at all: a parent that stands still must not hold this up."""
        if os.getpid() != self._pid:  # a process that a task has forked
            return
        line = " ".join(map(str, words)) + "\n"
        try:
            os.write(self._reports, line.encode("ascii"))
        except BlockingIOError:
            self._has_lost_something = True
        except OSError:  # the parent is gone; the other pipe tells
            pass


def _carry_out(words: list[str], control: Control) -> None:
    order, rest = words[0].strip(), words[1:]
    if order == STOP:
        _stop(control, " ".join(rest[1:]).strip(), within=float(rest[0]))
    elif order == NOW:
        control.stop_now()
        control.interrupt()  # this is not the main thread, where it would have been raised
    elif order == PAUSE:
        control.pause_range = (float(rest[0]), float(rest[1]))
    elif order == WAKE:
        control.polling.wake()


def _stop(control: Control, reason: str, *, within: float) -> None:
    """Stop as after a signal.

    It does not count as one: this process may get the same signal as its parent, and two signals
    would mean that it has to leave at once.
    """
    control.stop(reason, within=within, is_order=False)


def _open_reports(number: int) -> int:
    """Return the descriptor of a pipe that was passed by number, by handle on Windows."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.open_osfhandle(number, os.O_WRONLY)
    os.set_inheritable(number, False)
    return number
