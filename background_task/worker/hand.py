"""What a worker holds and does not run yet: found again when lost, handed back when in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from .. import telemetry
from ..attempt import Claim
from ..store import Store
from ..wakeup import Polling
from .executors import Executor
from .gather import STALLED_SECONDS, Gatherer
from .heartbeat import Identity
from .hygiene import close_connections
from .part import Part
from .recovery import claims_lost_on_the_way


class Hand:
    """The claims of one worker that have not begun.

    Args:
        store: The rows.
        identity: Under which name they are held.
        parts: What runs, and what waits to be run.
        gatherer: Outcomes that are not in the database yet.
        polling: Wakes the loop.
    """

    def __init__(
        self,
        store: Store,
        *,
        identity: Identity,
        parts: Sequence[Part],
        gatherer: Gatherer,
        polling: Polling,
    ) -> None:
        #: Whether the database may hold claims of which this worker does not know.
        self.is_unsure = False
        self._store = store
        self._identity = identity
        self._parts = parts
        self._gatherer = gatherer
        self._polling = polling
        #: Two rivals: the keeper hands claims back, and the loop adopts what it does not know.
        #: A claim adopted before its release would be run here and by whoever takes it next.
        self._lock = threading.Lock()
        #: What was not allowed to begin, and is still among what its executor has.
        self._refused: set[Claim] = set()

    def let_go_of_stalled(self) -> None:
        """Let others have what waits behind slow tasks."""
        now = time.monotonic()
        stalled = [p for p in self._parts if p.executor.is_stalled(now, STALLED_SECONDS)]
        if stalled:
            self.give_back(stalled)

    def give_back(self, parts: Sequence[Part]) -> None:
        """Let others have what has not begun of these parts."""
        with self._lock:
            claims = [claim for part in parts for claim in part.take_back()]
            if not claims:
                return
            try:
                self._store.release(claims)
            except Exception:  # noqa: BLE001 - on broken sockets drivers raise more than Error
                self.is_unsure = True  # they are looked for among what the database says is held
                self._polling.wake()
                return
        telemetry.event("handed_back", claims=claims)

    def leave(self) -> None:
        """Release all that has not begun, before what runs is waited for.

        If that fails, it is released at the end, with what has not ended by then.
        """
        with self._lock:
            for part in self._parts:
                part.take_back()
            try:
                claims = self._unknown()
                self._store.release(claims)
            except Exception:  # noqa: BLE001 - see above
                return
        for claim in claims:
            telemetry.event("release", claim=claim, reason="the worker stops")

    def say_goodbye(self, left: Sequence[Claim]) -> None:
        """Release all that is still held, without spending an attempt, and retire.

        Args:
            left: What has not ended; some of it may be held under an earlier name.
        """
        names = {self._identity.name, *(claim.owner for claim in left)}
        held = [claim for name in names for claim in self._store.held_by(name)]
        for claim in held:
            if self._store.release([claim]):
                telemetry.event("release", claim=claim, reason="the worker stops")
        self._identity.retire()

    def adopt(self) -> list[Claim]:
        """Return claims that were committed although the confirmation never arrived."""
        if not self.is_unsure:
            return []
        with self._lock:
            # Two rivals: this, and an executor that is about to drop what must not begin. Looked
            # at before that, it would seem to run, and nobody would ever look again.
            refused = self._refused.intersection(self._known())
            self.is_unsure, self._refused = bool(refused), refused
            lost = self._unknown()
        if lost:
            telemetry.event("adopt", claims=lost)
        return lost

    def may_begin(self, claim: Claim) -> bool:
        """Tell whether a claim is still this worker's, as far as it can know without asking.

        A process that stood still for longer than its lease finds what it had in hand run by
        others, or about to be.
        """
        if self._identity.is_overdue():
            try:
                self._identity.renew()
            except Exception:  # noqa: BLE001 - see above
                for part in self._parts:
                    part.take_back()
                with self._lock:
                    self._refused.add(claim)
                    self.is_unsure = True
                self._polling.wake()
                return False
        return claim.owner == self._identity.name

    def cancelled(self) -> frozenset[tuple[int, int]]:
        """Return what is held and somebody has cancelled: keys of rows, and claim numbers."""
        return frozenset(self._store.cancel_requests(self._identity.name))

    def _unknown(self) -> list[Claim]:
        """Return what the database says is held and neither runs, nor waits, nor has ended.

        What runs is asked first. The other way round, a task that ended between the two questions
        would still be among the held and no longer among the running, and be run again.
        """
        known = [*self._known(), *self._gatherer.claims()]
        return claims_lost_on_the_way(self._store.held_by(self._identity.name), known)

    def _known(self) -> list[Claim]:
        """Return what runs or waits."""
        return [claim for part in self._parts for claim in part.executor.claims()]


class Keeper(threading.Thread):
    """Sees that a slow task holds up neither the outcomes of others nor the tasks in hand.

    For executors that run tasks in the loop's own thread, which can then see to nothing else.

    Args:
        gatherer: The outcomes.
        executor: What runs, and what is in hand.
        hand: What has not begun.
    """

    INTERVAL_SECONDS = 0.02

    def __init__(self, gatherer: Gatherer, executor: Executor, *, hand: Hand) -> None:
        super().__init__(name="background_task keeper", daemon=True)
        self._gatherer = gatherer
        self._executor = executor
        self._hand = hand
        self._needed = threading.Event()
        self._ended = threading.Event()

    def look_out(self) -> None:
        """Called by the loop when something is in hand."""
        self._needed.set()

    def run(self) -> None:
        """Look after both until ``end`` is called."""
        while not self._ended.is_set():
            self._needed.wait()
            self._needed.clear()
            while self._has_work() and not self._ended.wait(self.INTERVAL_SECONDS):
                self._look_after()
        close_connections()

    def end(self) -> None:
        """Stop."""
        self._ended.set()
        self._needed.set()
        if self.is_alive():
            self.join(timeout=5)

    def _has_work(self) -> bool:
        return not self._gatherer.is_empty or self._executor.has_waiting()

    def _look_after(self) -> None:
        self._hand.let_go_of_stalled()
        if self._gatherer.is_due(time.monotonic()):
            self._gatherer.flush(timeout=0)
