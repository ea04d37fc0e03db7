"""How rows leave the queue, or go back into it: what is written for a claim, while it holds."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from ..attempt import (
    Cancelled,
    Claim,
    Discarded,
    Failed,
    Released,
    Retry,
    Succeeded,
    cancelled_after,
    error_of,
)
from ..attempt_error import appended
from ..identity import new_uid
from ..models import CompletedTask, Task, TaskQuerySet
from ..payload import ascii_only
from ..repeat_option import put_off
from ..return_value import not_kept
from ..wakeup import notify_after_commit
from .clock import read_clock
from .intake import Intake
from .result import Finish

#: Why a result is missing.
REFUSED = "the database refused it; see the worker's log"
#: How ``last_error`` of a cancelled task begins.
CANCELLED = "cancelled: "


class Ending(Intake):
    """The writes behind the verbs that end a claim."""

    def now(self) -> datetime:
        """Return the database's time.

        Inside a transaction it is this process's: nobody else sees the rows anyway, and tests that
        move the clock move that one.
        """
        return timezone.now() if self.in_transaction() else read_clock(self.using)

    def _held(self, claim: Claim, *others: Claim) -> TaskQuerySet:
        """Return the row of a claim that still holds, and those of others of its owner and number.

        This is the fence: all that is written for a claim is written to these rows.
        """
        keys = [claim.task_id, *(other.task_id for other in others)]
        by_key = {"pk__in": keys} if others else {"pk": claim.task_id}
        held = self.tasks.owned_by(claim.owner).filter(**by_key)
        if claim.number == 0:  # locked by a version that did not count claims
            return held.filter(Q(claim_number__isnull=True) | Q(claim_number=0))
        return held.filter(claim_number=claim.number)

    def _put_back(
        self, claim: Claim, outcome: Released | Retry, *, now: datetime, reduced: bool
    ) -> bool:
        """Let a row wait again, unless somebody has cancelled it; return whether it does.

        Two rivals: this, and a cancel that asks for the end of the run. If the row went back after
        that, it would be run again.
        """
        back = self._held(claim).filter(cancel_requested_at=None)
        if isinstance(outcome, Released):
            is_back = bool(back.update(locked_by=None, locked_at=None))
            if is_back:
                notify_after_commit(self.using)  # others may be idle
            return is_back
        # Without a delay the row keeps its time, which may have been moved meanwhile.
        is_moved = outcome.is_wish or bool(outcome.delay)
        later: dict[str, object] = {}
        if is_moved:
            later["run_at"] = now + outcome.delay
            if (options := put_off(claim.options, run_at=claim.run_at)) != claim.options:
                later["options"] = options
        if outcome.error:
            later["last_error"] = ascii_only(outcome.error) if reduced else outcome.error
            later["errors"] = appended(claim.errors, error_of(claim, outcome, at=now))
        attempts = claim.attempt if outcome.spends_attempt else claim.attempts
        return bool(back.update(attempts=attempts, locked_by=None, locked_at=None, **later))

    def _archive(
        self,
        claim: Claim,
        outcome: Succeeded | Failed | Discarded | Cancelled,
        *,
        now: datetime,
        reduced: bool,
    ) -> Finish | None:
        # The first statement is the fence and takes the row's lock. A rival (recovery, or this
        # worker's own late thread) waits for it and then finds the row gone. It must be a write:
        # on SQLite a transaction that begins by reading cannot wait for another writer.
        has_begun = isinstance(outcome, Succeeded) or outcome.has_begun
        attempts = claim.attempt if has_begun else claim.attempts
        if not self._held(claim).update(attempts=attempts):
            return None
        task = self.tasks.get(pk=claim.task_id)
        if task.cancel_requested_at is not None and isinstance(outcome, Failed | Discarded):
            outcome = cancelled_after(outcome)
        if isinstance(outcome, Failed) or (isinstance(outcome, Cancelled) and outcome.error):
            task.errors = appended(claim.errors, error_of(claim, outcome, at=now))
        completed = ended(task, outcome, now=now, reduced=reduced)
        repetition = None if ends_chain(outcome) else task.repetition(now=now)
        if repetition is not None:
            self.hand_over(self.tasks.filter(pk=task.pk), [(task, repetition)])
        self._move(task, completed, repetition, now=now, reduced=reduced)
        cancelled = outcome if isinstance(outcome, Cancelled) else None
        return Finish(completed=completed, repetition=repetition, cancelled=cancelled)

    def _move(
        self,
        task: Task,
        completed: CompletedTask,
        repetition: Task | None = None,
        *,
        now: datetime,
        reduced: bool = False,
    ) -> None:
        """Replace a row, whose lock the transaction has, by that in the archive and the next."""
        if reduced:
            CompletedTask.objects.using(self.using).bulk_create([completed])
            if repetition is not None:
                repetition.uid, repetition.enqueued_at = repetition.uid or new_uid(), now
                self.tasks.bulk_create([repetition])
            self.tasks.filter(pk=task.pk)._raw_delete(self.using)
            return
        completed.save(using=self.using, force_insert=True)
        if repetition is not None:
            repetition.save(using=self.using, force_insert=True)
        task.delete(using=self.using)


def ended(
    task: Task,
    outcome: Succeeded | Failed | Discarded | Cancelled,
    *,
    now: datetime,
    reduced: bool = False,
) -> CompletedTask:
    """Return the unsaved archive row of a task that has ended so."""
    text = ""
    if isinstance(outcome, Failed):
        task.failed_at, text = now, outcome.error
    elif isinstance(outcome, Discarded):
        text = outcome.reason
    elif isinstance(outcome, Cancelled):
        text = f"{CANCELLED}{outcome.reason}"
    if text:
        task.last_error = ascii_only(text) if reduced else text
    completed = task.archived(now=now)
    if isinstance(outcome, Discarded):
        completed.discarded_at = now
    elif isinstance(outcome, Cancelled):
        completed.cancelled_at = now
    elif isinstance(outcome, Succeeded) and outcome.result is not None:
        completed.return_value = not_kept(REFUSED) if reduced else outcome.result
    return completed


def ends_chain(outcome: Succeeded | Failed | Discarded | Cancelled) -> bool:
    """Tell whether a repeating task is not to be repeated after this."""
    return isinstance(outcome, Cancelled) or (isinstance(outcome, Failed) and not outcome.repeats)
