"""What a dead worker process leaves in the database is put in order, at once."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import Error

from .. import telemetry
from ..registry import Registry
from ..store import Fleet, Store
from ..store.rollups import Rollups
from .child import Key
from .control import Backoff
from .finish import land, tell
from .hygiene import close_connections
from .limit import after_timeout
from .recorder import Recorder
from .recovery import recover
from .terms import terms_of


@dataclass(frozen=True)
class Death:
    """A worker process that has ended.

    Attributes:
        names: The names under which it may have claimed something.
        timed_out: The runs for whose sake it was killed: how long each took, and its limit.
        begun: The other runs that it is known to have begun; None if nobody knows.
    """

    names: Sequence[str]
    timed_out: dict[Key, tuple[float, float]] = field(default_factory=dict)
    begun: frozenset[Key] | None = None


class Burial(threading.Thread):
    """Buries workers in the database, from a thread that no signal has to wait for.

    Args:
        store: The rows.
        registry: The functions by name.
        afterwards: Called when rows may have become free.
    """

    def __init__(self, store: Store, *, registry: Registry, afterwards: Callable[[], None]) -> None:
        super().__init__(name="worker processes: burial", daemon=True)
        self._store = store
        self._registry = registry
        self._afterwards = afterwards
        self._deaths: queue.SimpleQueue[Death | None] = queue.SimpleQueue()
        self._recorder = Recorder(Rollups(store.using), owners=None)
        self._is_last_try = threading.Event()

    def bury(self, death: Death) -> None:
        """Do it soon; a database that is away is waited for."""
        if death.names:
            self._deaths.put(death)

    def end(self, *, within: float) -> bool:
        """Do what is left to do; return whether it could be done in time."""
        self._deaths.put(None)
        self.join(timeout=within)
        is_done = not self.is_alive()  # asked first: told to give up, it may be gone in an instant
        self._is_last_try.set()
        return is_done

    def run(self) -> None:
        """Bury until ``end`` is called."""
        self._recorder.open()
        try:
            self._bury_all()
        finally:
            self._recorder.close()

    def _bury_all(self) -> None:
        while (death := self._deaths.get()) is not None:
            backoff = Backoff(longest=1.0)
            while not self._is_last_try.wait(backoff.next()):
                try:
                    lay_to_rest(self._store, death, registry=self._registry)
                except Error as error:
                    telemetry.event("outage", exception=error, hint="a dead worker is not buried")
                else:
                    self._afterwards()
                    self._recorder.try_to_write()
                    break
                finally:
                    close_connections()


def lay_to_rest(store: Store, death: Death, *, registry: Registry) -> None:
    """Finish, hand back and recover what a dead worker had claimed; all of it fenced."""
    for name in death.names:
        for claim in store.held_by(name):
            key = (claim.task_id, claim.number)
            if key in death.timed_out:
                seconds, limit = death.timed_out[key]
                outcome = after_timeout(
                    claim, terms_of(claim, registry), seconds=seconds, limit=limit
                )
                finish = land(store, claim, outcome)
                if finish is not None:
                    tell(store, claim, outcome, finish, seconds=seconds)
            elif death.begun is not None and key not in death.begun and store.release([claim]):
                telemetry.event("release", claim=claim, reason="its worker was killed before it")
        Fleet(store.using).retire(name)
    # A part of them at a time.
    while recover(store, registry=registry, declare=False, is_late=False):
        pass
