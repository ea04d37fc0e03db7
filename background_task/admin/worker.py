"""The list of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from ..models import Worker

if TYPE_CHECKING:
    WorkerModelAdmin = admin.ModelAdmin[Worker]
else:  # Django's class takes no parameters when the program runs
    WorkerModelAdmin = admin.ModelAdmin


@admin.register(Worker)
class WorkerAdmin(WorkerModelAdmin):
    """Workers that are alive, or have ended within the last day."""

    list_display = (
        *("name", "host", "pid", "queues", "capacity", "started_at", "heartbeat_at", "is_alive"),
    )
    list_filter = ("host",)
    search_fields = ("name", "queues")
    ordering = ("-heartbeat_at",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workers add themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Worker | None = None) -> bool:
        """They are what they are."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Worker | None = None) -> bool:
        """They forget each other; one that is deleted while it works is taken for dead."""
        return False

    @admin.display(description="alive", boolean=True)
    def is_alive(self, obj: Worker) -> bool:
        """Tell whether it has ended, or has not been heard of for longer than its lease."""
        return obj.stopped_at is None and obj.expires_at >= timezone.now()
