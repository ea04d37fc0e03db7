"""Every verb on rows, in the plain ORM: correct on any database that Django supports.

The store is the only writer of rows once they are queued. All writes for a claim go through
``_held``, the fence: they change nothing unless the row still carries the claim's number and owner.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from datetime import datetime
from functools import cached_property
from uuid import UUID

from django.db import DatabaseError, transaction

from ..attempt import Cancelled, Claim, Failed, Outcome, Released, Retry, cancelled_after
from ..identity import new_uid
from ..models import CompletedTask, Task, TaskQuerySet, Worker
from ..payload import ascii_only
from ..settings import app_settings
from ..wakeup import notify_after_commit
from .discard import Dismissal
from .ending import CANCELLED
from .pause import NOTHING, OnHold, Pauses, Place, Unnamed
from .result import CLAIM_FIELDS, Candidate, Due, Finish, chosen
from .selection import Selection
from .wanted import NO_BACKENDS, Wanted

#: Keys in one statement; SQLite once took no more than 999 parameters.
MOST_KEYS = 500


class Store(Dismissal):
    """The rows of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    #: Queues of which this store claims nothing, as if they were paused; empty is the unnamed one.
    excluded: frozenset[str] = frozenset()

    def without(self, queues: Collection[str]) -> Store:
        """Return a store that leaves these queues to others when it serves all."""
        store = copy(self)
        store.excluded = frozenset(queues)
        return store

    @cached_property
    def order(self) -> str:
        """Read late, at the first claim."""
        return app_settings.BACKGROUND_TASK_PRIORITY_ORDERING

    @cached_property
    def pauses(self) -> Pauses:
        """What no worker claims of for now."""
        return Pauses(self.using)

    def on_hold(self) -> OnHold:
        """Return what this store claims nothing of now: what is paused, and what is excluded."""
        return self.pauses.read().and_queues(self.excluded)

    # -- claim ----------------------------------------------------------------------------------

    def claim(
        self,
        owner: str,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        limit: int = 1,
        ahead: int = 0,
        fragile: Collection[str] = (),
        now: datetime | None = None,
    ) -> list[Claim]:
        """Take due rows for ``owner``, in the order in which they are to run.

        Of what was paused before the claim began, it takes nothing.

        Committed before it returns, unless the caller is inside a transaction.

        What is claimed ahead may be lost with its worker before it began, and yet an attempt is
        spent: nobody can tell. So only rows that have not lost one are: a task that kills its
        worker costs its neighbours one attempt, once, and never their last.

        Args:
            owner: The worker's name.
            names: The functions it knows; rows of others are left for other workers.
            backends: The aliases of the backends whose tasks it runs, and of each whether its rows
                may be taken ahead.
            queues: The queues it serves; none means all, the unnamed one included.
            limit: The most rows to take to be run at once.
            ahead: The most rows to take on top, to be run next.
            fragile: The functions that have one attempt only: their rows are not taken ahead.
            now: Overrides the database's clock.
        """
        now = self.now() if now is None else now
        # Read outside the transaction: on SQLite one that begins by reading cannot wait for
        # another writer. What a rival changes meanwhile, ``_take`` notices.
        wanted = Wanted(names, backends)
        found = self._candidates(wanted, queues=queues, limit=limit + ahead, now=now)
        candidates = chosen(found, limit=limit, fragile=fragile, backends=backends)
        if not candidates:
            return []
        with transaction.atomic(using=self.using):
            claims = [(row, row.claimed_by(owner, now=now)) for row in candidates]
            return [claim for row, claim in claims if self._take(row, claim, now=now)]

    def claim_one(self, pk: int, owner: str, *, now: datetime | None = None) -> Claim | None:
        """Take one row if nobody owns it; else return None.

        Whenever it is due, paused or not, and whatever its limit says.
        """
        now = self.now() if now is None else now
        free = self.tasks.unlocked(now).filter(pk=pk)
        if not free.mark_claimed(owner, now=now, passes_gate=False):
            return None
        return next(iter(self._claims(self.tasks.filter(pk=pk, locked_by=owner))), None)

    def held_by(self, owner: str) -> list[Claim]:
        """Return the claims that ``owner`` has, whether or not it knows of them."""
        return self._claims(self.tasks.filter(locked_by=owner))

    def is_held(self, claim: Claim) -> bool:
        """Tell whether the claim still holds."""
        return self._held(claim).exists()

    def look(
        self,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        now: datetime | None = None,
    ) -> Due:
        """Tell what an idle worker wants to know: when to come back, what it cannot run."""
        now = self.now() if now is None else now
        paused = self.on_hold()
        waiting = self._waiting(queues, paused)
        later = waiting.filter(run_at__gt=now).order_by("run_at")
        wanted = Wanted(names, backends)
        known = Wanted([*names, *paused.functions], backends)
        return Due(
            is_ready=self._runnable(wanted, queues=queues, now=now, paused=paused).exists(),
            is_unknown=known.unknown(waiting.filter(run_at__lte=now)).exists(),
            next_at=later.values_list("run_at", flat=True).first(),
        )

    def unknown_names(
        self,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        limit: int = 5,
    ) -> list[str]:
        """Return some names of due rows that are not for such a worker, nor paused."""
        paused = self.on_hold()
        due = self._waiting(queues, paused).filter(run_at__lte=self.now())
        due = Wanted([*names, *paused.functions], backends).unknown(due)
        return sorted(set(due.order_by().values_list("task_name", flat=True)[:1000]))[:limit]

    # -- finish ---------------------------------------------------------------------------------

    def finish(
        self, claim: Claim, outcome: Outcome, *, now: datetime | None = None, reduced: bool = False
    ) -> Finish | None:
        """Write the outcome of a claim, in one transaction, if the claim still holds.

        Args:
            claim: The proof of ownership.
            outcome: What became of the run.
            now: Overrides the database's clock.
            reduced: Store the plainest form: no model signals, errors in ASCII. For when the
                ordinary write is refused.

        Returns:
            None when the claim no longer holds; then nothing was changed.
        """
        now = self.now() if now is None else now
        if isinstance(outcome, Released | Retry):
            if self._put_back(claim, outcome, now=now, reduced=reduced):
                return Finish()
            # Cancelled, or not the claim's any more; then this changes nothing, either.
            outcome = cancelled_after(outcome)
        with transaction.atomic(using=self.using):
            return self._archive(claim, outcome, now=now, reduced=reduced)

    def begin_writing(self, claim: Claim) -> bool:
        """Prepare a transaction whose last statement will be ``finish``; False if it is in vain.

        Nothing is locked: a recovery that had to wait for the lock of a worker that stands still
        would stand still with it.
        """
        return True

    def finish_many(
        self, ends: Sequence[tuple[Claim, Outcome]], *, now: datetime | None = None
    ) -> list[Finish | None]:
        """Write several outcomes, each as ``finish`` does, at a lower cost where that is possible.

        After an error some may be recorded and others not; ``find_finish`` tells.
        """
        return [self.finish(claim, outcome, now=now) for claim, outcome in ends]

    def completed(self, uids: Collection[UUID]) -> list[CompletedTask]:
        """Return archive rows by their uids."""
        return list(CompletedTask.objects.using(self.using).filter(uid__in=uids))

    def find_finish(self, claim: Claim, outcome: Outcome) -> Finish | None:
        """Return what an earlier ``finish`` recorded whose confirmation was lost, if it did."""
        if isinstance(outcome, Retry | Released):
            is_spent = isinstance(outcome, Retry) and outcome.spends_attempt
            attempts = claim.attempt if is_spent else claim.attempts
            row = self.tasks.filter(pk=claim.task_id, claim_number=claim.number, locked_by=None)
            if row.filter(attempts=attempts).exists():
                return Finish()
        completed = CompletedTask.objects.using(self.using).filter(uid=claim.uid).first()
        if completed is None:
            return None
        if completed.cancelled_at is not None:
            reason = completed.last_error.removeprefix(CANCELLED)
            return Finish(completed=completed, cancelled=Cancelled(reason))
        return None if isinstance(outcome, Retry | Released) else Finish(completed=completed)

    def bury(self, claim: Claim, outcome: Outcome) -> Finish | None:
        """Mark the row as failed where it is, when the archive refuses it even in plain form.

        It is then neither run again nor lost: a person has to look at it.
        """
        now = self.now()
        error = "the outcome could not be archived; see the worker's log\n"
        if isinstance(outcome, Retry | Failed):
            error += ascii_only(outcome.error)
        buried = self._held(claim).update(
            attempts=claim.attempt, failed_at=now, last_error=error, locked_by=None, locked_at=None
        )
        return Finish() if buried else None

    def release(self, claims: Iterable[Claim]) -> int:
        """Hand back rows without spending an attempt; return how many were still held.

        Those that somebody has cancelled end here, and do not count.
        """
        released = 0
        for group in _groups(claims):
            back = self._held(*group).filter(cancel_requested_at=None)
            count = back.update(locked_by=None, locked_at=None)
            if count < len(group):
                self._end_cancelled(group)
            released += count
        if released:
            notify_after_commit(self.using)  # others may be idle
        return released

    def held_rows(self, claims: Iterable[Claim]) -> Iterator[TaskQuerySet]:
        """Yield the rows of claims that still hold, in pieces that fit into a statement."""
        return (self._held(*group) for group in _groups(claims))

    def report(self, claim: Claim, progress: str) -> bool:
        """Write how far a run has come; False if the claim no longer holds."""
        if not self.in_transaction():
            return bool(self._held(claim).update(progress_json=progress))
        with transaction.atomic(using=self.using):  # an error undoes no more than this
            return bool(self._held(claim).update(progress_json=progress))

    def task_of(self, claim: Claim) -> Task | None:
        """Return the row of a claim as it is now, None if it is gone."""
        return self.tasks.filter(pk=claim.task_id).first()

    # -- recover --------------------------------------------------------------------------------

    def left_behind(
        self, *, limit: int = 100, declare: bool = True, now: datetime | None = None
    ) -> list[Claim]:
        """Return the claims of owners that will not finish them.

        Workers whose lease has run out are first marked as stopped. The mark is what makes it
        final: a worker that was only slow finds it at its next heartbeat and takes a new name.
        Owners without a heartbeat (earlier versions, user code) have MAX_RUN_TIME.

        Args:
            limit: The most rows to return.
            declare: Whether to mark workers. Only who has watched the database for a while may:
                after an outage all leases look expired until the living have renewed theirs.
            now: Overrides the database's clock.
        """
        now = self.now() if now is None else now
        expired = Worker.objects.using(self.using).filter(
            stopped_at__isnull=True, expires_at__lt=now
        )
        if declare and expired.exists():  # even an update of nothing takes SQLite's write lock
            expired.update(stopped_at=now)
        rows = self.tasks.unlocked(now).filter(locked_by__isnull=False)
        return self._claims(rows.order_by("locked_at")[:limit])

    def claimed_before(
        self, moment: datetime, *, selection: Selection, beyond: int = 0, most: int = 1000
    ) -> list[Claim]:
        """Return claims that were made before a moment, whoever has them, by their keys."""
        rows = self.tasks.filter(locked_by__isnull=False, failed_at=None, locked_at__lt=moment)
        return self._claims(selection.among(rows.filter(pk__gt=beyond)).order_by("pk")[:most])

    def without_owner(self, claims: Iterable[Claim], *, now: datetime) -> set[int]:
        """Return the keys of those whose owner is gone; see ``left_behind``."""
        keys = [claim.task_id for claim in claims]
        gone = self.tasks.unlocked(now).filter(locked_by__isnull=False, pk__in=keys)
        return set(gone.values_list("pk", flat=True))

    # -- internals ------------------------------------------------------------------------------

    def _waiting(self, queues: Collection[Place], paused: OnHold = NOTHING) -> TaskQuerySet:
        """Return the rows of some queues (none means all) that are not in a paused one."""
        waiting = self.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
        if Unnamed.QUEUE in queues:  # never beside others
            waiting = waiting.filter(queue__isnull=True)
        elif queues:
            waiting = waiting.filter(queue__in=queues)
        return paused.leave_out(waiting)

    def _runnable(
        self, wanted: Wanted, *, queues: Collection[Place], now: datetime, paused: OnHold
    ) -> TaskQuerySet:
        waiting = self._waiting(queues, paused).filter(run_at__lte=now)
        return wanted.without(paused.functions).among(waiting)

    def _candidates(
        self, wanted: Wanted, *, queues: Collection[str], limit: int, now: datetime
    ) -> Sequence[Candidate]:
        rows = self._runnable(wanted, queues=queues, now=now, paused=self.on_hold())
        return self._read(rows.order_by(f"{self.order}priority", "run_at", "pk")[:limit])

    def _read(self, rows: TaskQuerySet) -> list[Candidate]:
        return [Candidate(values) for values in rows.values(*CLAIM_FIELDS)]

    def _take(self, candidate: Candidate, claim: Claim, *, now: datetime) -> bool:
        """Compare and set: of two rivals that read the same row, only one finds it unchanged.

        Nor may anybody have put it off, moved it elsewhere or given it other arguments since it was
        read.
        """
        names = ("pk", "claim_number", "queue", "task_params")
        read = {name: candidate.values[name] for name in names}
        if candidate.values["run_at"] is not None:  # SQLite takes any text, some of it unreadable
            read["run_at"] = candidate.values["run_at"]
        row = self.tasks.owned_by(None).filter(failed_at=None, **read)
        if not row.mark_claimed(claim.owner, now=now):
            return False
        if candidate.values["uid"] is None:
            self.tasks.filter(pk=candidate.pk).update(uid=claim.uid)
        return True

    def _claims(self, rows: TaskQuerySet) -> list[Claim]:
        claims = []
        for values in rows.values(*CLAIM_FIELDS, "locked_by"):
            owner, number = values.pop("locked_by"), values.pop("claim_number") or 0
            if values["uid"] is None:
                values["uid"] = new_uid()
                self.tasks.filter(pk=values["pk"], uid=None).update(uid=values["uid"])
            claims.append(Claim(task_id=values.pop("pk"), number=number, owner=owner, **values))
        return claims


def is_outage(error: Exception) -> bool:
    """Tell whether a database error may pass by itself: connection, lock, disk, read-only."""
    return not isinstance(error, DatabaseError) or type(error).__name__ in (
        "OperationalError",
        "InternalError",
    )


def _groups(claims: Iterable[Claim]) -> Iterator[list[Claim]]:
    """Yield claims of one owner and number together, in pieces that fit into a statement."""
    together: dict[tuple[str, int], list[Claim]] = {}
    for claim in claims:
        together.setdefault((claim.owner, claim.number), []).append(claim)
    for group in together.values():
        for start in range(0, len(group), MOST_KEYS):
            yield group[start : start + MOST_KEYS]
