"""Cancelling a task: one that waits ends at once, of one that runs the end is asked for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import connections, transaction
from django.db.models import F

from .. import telemetry
from ..attempt import NOT_BEGUN, Cancelled, Cancelling, Claim
from ..models import CompletedTask, Task
from ..signals import announce, task_cancelled
from .ending import Ending, ended


class Cancellation(Ending):
    """The verbs of who cancels, and of the worker that is to notice."""

    def cancel(self, which: UUID | int, *, now: datetime | None = None) -> Cancelling:
        """End a task that waits, or ask for the end of its run; in the caller's transaction, too.

        The rivals are claims and finishes. All begin by taking the row's lock. Whoever comes second
        finds the row as the first has left it: a claim steps over it, a finish waits and is then
        told that the task was cancelled, and this one sees that the row has an owner, or is gone.

        Args:
            which: The ``uid`` of the task; or its primary key, while it is in the queue.
            now: Overrides the database's clock.
        """
        now = self.now() if now is None else now
        with transaction.atomic(using=self.using):
            task = self._locked(which)
            if task is None:
                return self._why_not_there(which)
            if task.failed_at is not None:  # the archive had refused it
                return "finished"
            if task.locked_by is not None:
                if task.cancel_requested_at is None:
                    self.tasks.filter(pk=task.pk).update(cancel_requested_at=now)
                return "requested"
            outcome = Cancelled(NOT_BEGUN, has_begun=False)
            claim = as_claim(task)
            completed = ended(task, outcome, now=now)
            self._move(task, completed, now=now)
        tell_cancelled(self.using, claim, outcome, completed)
        return "cancelled"

    def cancel_requests(self, owner: str) -> list[tuple[int, int]]:
        """Return the rows that ``owner`` has and is to end: their keys and claim numbers."""
        rows = self.tasks.filter(locked_by=owner, cancel_requested_at__isnull=False)
        return [(key, number or 0) for key, number in rows.values_list("pk", "claim_number")]

    def _end_cancelled(self, claims: Collection[Claim]) -> None:
        """Archive those among claims of one owner and number that somebody has cancelled."""
        cancelled = self._held(*claims).filter(cancel_requested_at__isnull=False)
        keys = set(cancelled.values_list("pk", flat=True))
        outcome = Cancelled(NOT_BEGUN, has_begun=False)
        for claim in claims:
            if claim.task_id in keys:
                with transaction.atomic(using=self.using):
                    finish = self._archive(claim, outcome, now=self.now(), reduced=False)
                if finish is not None and finish.completed is not None:
                    tell_cancelled(self.using, claim, outcome, finish.completed)

    def _locked(self, which: UUID | int) -> Task | None:
        """Take the lock of a live row; return the row as it is since then."""
        rows = self.tasks.filter(**{"uid" if isinstance(which, UUID) else "pk": which})
        if not connections[self.using].features.has_select_for_update:
            # SQLite's first write locks everybody out; one that has read before cannot wait.
            return rows.first() if rows.update(priority=F("priority")) else None
        # Looked up without locks and then found by its key; see ``MySQLStore.waiting``.
        keys = list(rows.values_list("pk", flat=True)) if isinstance(which, UUID) else [which]
        return self.tasks.filter(pk__in=keys).select_for_update().first()

    def _why_not_there(self, which: UUID | int) -> Cancelling:
        # First there, then here: that is the way a task goes.
        archive = CompletedTask.objects.using(self.using)
        is_finished = isinstance(which, UUID) and archive.filter(uid=which).exists()
        return "finished" if is_finished else "gone"


def tell_cancelled(using: str, claim: Claim, outcome: Cancelled, completed: CompletedTask) -> None:
    """Tell the world of a task that was cancelled without a run, once that is committed."""
    told = partial(_tell, claim, outcome, completed)
    transaction.on_commit(told, using=using)


def _tell(claim: Claim, outcome: Cancelled, completed: CompletedTask) -> None:
    telemetry.event(
        "cancel",
        claim=claim,
        seconds=None,
        lost=False,
        reason=outcome.reason,
        error_class="",
    )
    announce(task_cancelled, sender=Task, task_id=claim.task_id, completed_task=completed)
    if claim.backend is not None:
        from ..task_signal import tell_unrun  # not every project has that framework

        tell_unrun(claim, completed)


def as_claim(task: Task) -> Claim:
    """Return what subscribers of the telemetry know a task by, although nobody has claimed it."""
    return Claim(
        task_id=task.pk,
        number=task.claim_number or 0,
        owner="",
        uid=task.uid or UUID(int=0),
        task_name=task.task_name,
        task_params=task.task_params,
        verbose_name=task.verbose_name,
        queue=task.queue,
        priority=task.priority,
        attempts=task.attempts,
        run_at=task.run_at,
        options=task.options,
        backend=task.backend,
    )
