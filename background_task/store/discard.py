"""Discarding a task that waits, at somebody's wish: this run is left out, its chain goes on."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Literal, TypeAlias
from uuid import UUID

from django.db import transaction

from .. import telemetry
from ..attempt import Claim, Discarded
from ..models import CompletedTask, Task
from ..signals import announce, task_discarded
from ..wakeup import notify_after_commit
from .cancel import Cancellation, as_claim
from .ending import ended

#: What became of the wish to discard a task.
Discarding: TypeAlias = Literal["discarded", "running", "finished", "gone"]
#: What stands in the archive as the reason.
UNWANTED = "somebody discarded it before it began"


class Dismissal(Cancellation):
    """The verb of who does not want one run."""

    def discard(
        self, which: UUID | int, *, reason: str = UNWANTED, now: datetime | None = None
    ) -> Discarding:
        """Archive a task that waits as discarded; one that runs is left alone.

        In the caller's transaction, too. The rivals are claims, as for ``cancel``: both begin by
        taking the row's lock. A claim that comes second steps over the row, or finds it gone; this
        one, if it comes second, sees that the row has an owner, and changes nothing.

        Args:
            which: The ``uid`` of the task; or its primary key, while it is in the queue.
            reason: What is to be told of it.
            now: Overrides the database's clock.
        """
        now = self.now() if now is None else now
        with transaction.atomic(using=self.using):
            task = self._locked(which)
            if task is None:
                return "finished" if self._why_not_there(which) == "finished" else "gone"
            if task.locked_by is not None:
                return "running"
            if task.failed_at is not None:  # the archive had refused it
                return "finished"
            claim = as_claim(task)
            # A limit that has put it aside gave it a time of its own; the chain goes by the other.
            task.run_at = task.due_at or task.run_at
            completed = ended(task, Discarded(reason, has_begun=False), now=now)
            repetition = task.repetition(now=now)
            if repetition is not None:
                self.hand_over(self.tasks.filter(pk=task.pk), [(task, repetition)])
                notify_after_commit(self.using)
            self._move(task, completed, repetition, now=now)
        told = partial(_tell, claim, reason, completed)
        transaction.on_commit(told, using=self.using)
        return "discarded"


def _tell(claim: Claim, reason: str, completed: CompletedTask) -> None:
    telemetry.event("discard", claim=claim, seconds=None, lost=False, reason=reason)
    announce(task_discarded, sender=Task, task_id=claim.task_id, completed_task=completed)
    if claim.backend is not None:
        from ..task_signal import tell_unrun  # not every project has that framework

        tell_unrun(claim, completed)
