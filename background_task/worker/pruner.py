"""Thins out the archive by itself, a little at a time, in one worker after the other.

There is no leader. Time is divided into turns, by the database's clock, and the living workers take
them by the order of their names: so at any time one of them thins out, and each time another one,
lest the one that should is busy with a long task. Two that do not agree on who is there may both do
it; then each deletes what the other has left.

For each length of time for which rows are kept, a position goes once through the archive from the
oldest row to those that have just become old enough. What has another length of time is passed
over, once, and not looked at again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import Error

from .. import telemetry
from ..recurrence.zone import instant
from ..retention import Keeping, Retention, before
from ..settings import app_settings
from ..store import Store, is_outage
from ..store.archive import Archive, Entry
from ..store.history import is_new_project
from .heartbeat import Identity
from .served import own_backends

#: How long each worker has its turn.
TURN_SECONDS = 60.0
#: How many rows are looked at together, and deleted with one statement: some milliseconds.
BATCH_SIZE = 500
#: The pause after a batch is so many times as long as the batch took: 2% of a worker's time.
REST = 50
SHORTEST_REST_SECONDS = 0.05
#: A worker that has just started has better things to do.
DELAY_SECONDS = 10.0
#: What somebody held while the position passed, or has brought from elsewhere, is found when the
#: walk begins anew.
ROUND_SECONDS = 24 * 3600.0
#: How long finished tasks are kept where the project does not say.
NEW = Retention(timedelta(days=30))
FOR_EVER = Retention()


def keeping_in(using: str) -> Keeping:
    """Return which retention counts for the rows of a database.

    Raises:
        InvalidOptionError: The project's setting cannot work.
        InvalidOptionTypeError: Likewise.
    """
    common = app_settings.BACKGROUND_TASK_RETAIN
    if common is None:
        common = NEW if is_new_project(using) else FOR_EVER
    own = own_backends().items()
    return Keeping(common, {a: b.retention for a, b in own if b.retention is not None})


def seconds_until_turn(name: str, living: Sequence[str], *, now: datetime) -> float:
    """Return how long a worker has to wait for its turn; 0 if this is it."""
    elapsed = instant(now).timestamp()
    turn = math.floor(elapsed / TURN_SECONDS)
    order = sorted(living)
    if name not in order:  # others took it for dead; by the next turn it has another name
        return (turn + 1) * TURN_SECONDS - elapsed
    ahead = (order.index(name) - turn) % len(order)
    return max(0.0, (turn + ahead) * TURN_SECONDS - elapsed)


class Pruner:
    """Deletes finished tasks that have been kept for long enough.

    Args:
        store: Where the rows are.
        identity: The worker, whose name tells when it is its turn.
        duration: How long the worker will run, 0 or less for ever.
        keeping: Which retention counts; None for what the project says.
    """

    def __init__(
        self,
        store: Store,
        identity: Identity,
        duration: float = 0.0,
        *,
        keeping: Keeping | None = None,
    ) -> None:
        self.store = store
        self.archive = Archive(store.using)
        self.identity = identity
        self._keeping = keeping
        self._positions: dict[timedelta, Entry] = {}
        started = time.monotonic()
        self._round_ends = started + ROUND_SECONDS
        self._due = started + min(DELAY_SECONDS, duration / 2 if duration > 0 else math.inf)

    def seconds_until_due(self) -> float:
        """Return how long the loop may sleep before it should call ``run_if_due``."""
        return max(0.0, self._due - time.monotonic())

    def run_if_due(self) -> int:
        """Delete a few rows, if it is time to; return how many."""
        if self.seconds_until_due() > 0:
            return 0
        begun = time.monotonic()
        # If it fails, the worker must get to its tasks before it tries again.
        self._due = begun + TURN_SECONDS
        if self._keeping is None:
            self._keeping = keeping_in(self.store.using)
        if not self._keeping.spans():
            self._due = math.inf
            return 0
        now = self.store.now()
        living = self.identity.fleet.living(now=now)
        if (wait := seconds_until_turn(self.identity.name, living, now=now)) > 0:
            self._due = begun + wait
            return 0
        deleted, is_done = self.prune(now)
        ended = time.monotonic()
        rest = TURN_SECONDS if is_done else max((ended - begun) * REST, SHORTEST_REST_SECONDS)
        self._due = ended + rest
        return deleted

    def prune(self, now: datetime) -> tuple[int, bool]:
        """Delete what one batch finds; return how many rows, and whether nothing was left to see.

        Args:
            now: The database's time.
        """
        if time.monotonic() >= self._round_ends:
            self._positions, self._round_ends = {}, time.monotonic() + ROUND_SECONDS
        keeping = self._keeping or keeping_in(self.store.using)
        deleted = 0
        for span in keeping.spans():
            limit = before(now, span)
            if limit is None:
                continue
            entries = self.archive.entries(
                after=self._positions.get(span), before=limit, most=BATCH_SIZE
            )
            old = [each.pk for each in entries if keeping.of(each.task_name, each.backend) == span]
            if old:
                deleted += self._discard(old)
            if entries:
                self._positions[span] = entries[-1]
            if len(entries) == BATCH_SIZE:
                return deleted, False
        return deleted, self._discard_logs(keeping, now) < BATCH_SIZE

    def _discard_logs(self, keeping: Keeping, now: datetime) -> int:
        """Delete the logs of tasks that are in no table any more; return how many."""
        longest = keeping.longest()
        limit = None if longest is None else before(now, longest)
        return 0 if limit is None else self.archive.logs.discard_before(limit, most=BATCH_SIZE)

    def _discard(self, keys: Sequence[int]) -> int:
        """Delete rows; what refuses to be deleted stays, and nothing else."""
        deleted, refused, reason = 0, 0, None
        parts = [keys]
        while parts:
            some = parts.pop()
            try:
                deleted += self.archive.discard(some)
            except Exception as error:  # a receiver of the project's, or a protected key
                if isinstance(error, Error) and is_outage(error):
                    raise
                if half := len(some) // 2:
                    parts += [some[half:], some[:half]]
                else:
                    refused, reason = refused + len(some), error
        if deleted:
            telemetry.event("pruned", rows=deleted)
        if reason is not None:
            telemetry.event("not_pruned", rows=refused, exception=reason)
        return deleted
