"""What the two lists of tasks have in common."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join

from ..fields import ExactText
from ..models import CompletedTask, Task, Worker

COLUMNS = (
    "task_name",
    "task_params",
    "run_at",
    "priority",
    "attempts",
    "has_error",
    "locked_by",
    "locked_by_pid_running",
    "queue",
    "status_word",
    "backend",
)
SHOWN = (
    *("uid", "backend", "status_word"),
    *("enqueued_at", "started_at", "progress_now", "error_history"),
)


class OwnerAliveMixin:
    """Learns for all rows of a page in one query whether their owner is alive."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows, each with ``owner_is_alive``."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        alive = Worker.objects.filter(Worker.alive(timezone.now()))
        owner = alive.filter(name=ExactText(OuterRef("locked_by")))
        annotated: QuerySet[Any] = rows.annotate(owner_is_alive=Exists(owner))
        return annotated


class ResultMixin:
    """Shows in the form how far a task has come, and how its attempts went wrong."""

    @admin.display(description="progress")
    def progress_now(self, obj: Task | CompletedTask) -> str:
        """Return what the task says of itself."""
        return "-" if obj.progress is None else f"{obj.progress}, said at {obj.progress.at}"

    @admin.display(description="errors")
    def error_history(self, obj: Task | CompletedTask) -> str:
        """Return the errors of the attempts, each with its traceback."""
        return format_html_join(
            "",
            "<p>attempt {}, {}, {}, by {}</p><pre>{}</pre>",
            (
                (each.attempt, each.at, each.exception_class_path, each.worker, each.traceback)
                for each in obj.attempt_errors
            ),
        )
