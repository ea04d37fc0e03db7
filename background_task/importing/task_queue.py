"""Waiting rows of other backends of ``django.tasks``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.db import models
from django.db.models import Count

from ..exceptions import InvalidOptionError
from ..fields import UidField
from .call import Call, checked_arguments
from .part import Part, Row, Rows

#: Before its version 0.8 django-tasks called a task that waits new.
WAITING = ("READY", "NEW")
RUNNING = "RUNNING"
#: What django-tasks writes for "at once": databases do not agree on where NULL is sorted.
LAST_YEAR = 9999


class TaskQueue(Part):
    """What the three have in common: a path, JSON, and a UUID that is the id of the result.

    Attributes:
        path: The column with the path of the task.
        backend: The column with the alias of the backend.
    """

    order: ClassVar[tuple[str, ...]] = ("enqueued_at", "id")
    path: ClassVar[str] = "task_path"
    backend: ClassVar[str] = "backend_name"
    queue: ClassVar[str] = "queue_name"

    def waiting(self, now: datetime) -> Rows:
        """Return the rows that nobody has begun."""
        return self.rows.filter(status__in=WAITING)

    def others(self, now: datetime) -> dict[str, int]:
        """Count what runs and what has finished."""
        found = self.rows.exclude(status__in=WAITING).order_by().values_list("status")
        counts = dict(found.annotate(Count("id")))
        return {"running": counts.pop(RUNNING, 0), "finished": sum(counts.values())}

    def read(self, row: Row, *, now: datetime) -> Call:
        """Return what a row asks for."""
        args, kwargs = checked_arguments(*self.arguments(row))
        run_after = row["run_after"]
        if run_after is not None and run_after.year >= LAST_YEAR:
            run_after = None
        return Call(
            key=row["id"],
            uid=row["id"],
            path=row[self.path],
            args=args,
            kwargs=kwargs,
            queue=row[self.queue],
            priority=row["priority"],
            # So that what has waited longer goes on being first.
            run_at=run_after or row["enqueued_at"],
            enqueued_at=row["enqueued_at"],
            backend=row[self.backend],
        )

    def arguments(self, row: Row) -> tuple[Any, Any]:
        """Return the arguments, unchecked."""
        return row["args"], row["kwargs"]


class DjangoTasksDb(TaskQueue):
    """django-tasks-db, and the database backend that django-tasks brought along before."""

    table = "django_tasks_database_dbtaskresult"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": UidField(primary_key=True),
        "status": models.CharField(max_length=10),
        "enqueued_at": models.DateTimeField(),
        "args_kwargs": models.JSONField(),
        "priority": models.IntegerField(),
        "task_path": models.TextField(),
        "queue_name": models.TextField(),
        "backend_name": models.TextField(),
        "run_after": models.DateTimeField(null=True),
    }

    def arguments(self, row: Row) -> tuple[Any, Any]:
        """Return the arguments, which are in one column."""
        match row["args_kwargs"]:
            case {"args": args, "kwargs": kwargs}:
                return args, kwargs
        raise InvalidOptionError("its args_kwargs has no args and kwargs; correct the row")


class DbTasks(TaskQueue):
    """django-dbtasks. The ticks of its periodic tasks stay: each runner makes its own anew."""

    table = "dbtasks_scheduledtask"
    queue: ClassVar[str] = "queue"
    backend: ClassVar[str] = "backend"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": UidField(primary_key=True),
        "status": models.CharField(max_length=10),
        "enqueued_at": models.DateTimeField(),
        "args": models.JSONField(),
        "kwargs": models.JSONField(),
        "task_path": models.TextField(),
        "priority": models.IntegerField(),
        "queue": models.CharField(max_length=32),
        "backend": models.CharField(max_length=32),
        "run_after": models.DateTimeField(null=True),
        "periodic": models.BooleanField(),
    }

    def waiting(self, now: datetime) -> Rows:
        """Return the rows that nobody has begun, and that somebody has queued."""
        return super().waiting(now).filter(periodic=False)

    def others(self, now: datetime) -> dict[str, int]:
        """Count what runs, what has finished, and the next ticks."""
        ticks = super().waiting(now).filter(periodic=True).count()
        return {**super().others(now), "ticks of periodic tasks": ticks}


class DatabaseTask(TaskQueue):
    """django-database-task."""

    table = "django_database_task_databasetask"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": UidField(primary_key=True),
        "status": models.CharField(max_length=20),
        "enqueued_at": models.DateTimeField(),
        "args_json": models.JSONField(),
        "kwargs_json": models.JSONField(),
        "priority": models.IntegerField(),
        "task_path": models.CharField(max_length=512),
        "queue_name": models.CharField(max_length=255),
        "backend_name": models.CharField(max_length=255),
        "run_after": models.DateTimeField(null=True),
    }

    def arguments(self, row: Row) -> tuple[Any, Any]:
        """Return the arguments, unchecked."""
        return row["args_json"], row["kwargs_json"]
