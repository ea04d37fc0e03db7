"""The archive: the list of finished tasks, and the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin

from ..models import CompletedTask
from .action import COMPLETED_ACTIONS
from .button import ButtonsMixin
from .column import COLUMNS, SHOWN, OwnerAliveMixin, ResultMixin
from .deed import OF_COMPLETED
from .listing import BackendFilter, FinishedStatusFilter, TaskListMixin

if TYPE_CHECKING:
    CompletedTaskModelAdmin = admin.ModelAdmin[CompletedTask]
else:  # Django's class takes no parameters when the program runs
    CompletedTaskModelAdmin = admin.ModelAdmin


@admin.register(CompletedTask)
class CompletedTaskAdmin(
    ButtonsMixin, ResultMixin, OwnerAliveMixin, TaskListMixin, CompletedTaskModelAdmin
):
    """Tasks that are done, failed for good, or cancelled."""

    list_display = (*COLUMNS, "failed_at", "cancelled_at")
    list_filter = (
        *(FinishedStatusFilter, BackendFilter, "task_name", "queue"),
        *((name, admin.EmptyFieldListFilter) for name in ("failed_at", "cancelled_at")),
    )
    search_fields = ("task_name", "task_params")
    actions = COMPLETED_ACTIONS
    deeds = OF_COMPLETED
    readonly_fields = (*SHOWN, "return_value", "discarded_at", "cancelled_at")
