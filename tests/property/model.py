"""What becomes of tasks, in plain Python: no database, no rivals, nothing done at once.

One object per row and one method per verb, written from the promises and not from the store.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from background_task.attempt import Claim, Failed, Outcome, Released, Retry, Succeeded

KNOWN = ("known", "also_known")
MAX_RUN_TIME = timedelta(seconds=3600)
MAX_ATTEMPTS = 3
LEASE = timedelta(seconds=60)
KEPT = timedelta(days=1)


@dataclass
class Row:
    """A live task. Its chain is what it shares with the runs that repeat it."""

    pk: int
    chain: str
    task_name: str
    queue: str | None
    priority: int
    run_at: datetime
    repeat: int = 0
    repeat_until: datetime | None = None
    attempts: int = 0
    last_error: str = ""
    failed_at: datetime | None = None
    locked_by: str | None = None
    locked_at: datetime | None = None
    claim_number: int | None = None
    started_at: datetime | None = None
    uid: Any = None

    def is_claimed_by(self, claim: Claim) -> bool:
        return (self.locked_by, self.claim_number or 0) == (claim.owner, claim.number)

    def is_waiting(self) -> bool:
        return self.locked_by is None and self.failed_at is None

    def free(self) -> None:
        self.locked_by = self.locked_at = None


@dataclass
class Member:
    """A worker."""

    expires_at: datetime
    stopped_at: datetime | None = None


@dataclass
class Model:
    """The three tables."""

    live: dict[int, Row] = field(default_factory=dict)
    archive: dict[Any, Row] = field(default_factory=dict)
    workers: dict[str, Member] = field(default_factory=dict)

    # -- claims ------------------------------------------------------------------------------------

    def claimable(
        self, *, queues: Collection[str], limit: int, ahead: int, now: datetime
    ) -> list[Row]:
        """The rows that a claim takes: the first ones, and ahead of need only unspoilt ones."""
        due = [
            row
            for row in self.live.values()
            if row.is_waiting()
            and row.run_at <= now
            and row.task_name in KNOWN
            and (not queues or row.queue in queues)
        ]
        due.sort(key=lambda row: (-row.priority, row.run_at, row.pk))
        first, rest = due[:limit], due[limit : limit + ahead]
        return first + [row for row in rest if row.attempts == 0]

    def take(self, row: Row, owner: str, *, now: datetime) -> None:
        """Taking a row from somebody who is gone spends the attempt that was lost."""
        row.attempts += row.locked_by is not None
        row.locked_by, row.locked_at = owner, now
        row.claim_number = (row.claim_number or 0) + 1
        row.started_at = row.started_at or now

    def is_left_behind(self, row: Row, *, now: datetime) -> bool:
        if row.locked_by is None:
            return False
        limit = now - MAX_RUN_TIME
        worker = self.workers.get(row.locked_by)
        if worker is None:
            return row.locked_at is not None and row.locked_at < limit
        return worker.stopped_at is not None or worker.expires_at < limit

    def holds(self, claim: Claim) -> bool:
        row = self.live.get(claim.task_id)
        return row is not None and row.is_claimed_by(claim)

    # -- finishes ----------------------------------------------------------------------------------

    def finish(self, claim: Claim, outcome: Outcome, *, now: datetime) -> tuple[bool, Row | None]:
        """Return whether the claim held, and the next run of the task if there is one."""
        if not self.holds(claim):
            return False, None
        row = self.live[claim.task_id]
        if isinstance(outcome, Released):
            row.free()
            return True, None
        row.attempts += 1
        if isinstance(outcome, Retry):
            row.last_error = outcome.error
            row.run_at = now + outcome.delay if outcome.delay else row.run_at
            row.free()
            return True, None
        del self.live[row.pk]
        done = replace(row, run_at=now, claim_number=None, pk=0)
        if isinstance(outcome, Failed):
            done.failed_at, done.last_error = now, outcome.error
        assert done.uid not in self.archive
        self.archive[done.uid] = done
        return True, self.next_run(row, now=now) if isinstance(outcome, Succeeded) else None

    def next_run(self, row: Row, *, now: datetime) -> Row | None:
        """The first time of the chain that is not in the past, unless that is after its end."""
        if row.repeat <= 0:
            return None
        period = timedelta(seconds=row.repeat)
        run_at = row.run_at + period
        while run_at < now:
            run_at += period
        if row.repeat_until is not None and run_at > row.repeat_until:
            return None
        return Row(
            pk=0,
            chain=row.chain,
            task_name=row.task_name,
            queue=row.queue,
            priority=row.priority,
            run_at=run_at,
            repeat=row.repeat,
            repeat_until=row.repeat_until,
        )

    def release(self, claims: Iterable[Claim]) -> int:
        held = {claim.task_id: claim for claim in claims if self.holds(claim)}
        for key in held:
            self.live[key].free()
        return len(held)

    # -- workers -----------------------------------------------------------------------------------

    def register(self, name: str, *, now: datetime) -> None:
        self.workers = {
            known: worker
            for known, worker in self.workers.items()
            if worker.stopped_at is None or worker.stopped_at >= now - KEPT
        }
        self.workers[name] = Member(expires_at=now + LEASE)

    def renew(self, name: str, *, now: datetime) -> bool:
        worker = self.workers.get(name)
        if worker is None or worker.stopped_at is not None:
            return False
        worker.expires_at = now + LEASE
        return True

    def retire(self, name: str, *, now: datetime) -> None:
        worker = self.workers.get(name)
        if worker is not None and worker.stopped_at is None:
            worker.stopped_at = now

    def declare_dead(self, *, now: datetime) -> None:
        for name, worker in self.workers.items():
            if worker.expires_at < now:
                self.retire(name, now=now)

    # -- people ------------------------------------------------------------------------------------

    def remove_waiting(self, chain: str, *, queue: str | None) -> int:
        gone = [
            row.pk
            for row in self.live.values()
            if row.chain == chain and row.is_waiting() and (not queue or row.queue == queue)
        ]
        for key in gone:
            del self.live[key]
        return len(gone)

    def prune(self, moment: datetime, *, failed: bool | None, queue: str | None) -> int:
        gone = [
            uid
            for uid, row in self.archive.items()
            if row.run_at < moment
            and failed in (None, row.failed_at is not None)
            and queue in (None, row.queue)
        ]
        for uid in gone:
            del self.archive[uid]
        return len(gone)
