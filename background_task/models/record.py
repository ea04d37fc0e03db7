"""What a live task and an archived one have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage
from django.db import models
from django.utils import timezone

from .. import payload
from ..fields import OwnerKeyField, UidField
from ..identity import is_pid_running
from .result import Result
from .worker import Worker


class TaskRecord(Result):
    """The columns that a task keeps for its whole life, live and archived."""

    HOURLY: ClassVar[int] = 3600
    DAILY: ClassVar[int] = 24 * HOURLY
    WEEKLY: ClassVar[int] = 7 * DAILY
    EVERY_2_WEEKS: ClassVar[int] = 2 * WEEKLY
    EVERY_4_WEEKS: ClassVar[int] = 4 * WEEKLY
    NEVER: ClassVar[int] = 0
    REPEAT_CHOICES: ClassVar = (
        (HOURLY, "hourly"),
        (DAILY, "daily"),
        (WEEKLY, "weekly"),
        (EVERY_2_WEEKS, "every 2 weeks"),
        (EVERY_4_WEEKS, "every 4 weeks"),
        (NEVER, "never"),
    )

    task_name = models.CharField(max_length=190)
    task_params = models.TextField()
    task_hash = models.CharField(max_length=40)
    verbose_name = models.CharField(max_length=255, null=True, blank=True)
    priority = models.IntegerField(default=0)
    run_at = models.DateTimeField()
    repeat = models.BigIntegerField(choices=REPEAT_CHOICES, default=NEVER)
    repeat_until = models.DateTimeField(null=True, blank=True)
    queue = models.CharField(max_length=190, null=True, blank=True)
    attempts = models.IntegerField(default=0)
    failed_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)
    locked_by = models.CharField(max_length=64, null=True, blank=True)
    locked_at = models.DateTimeField(null=True, blank=True)
    creator_content_type = models.ForeignKey(
        ContentType, null=True, blank=True, related_name="+", on_delete=models.CASCADE
    )
    creator_object_id = OwnerKeyField(max_length=255, null=True, blank=True)
    creator = GenericForeignKey("creator_content_type", "creator_object_id")
    uid = UidField(null=True, editable=False)
    enqueued_at = models.DateTimeField(null=True, editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    #: A rule of recurrence as text, for what ``repeat`` cannot say; see ``recurrence``.
    repeat_rule = models.TextField(null=True, editable=False)
    #: The alias in ``TASKS`` of the backend that queued it; null if it came from ``@background``.
    #: ``task_name`` is then the path of a ``django.tasks`` task, which need not be registered.
    backend = models.CharField(max_length=64, null=True, editable=False)
    #: What this call says about retries, limits and the like, in JSON; null if nothing.
    options = models.TextField(null=True, editable=False)
    #: Where the call came from, for distributed tracing: W3C headers in JSON; null if nobody asks.
    trace_context = models.TextField(null=True, editable=False)

    class Meta:
        abstract = True

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        """Check the model; MySQL builds the indexes without their conditions, as is intended."""
        intended = ("models.W036", "models.W037")
        return [message for message in super().check(**kwargs) if message.id not in intended]

    def params(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the ``(args, kwargs)`` of the call; may be passed to the same function again.

        No other table is asked: in the place of a model instance, which may have vanished, stands
        a ``payload.InstanceReference``. Its ``load()`` reads the instance.
        """
        return payload.decode(self.task_params, load=False)

    def locked_by_pid_running(self) -> bool | None:
        """Tell whether the owner of the row is alive; None when nobody owns it.

        An all-digits owner is a process number on this machine, as versions before 2.0 wrote it.
        """
        if not self.locked_by:
            return None
        if self.locked_by.isdecimal():
            return is_pid_running(int(self.locked_by))
        if hasattr(self, "owner_is_alive"):  # annotated by the admin's queryset
            return bool(self.owner_is_alive)
        workers = Worker.objects.using(self._state.db).filter(name=self.locked_by)
        return workers.filter(Worker.alive(timezone.now())).exists()

    locked_by_pid_running.boolean = True  # type: ignore[attr-defined]

    def has_error(self) -> bool:
        """Tell whether an attempt has failed."""
        return bool(self.last_error)

    has_error.boolean = True  # type: ignore[attr-defined]
