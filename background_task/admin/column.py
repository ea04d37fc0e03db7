"""What the two lists of tasks have in common."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from ..fields import ExactText
from ..models import Worker

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
#: Of the form; the page above it shows the rest.
SHOWN = ("uid", "backend")


class OwnerAliveMixin:
    """Learns for all rows of a page in one query whether their owner is alive."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows, each with ``owner_is_alive``."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        alive = Worker.objects.filter(Worker.alive(timezone.now()))
        owner = alive.filter(name=ExactText(OuterRef("locked_by")))
        annotated: QuerySet[Any] = rows.annotate(owner_is_alive=Exists(owner))
        return annotated
