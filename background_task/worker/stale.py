"""Takes back rows that have been claimed for long, at somebody's wish rather than by the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..attempt import LARGEST_ATTEMPTS, Claim, Failed, Retry, after_loss
from ..policy import Policy
from ..registry import Registry
from ..retention import before
from ..settings import app_settings
from ..store import Fleet, Store
from ..store.selection import ALL, Selection
from ..wakeup import notify_after_commit
from .finish import land, tell
from .recovery import GRACE_SECONDS
from .terms import terms_of


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of tasks that had been claimed for long.

    Attributes:
        found: How many there were.
        requeued: Those that wait again; of a dry run, those that would be taken from their owners.
        failed: Those that had no attempt left, or were to be marked as failed.
        cancelled: Those that somebody had cancelled.
        forced: Those, among the three above, that were taken from owners that are alive.
        spared: Those that were left to owners that are alive.
    """

    found: int = 0
    requeued: int = 0
    failed: int = 0
    cancelled: int = 0
    forced: int = 0
    spared: int = 0

    def with_more(self, **counts: int) -> Requeued:
        """Return it with these added."""
        return replace(self, **{name: getattr(self, name) + n for name, n in counts.items()})


@dataclass(frozen=True, slots=True)
class Rule:
    """What is to become of rows that have been claimed for long.

    Attributes:
        max_attempts: After how many attempts they have failed; None for what each says itself, 0
            for any number.
        mark_failed: Whether they have failed anyhow.
        force: Whether they are taken even from owners that are alive.
        watch_seconds: How long owners that look dead are watched before they are declared so.
    """

    max_attempts: int | None = None
    mark_failed: bool = False
    force: bool = False
    watch_seconds: float = GRACE_SECONDS

    def outcome(self, claim: Claim, terms: Policy, *, is_alive: bool) -> Retry | Failed:
        """Return what is to be recorded of a claim."""
        if self.max_attempts is not None:
            terms = replace(terms, max_attempts=self.max_attempts or LARGEST_ATTEMPTS)
        if self.mark_failed:
            terms = replace(terms, max_attempts=claim.attempt)
        outcome = after_loss(claim, terms, max_attempts=app_settings.MAX_ATTEMPTS)
        if not is_alive:
            return outcome
        error = f"attempt {claim.attempt} was taken by force from {claim.owner}, which is alive\n"
        return replace(outcome, error=error)


def requeue_stale(
    store: Store,
    *,
    older_than: timedelta,
    rule: Rule,
    registry: Registry,
    selection: Selection = ALL,
    batch_size: int = 1000,
    dry_run: bool = False,
    note: Callable[[Claim, str], None] | None = None,
) -> Requeued:
    """Take back rows that were claimed longer ago than this and whose owner is gone.

    It is what recovery does, with the same fence: should an owner be alive after all and finish at
    the same moment, exactly one of the two changes the row.

    Args:
        store: Where the rows are.
        older_than: How long ago they were claimed.
        rule: What becomes of them.
        registry: The functions by name.
        selection: Which rows.
        batch_size: How many are read at once.
        dry_run: Only count them.
        note: Is told of each claim that was taken back, and what became of it: ``"requeued"``,
            ``"failed"`` or ``"cancelled"``.
    """
    fleet = Fleet(store.using)
    if not dry_run and not store.in_transaction():
        _declare_dead(fleet, store, seconds=rule.watch_seconds)
    now = store.now()
    limit = before(now, older_than)
    done, beyond = Requeued(), 0
    silent = set(fleet.silent(now=now)) if dry_run else set()
    while limit is not None:
        claims = store.claimed_before(limit, selection=selection, beyond=beyond, most=batch_size)
        if not claims:
            break
        beyond = claims[-1].task_id
        gone = store.without_owner(claims, now=now)
        for claim in claims:
            is_alive = claim.task_id not in gone and claim.owner not in silent
            done = done.with_more(found=1)
            if is_alive and not rule.force:
                done = done.with_more(spared=1)
            elif dry_run:
                done = done.with_more(requeued=1, forced=int(is_alive))
            else:
                outcome = rule.outcome(claim, terms_of(claim, registry), is_alive=is_alive)
                what = _take_back(store, claim, outcome)
                if what is None:
                    continue
                done = done.with_more(**{what: 1}, forced=int(is_alive))
                if note is not None:
                    note(claim, what)
    if done.requeued and not dry_run:
        notify_after_commit(store.using)
    return done


def _take_back(store: Store, claim: Claim, outcome: Retry | Failed) -> str | None:
    """Record that a claim is over; return what became of the row, None if it did not hold."""
    finish = land(store, claim, outcome)
    if finish is None:  # its owner has finished it, or others were quicker
        return None
    tell(store, claim, outcome, finish, lost=True)
    if finish.cancelled is not None:
        return "cancelled"
    return "failed" if isinstance(outcome, Failed) else "requeued"


def _declare_dead(fleet: Fleet, store: Store, *, seconds: float) -> None:
    """Mark workers whose lease has run out, unless they are only back from an outage.

    After one, all leases look expired until the living have renewed theirs; see ``Recovery``.
    """
    suspects = fleet.silent(now=store.now())
    if not suspects:
        return
    time.sleep(seconds)
    now: datetime = store.now()
    fleet.declare_dead(suspects, now=now)
