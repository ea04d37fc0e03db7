"""Takes back what dead workers held."""

from __future__ import annotations

import time
from datetime import timedelta

from ..attempt import Claim, after_loss
from ..registry import Registry
from ..settings import app_settings
from ..store import Fleet, Store
from ..wakeup import notify_after_commit
from .finish import land, tell
from .heartbeat import BEATS_PER_LEASE, LONGEST_RETRY_SECONDS, Heartbeat
from .terms import terms_of

#: After an outage every worker's lease looks expired. The living renew theirs within this time.
GRACE_SECONDS = 5 * LONGEST_RETRY_SECONDS


def recover(
    store: Store, *, registry: Registry | None = None, declare: bool = True, is_late: bool = True
) -> int:
    """Spend the lost attempt of each row whose owner is gone; return how many rows there were.

    It is the same ``finish`` as everybody's, with the dead owner's claim: should the owner be
    alive after all and finish at the same moment, exactly one of the two changes the row.
    """
    recovered = 0
    for claim in store.left_behind(declare=declare):
        terms = terms_of(claim, registry or {})
        most = app_settings.MAX_ATTEMPTS
        outcome = after_loss(claim, terms, max_attempts=most, is_late=is_late)
        finish = land(store, claim, outcome)
        if finish is not None:
            recovered += 1
            tell(store, claim, outcome, finish, lost=True)
    if recovered:
        notify_after_commit(store.using)  # this worker may be too busy to run them itself
    return recovered


class Recovery:
    """Recovers at intervals, once the database has been in reach for long enough to judge others.

    Args:
        store: Where the rows are.
        registry: The functions by name, which say how often they are tried.
        lease: The worker's own lease.
        duration: How long the worker will run, None for ever.
        heartbeat: Knows since when the database has been in reach; None inside a transaction.
    """

    def __init__(
        self,
        store: Store,
        *,
        registry: Registry,
        lease: timedelta,
        duration: float | None,
        heartbeat: Heartbeat | None,
    ) -> None:
        self.store = store
        self.registry = registry
        self.heartbeat = heartbeat
        self.interval = lease.total_seconds() / BEATS_PER_LEASE
        self.grace = min(GRACE_SECONDS, self.interval)
        if duration is not None:
            self.grace = min(self.grace, duration / 2)
        self._next = time.monotonic()
        self._has_run = False

    def seconds_until_due(self) -> float:
        """Return how long the loop may sleep before it should call ``run_if_due``."""
        waiting = self._next - time.monotonic()
        if self.heartbeat is not None:
            waiting = max(waiting, self.grace - self.heartbeat.contact_seconds())
        return max(0.0, waiting)

    def run_if_due(self) -> int:
        """Recover if it is time to."""
        if self.seconds_until_due() > 0:
            return 0
        self._next = time.monotonic() + self.interval
        recovered = recover(self.store, registry=self.registry)
        self._has_run = True
        return recovered

    def is_owed(self) -> bool:
        """Tell whether workers seem to be dead of whom nobody here has taken anything back yet."""
        if self._has_run:
            return False
        is_anyone_overdue = Fleet(self.store.using).is_anyone_overdue()
        return is_anyone_overdue or bool(self.store.left_behind(limit=1, declare=False))


def claims_lost_on_the_way(held: list[Claim], known: list[Claim]) -> list[Claim]:
    """Return the claims that the database has and this worker does not know of."""
    numbers = {(claim.task_id, claim.number) for claim in known}
    return [claim for claim in held if (claim.task_id, claim.number) not in numbers]
