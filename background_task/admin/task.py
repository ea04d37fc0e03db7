"""The list of tasks that wait or run, and the page of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import DatabaseError, router, transaction
from django.http import HttpRequest, HttpResponse

from ..models import Task
from .action import TASK_ACTIONS
from .button import ButtonsMixin
from .column import COLUMNS, SHOWN, OwnerAliveMixin
from .deed import OF_TASKS
from .filtering import BackendFilter, LiveStatusFilter, NameFilter, QueueFilter
from .listing import TaskListMixin
from .pausing import on_hold
from .warning import no_worker_warning

if TYPE_CHECKING:
    TaskModelAdmin = admin.ModelAdmin[Task]
else:  # Django's class takes no parameters when the program runs
    TaskModelAdmin = admin.ModelAdmin


@admin.register(Task)
class TaskAdmin(ButtonsMixin, OwnerAliveMixin, TaskListMixin, TaskModelAdmin):
    """Tasks that wait or run."""

    list_display = COLUMNS
    list_filter = (LiveStatusFilter, BackendFilter, NameFilter, QueueFilter)
    search_fields = ("task_name", "task_params")
    actions = TASK_ACTIONS
    deeds = OF_TASKS
    readonly_fields = (*SHOWN, "due_at", "cancel_requested_at")

    def complete_rows(self, rows: list[Any]) -> None:
        """Learn which rows of a page are paused."""
        for row, is_on_hold in zip(rows, on_hold(rows), strict=True):
            row.is_on_hold = is_on_hold

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Let the form remember what it showed, beside each input.

        What was changed is then what the person changed. Compared with the row as it is when the
        form comes back, an owner that was empty when the form was opened would count as a change,
        and saving the priority would take the row from the worker that claimed it meanwhile.
        """
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.show_hidden_initial = True
        return field

    def save_model(self, request: HttpRequest, obj: Task, form: Any, change: bool) -> None:
        """Write only what was changed in the form: a worker may have claimed the row meanwhile."""
        if not change:
            super().save_model(request, obj, form, change)
            return
        using = router.db_for_write(Task, instance=obj)
        columns = {field.name for field in obj._meta.concrete_fields}
        changed = [name for name in form.changed_data if name in columns]
        if "run_at" in changed:  # or a limit that has put the row aside would give it back its own
            obj.due_at = None
            changed.append("due_at")
        try:
            with transaction.atomic(using=using):
                obj.save(using=using, update_fields=changed)
        except DatabaseError:
            if Task.objects.using(using).filter(pk=obj.pk).exists():
                raise
            text = f"{obj} was finished or deleted meanwhile; nothing was changed."
            self.message_user(request, text, messages.WARNING)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, under a warning when tasks wait and nobody is there to run them."""
        if request.method == "GET":
            warning = no_worker_warning()
            if warning:
                messages.warning(request, warning)
        return super().changelist_view(request, extra_context)
