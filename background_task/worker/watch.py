"""What runs since when, and what is worth saying about it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .. import telemetry
from ..attempt import Claim
from ..settings import app_settings
from ..store import Store
from .control import Control
from .options import Options
from .part import Part, wanted_by


class Begun(NamedTuple):
    """A run that has begun.

    Attributes:
        claim: The row.
        at: ``time.monotonic()`` at the beginning.
        thread: The identifier of the thread that runs it.
    """

    claim: Claim
    at: float
    thread: int


class Watch:
    """The runs of one worker, asked by the watchdog's thread.

    Args:
        control: The worker's orders.
    """

    def __init__(self, control: Control) -> None:
        self._control = control
        self._begun: dict[tuple[int, int], Begun] = {}
        self._overrun_told: set[tuple[int, int]] = set()
        self._unknown_told: set[str] = set()
        self._is_stopping_told = False

    def checks(self) -> Sequence[Callable[[], None]]:
        """Return what is to be called several times a second."""
        return self.tell_stopping, self.tell_overrun

    def begin(self, claim: Claim) -> float:
        """Take note of a run; return the time."""
        now = time.monotonic()
        self._begun[claim.task_id, claim.number] = Begun(claim, now, threading.get_ident())
        return now

    def end(self, claim: Claim) -> None:
        """Forget a run."""
        key = (claim.task_id, claim.number)
        self._begun.pop(key, None)
        if self._overrun_told:
            self._overrun_told.discard(key)

    def begun(self) -> list[Begun]:
        """Return the runs that have not ended."""
        return list(self._begun.copy().values())

    def tell_stopping(self) -> None:
        """Say what may still finish; not from the signal handler, which must not log."""
        if not self._control.is_stopping or self._is_stopping_told:
            return
        self._is_stopping_told = True
        running = [begun.claim for begun in self.begun()]
        if running:
            telemetry.event(
                "stopping",
                reason=self._control.reason,
                running=running,
                seconds=self._control.remaining(),
            )

    def tell_unknown(self, store: Store, parts: Sequence[Part], options: Options) -> None:
        """Say once of each function for which rows are due that this worker does not run it.

        Not where it is to run the tasks of some backends only.
        """
        if options.backends is not None:
            return
        names, backends = wanted_by(parts)
        found = store.unknown_names(names, backends=backends, queues=options.queues)
        if not self._unknown_told.issuperset(found):
            self._unknown_told.update(found)
            telemetry.event("unknown", names=found)

    def tell_overrun(self) -> None:
        """Say of each run once that it takes long; it is not ended, nor given to another."""
        limit, now = app_settings.MAX_RUN_TIME, time.monotonic()
        for claim, at, _ in self.begun():
            key = (claim.task_id, claim.number)
            if now - at > limit and key not in self._overrun_told:
                self._overrun_told.add(key)
                telemetry.event("overrun", claim=claim, seconds=now - at)
