"""Keeps the books: each worker's own, and in one worker after the other those of the database.

What this worker has counted is written every few seconds. Putting rollups together, and writing
down how long the queues are, is another worker's turn each minute, as with thinning out the
archive. Two that do not agree on whose it is do no harm.

It has a thread, and now and then a connection, of its own: how long the queues are is most wanted
when all workers are busy with long tasks, and no heartbeat must wait for a lock on these tables.
"""

from __future__ import annotations

import threading
import time

from django.db import Error

from .. import telemetry
from ..recurrence.zone import instant
from ..store import Store, is_outage
from ..store.depth import depths
from ..store.rollups import Rollups
from .heartbeat import Identity
from .hygiene import close_connections
from .options import Options
from .pruner import DELAY_SECONDS, TURN_SECONDS, seconds_until_turn
from .recorder import INTERVAL_SECONDS, Recorder

#: No queue is counted further than this.
MOST_COUNTED = 100_000


class Bookkeeper(threading.Thread):
    """The thread.

    Args:
        store: Where the rows are.
        identity: The worker, whose name tells when it is its turn.
        options: How the worker runs. If it is to end by itself, perhaps before it has had a turn,
            it keeps the books then: where all workers are brief, nobody else would.
        recorder: What this worker counts.
    """

    def __init__(
        self, store: Store, identity: Identity, options: Options, recorder: Recorder
    ) -> None:
        super().__init__(name="background_task bookkeeper", daemon=True)
        self._store = store
        self._identity = identity
        self._recorder = recorder
        self._is_owed = options.is_batch or options.duration > 0
        self._ended = threading.Event()

    def run(self) -> None:
        """Keep the books until ``end`` is called."""
        turn_at = time.monotonic() + DELAY_SECONDS
        while not self._ended.wait(min(INTERVAL_SECONDS, max(0.0, turn_at - time.monotonic()))):
            if self._recorder.has_counted():
                self._recorder.try_to_write()
                close_connections()
            if time.monotonic() >= turn_at:
                turn_at = time.monotonic() + self._take_turn()
        if self._is_owed:
            self._take_turn(is_last=True)

    def end(self) -> None:
        """Stop; returns when the thread is gone, or is held up by a dead connection."""
        self._ended.set()
        self.join(timeout=5)

    def _take_turn(self, *, is_last: bool = False) -> float:
        """Keep the books if it is this worker's turn; return how many seconds to wait then."""
        try:
            now = self._store.now()
            living = self._identity.fleet.living(now=now)
            wait = seconds_until_turn(self._identity.name, living, now=now)
            if wait > 0 and not is_last:
                return wait
            rollups = Rollups(self._store.using)
            rollups.sample(depths(self._store.using, now, most=MOST_COUNTED), now=now)
            rollups.compact(now)
        except Exception as error:  # noqa: BLE001 - the worker's tasks are more important
            if not (isinstance(error, Error) and is_outage(error)):
                telemetry.event("not_counted", exception=error)
            return TURN_SECONDS
        finally:
            close_connections()
        self._is_owed = False
        return TURN_SECONDS - instant(now).timestamp() % TURN_SECONDS
