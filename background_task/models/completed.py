"""The archive."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import Q
from django.utils import timezone

from ..exceptions import TaskCancelledError, TaskDiscardedError, TaskFailedError
from ..return_value import unpack
from .queryset import creator_lookup
from .record import TaskRecord

#: How a task may have ended, as ``CompletedTask.status`` says it, and the rows that have.
STATUSES = {
    "succeeded": Q(failed_at=None, discarded_at=None, cancelled_at=None),
    "failed": Q(failed_at__isnull=False),
    "discarded": Q(failed_at=None, cancelled_at=None, discarded_at__isnull=False),
    "cancelled": Q(failed_at=None, cancelled_at__isnull=False),
}


class CompletedTaskQuerySet(models.QuerySet["CompletedTask"]):
    """What one asks of finished tasks."""

    def created_by(self, creator: models.Model) -> CompletedTaskQuerySet:
        """Return the tasks scheduled with ``creator=creator``."""
        return self.filter(**creator_lookup(creator, using=self.db))

    def failed(self, within: timedelta | None = None) -> CompletedTaskQuerySet:
        """Return the tasks that failed, if given within the last ``within``."""
        failed = self.filter(failed_at__isnull=False)
        return failed.filter(failed_at__gt=timezone.now() - within) if within else failed

    def succeeded(self, within: timedelta | None = None) -> CompletedTaskQuerySet:
        """Return the tasks that succeeded, if given within the last ``within``."""
        succeeded = self.filter(STATUSES["succeeded"])
        return succeeded.filter(run_at__gt=timezone.now() - within) if within else succeeded

    def with_status(self, statuses: Collection[str]) -> CompletedTaskQuerySet:
        """Return the tasks that have ended in one of these ways; see ``STATUSES``."""
        return self.filter(reduce(or_, (STATUSES[status] for status in statuses)))


class CompletedTask(TaskRecord):
    """A finished task: done, failed for good, discarded or cancelled. ``run_at`` says when."""

    run_at = models.DateTimeField(db_index=True)
    discarded_at = models.DateTimeField(null=True, editable=False)
    cancelled_at = models.DateTimeField(null=True, editable=False)
    #: What the function returned, in JSON; null for None. See ``result``.
    return_value = models.TextField(null=True, editable=False)
    creator_content_type = models.ForeignKey(
        ContentType,
        null=True,
        blank=True,
        related_name="completed_background_task",
        on_delete=models.CASCADE,
        db_index=False,
    )

    objects = CompletedTaskQuerySet.as_manager()

    class Meta:
        # Each finish writes into each index. Not "db_index", which on PostgreSQL makes a second
        # index of a text column for LIKE.
        indexes: ClassVar = [
            models.Index(name="bgtask_completed_name", fields=["task_name"]),
            models.Index(
                name="bgtask_completed_failed",
                fields=["failed_at"],
                condition=Q(failed_at__isnull=False),
            ),
            models.Index(
                name="bgtask_completed_creator",
                fields=["creator_content_type", "creator_object_id"],
                condition=Q(creator_content_type__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(name="bgtask_completed_uid", fields=["uid"]),
        ]

    def __str__(self) -> str:
        return f"{self.verbose_name or self.task_name} - {self.run_at}"

    def _row_now(self) -> CompletedTask:
        return self  # nothing in the archive changes any more

    def _own_status(self) -> str:
        if self.failed_at is not None:
            return "failed"
        if self.cancelled_at is not None:
            return "cancelled"
        return "succeeded" if self.discarded_at is None else "discarded"

    def _own_result(self) -> Any:
        if self.failed_at is not None:
            raise failure(self)
        if self.cancelled_at is not None:
            raise TaskCancelledError(f"{self} was {self.last_error.strip()}")
        if self.discarded_at is not None:
            raise TaskDiscardedError(f"{self} was discarded: {self.last_error.strip()}")
        return unpack(self.return_value)


def failure(row: TaskRecord) -> TaskFailedError:
    """Return what to raise when somebody asks for the result of a task that has failed."""
    last = row.last_error.strip().rpartition("\n")[2]
    return TaskFailedError(f"{row} has failed: {last}", errors=row.attempt_errors)
