"""The table of live tasks."""

from __future__ import annotations

import traceback as tracebacks
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, cast

from django.contrib.contenttypes.models import ContentType
from django.db import models, router
from django.db.models import Q
from django.utils import timezone

from .. import payload, recurrence, repeat_option, telemetry, trace_context
from ..attempt import Cancelling
from ..attempt_error import AttemptError, appended, path_of
from ..backoff import delay_after
from ..exceptions import InvalidTaskError, NotFinishedError
from ..fields import ClaimNumberField
from ..identity import new_uid
from ..settings import app_settings
from ..signals import task_failed, task_rescheduled
from .completed import CompletedTask, failure
from .constraint import UniqueUnlessNull
from .queryset import TaskManager, TaskQuerySet
from .record import TaskRecord


class Task(TaskRecord):
    """A task that is waiting or running. It leaves this table when it is finished."""

    creator_content_type = models.ForeignKey(
        ContentType,
        null=True,
        blank=True,
        related_name="background_task",
        on_delete=models.CASCADE,
        db_index=False,
    )
    claim_number = ClaimNumberField(null=True, editable=False)
    unique_key = models.CharField(max_length=190, null=True, editable=False)
    #: The gate that the task has to pass; null if there is no limit to its runs.
    limit_key = models.CharField(max_length=64, null=True, editable=False)
    #: The time the task had before a gate put it aside; null if none did. ``run_at`` is then the
    #: time at which it is tried again if nobody calls it back before.
    due_at = models.DateTimeField(null=True, editable=False)
    #: When somebody cancelled the task while it ran. Such a row is not run again.
    cancel_requested_at = models.DateTimeField(null=True, editable=False)

    #: Whether this very copy came from claiming the row. Any copy shows who owns the row, but
    #: that is no proof that whoever holds the copy is the owner.
    is_claimed_here = False

    #: Whether it has ever stood for a row. Saved anew without a key, it is then a copy of that row.
    #: Neither part of ``_state`` says so: one is set when a creator is, the other by who copies.
    _has_been_a_row = False

    objects = TaskManager()

    class Meta:
        db_table = "background_task"
        permissions: ClassVar = [
            ("run_task", "Can run tasks now and try them anew"),
            ("cancel_task", "Can cancel and discard tasks"),
        ]
        indexes: ClassVar = [
            models.Index(
                name="bgtask_claim",
                fields=["priority", "run_at", "id"],
                condition=Q(locked_by__isnull=True, failed_at__isnull=True),
            ),
            models.Index(
                name="bgtask_claim_queue",
                fields=["queue", "priority", "run_at", "id"],
                condition=Q(locked_by__isnull=True, failed_at__isnull=True),
            ),
            models.Index(
                name="bgtask_owner",
                fields=["locked_by"],
                condition=Q(locked_by__isnull=False),
            ),
            models.Index(name="bgtask_hash", fields=["task_hash"]),
            models.Index(
                name="bgtask_creator",
                fields=["creator_content_type", "creator_object_id"],
                condition=Q(creator_content_type__isnull=False),
            ),
            models.Index(
                name="bgtask_limit",
                fields=["limit_key", "priority", "due_at"],
                condition=Q(limit_key__isnull=False),
            ),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(name="bgtask_uid", fields=["uid"]),
            UniqueUnlessNull(
                name="bgtask_unique_key",
                fields=["unique_key"],
                condition=Q(unique_key__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.verbose_name or self.task_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; an emptied ``locked_by`` means that nobody owns the row."""
        if self.locked_by == "":
            self.locked_by = None
        key = cast("int | None", self.pk)
        if key is None and self.has_been_a_row():
            self._become_a_copy()
        if key is None or self._state.adding:
            self.uid = self.uid or new_uid()
            self.enqueued_at = self.enqueued_at or timezone.now()
        super().save(*args, **kwargs)
        self._has_been_a_row = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Task:
        """Return what a row was read as."""
        task: Task = super().from_db(*args, **kwargs)
        task._has_been_a_row = True
        return task

    def mark_saved(self, using: str) -> None:
        """Note that it stands for a row of this database now."""
        self._state.adding, self._state.db = False, using
        self._has_been_a_row = True

    def has_been_a_row(self) -> bool:
        """Tell whether it has ever been read or saved."""
        return self._has_been_a_row or not self._state.adding

    def _become_a_copy(self) -> None:
        """Forget what belongs to the row this instance was read from: it becomes another task."""
        self.uid = self.claim_number = self.unique_key = None
        self.enqueued_at = self.started_at = self.progress_json = None
        self.due_at = self.cancel_requested_at = None
        self.is_claimed_here = False

    def cancel(self) -> Cancelling:
        """Cancel the task; see ``background_task.cancel``. This instance stays as it is."""
        from ..cancellation import cancel  # a verb of the store, which is above the models

        return cancel(self)

    def lock(self, locked_by: str) -> Task | None:
        """Take the row for ``locked_by`` if it is free; decided by the database.

        Args:
            locked_by: Any name of at most 64 characters.

        Returns:
            The row as it is now, or None when somebody else has it.
        """
        now = timezone.now()
        rows = TaskQuerySet(Task, using=router.db_for_write(Task, instance=self))
        free = rows.unlocked(now).filter(pk=self.pk)
        if free.mark_claimed(locked_by, now=now, passes_gate=False):
            locked = rows.get(pk=self.pk)
            locked.is_claimed_here = True
            return locked
        return None

    def increment_attempts(self) -> None:
        """Count one more attempt."""
        self.attempts += 1
        self.save(update_fields=["attempts"])

    def has_reached_max_attempts(self) -> bool:
        """Tell whether no attempt is left."""
        return self.attempts >= app_settings.MAX_ATTEMPTS

    def is_repeating_task(self) -> bool:
        """Tell whether a success schedules another run."""
        return self.repeat > self.NEVER or self.repeat_rule is not None

    def reschedule(
        self, type: type[BaseException], err: BaseException, traceback: TracebackType | None
    ) -> None:
        """Record a failed attempt: schedule the next one, or archive the task as failed.

        Kept for code that drives tasks itself; the worker's own road is ``Store.finish``.
        """
        self.last_error = self._extract_error(type, err, traceback)
        self.increment_attempts()
        error = AttemptError(
            attempt=self.attempts,
            exception_class_path=path_of(err),
            traceback=self.last_error,
            at=timezone.now(),
            worker=self.locked_by or "",
            started_at=self.locked_at,
        )
        self.errors = appended(self.errors, error)
        told: dict[str, Any] = {"claim": self, "seconds": None, "lost": False}
        told["error_class"] = error.exception_class_path
        if self.has_reached_max_attempts() or isinstance(err, InvalidTaskError):
            self.failed_at = timezone.now()
            telemetry.event("failure", **told)
            completed = self.create_completed_task()
            task_failed.send(sender=self.__class__, task_id=self.pk, completed_task=completed)
            self.delete()
            return
        delay = delay_after(self.attempts)
        self.options = repeat_option.put_off(self.options, run_at=self.run_at)
        self.run_at = timezone.now() + delay
        telemetry.event("retry", **told, delay=delay, is_wish=False)
        task_rescheduled.send(sender=self.__class__, task=self)
        self.locked_by = self.locked_at = None
        self.save(
            update_fields=["run_at", "options", "last_error", "errors", "locked_by", "locked_at"]
        )

    def archived(self, *, now: datetime) -> CompletedTask:
        """Return the unsaved archive row of this task, completed ``now``."""
        values = {
            field.attname: getattr(self, field.attname)
            for field in TaskRecord._meta.local_fields
            if field.name != "run_at"
        }
        values["uid"] = self.uid or new_uid()
        return CompletedTask(run_at=now, **values)

    def create_completed_task(self) -> CompletedTask:
        """Save and return the archive row of this task."""
        completed = self.archived(now=timezone.now())
        completed.save(using=router.db_for_write(CompletedTask, instance=self))
        return completed

    def repetition(self, *, now: datetime) -> Task | None:
        """Return the unsaved next run of a repeating task, or None at the end of the chain.

        Arguments and hash are copied as they are: encoding them again could change the order of
        keys, and with it the hash. Whoever cancels a run ends the chain, even if the run succeeds.
        """
        if self.cancel_requested_at is not None:
            return None
        try:
            chain = repeat_option.Chain.read(self.options)
            run_at = None if chain.is_last else self._next_run_at(now, chain)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run itself has to be recorded
            telemetry.event("chain_broken", task=self, rule=self.repeat_rule, exception=error)
            return None
        if run_at is None:
            return None
        return Task(
            task_name=self.task_name,
            task_params=self.task_params,
            task_hash=self.task_hash,
            priority=self.priority,
            run_at=run_at,
            queue=self.queue,
            verbose_name=self.verbose_name,
            creator_content_type_id=self.creator_content_type_id,
            creator_object_id=self.creator_object_id,
            repeat=self.repeat,
            repeat_until=self.repeat_until,
            repeat_rule=self.repeat_rule,
            options=repeat_option.handed_on(self.options, chain),
            limit_key=self.limit_key,
            backend=self.backend,
            trace_context=trace_context.handed_on(self.trace_context),
        )

    def _next_run_at(self, now: datetime, chain: repeat_option.Chain) -> datetime | None:
        if self.repeat_rule is not None:
            rule: recurrence.Rule | None = recurrence.parse(self.repeat_rule)
        elif chain.catch_up == "skip":
            return recurrence.next_run_at(
                self.run_at, repeat=self.repeat, repeat_until=self.repeat_until, now=now
            )
        else:
            rule = recurrence.make_rule(self.repeat)
        if rule is None:
            return None
        return recurrence.next_occurrence(
            rule,
            scheduled_at=chain.scheduled_at(self.run_at),
            now=now,
            until=self.repeat_until,
            catch_up=chain.catch_up,
        )

    def _row_now(self) -> Task | CompletedTask | None:
        using = self._database()
        # First here, then there: that is the way it goes.
        rows = TaskQuerySet(Task, using=using)
        live = (rows.filter(pk=self.pk) if self.uid is None else rows.filter(uid=self.uid)).first()
        uid = self.uid if live is None else live.uid
        if live is not None or uid is None:
            return live
        return CompletedTask.objects.using(using).filter(uid=uid).first()

    def _own_status(self) -> str:
        if self.locked_by is not None:
            return "running"
        return "waiting" if self.failed_at is None else "failed"

    def _own_result(self) -> Any:
        status = self._own_status()
        if status == "failed":  # where it stands: the archive had refused it
            raise failure(self)
        raise NotFinishedError(f"{self} is {status}; use wait(), or ask again later")

    def create_repetition(self) -> Task | None:
        """Save and return the next run of a repeating task, if there is one."""
        following = self.repetition(now=timezone.now())
        if following is not None:
            following.save(using=router.db_for_write(Task, instance=self))
        return following

    def _extract_error(
        self, type: type[BaseException], err: BaseException, tb: TracebackType | None
    ) -> str:
        return payload.storable("".join(tracebacks.format_exception(type, err, tb)))
