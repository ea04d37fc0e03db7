"""The archive: the list of finished tasks, and the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from ..models import CompletedTask
from .action import COMPLETED_ACTIONS
from .button import ButtonsMixin
from .column import COLUMNS, SHOWN, OwnerAliveMixin
from .deed import OF_COMPLETED
from .filtering import (
    BackendFilter,
    FinishedNameFilter,
    FinishedStatusFilter,
    QueueFilter,
    SilentEmptyFilter,
)
from .listing import UNLISTED, TaskListMixin

if TYPE_CHECKING:
    CompletedTaskModelAdmin = admin.ModelAdmin[CompletedTask]
else:  # Django's class takes no parameters when the program runs
    CompletedTaskModelAdmin = admin.ModelAdmin


@admin.register(CompletedTask)
class CompletedTaskAdmin(ButtonsMixin, OwnerAliveMixin, TaskListMixin, CompletedTaskModelAdmin):
    """Tasks that are done, failed for good, or cancelled."""

    list_display = (*COLUMNS, "failed_at", "cancelled_at")
    list_filter = (
        *(FinishedStatusFilter, BackendFilter, FinishedNameFilter, QueueFilter),
        *((name, SilentEmptyFilter) for name in ("failed_at", "cancelled_at")),
    )
    search_fields = ("task_name", "task_params")
    actions = COMPLETED_ACTIONS
    deeds = OF_COMPLETED
    readonly_fields = (*SHOWN, "discarded_at", "cancelled_at")
    unlisted = (*UNLISTED, "return_value")

    def get_readonly_fields(self, request: HttpRequest, obj: CompletedTask | None = None) -> Any:
        """Let only superusers change what has happened."""
        fields = tuple(super().get_readonly_fields(request, obj))
        if obj is None or _may_edit(request):
            return fields
        excluded = self.get_exclude(request, obj) or ()
        names = (field.name for field in CompletedTask._meta.fields if field.editable)
        return (*fields, *(name for name in names if name not in {*fields, *excluded, "id"}))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Offer to save to those only who can change anything."""
        if kwargs.get("obj") is not None and not _may_edit(request):
            for button in ("save", "save_and_continue", "save_and_add_another"):
                context[f"show_{button}"] = False
        return super().render_change_form(request, context, *args, **kwargs)


def _may_edit(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
