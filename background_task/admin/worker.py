"""The list of workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..models import Task, Worker
from .badge import rendered, worker_badge
from .filtering import HostFilter, WorkerStateFilter
from .keyset import KeysetMixin
from .life import span

if TYPE_CHECKING:
    WorkerModelAdmin = admin.ModelAdmin[Worker]
else:  # Django's class takes no parameters when the program runs
    WorkerModelAdmin = admin.ModelAdmin

#: So many tasks are read for all workers of a page, and so many of each are named.
MOST_HELD, MOST_NAMED = 2_000, 5
RUNS_NOW = "runs_now"


@admin.register(Worker)
class WorkerAdmin(KeysetMixin, WorkerModelAdmin):
    """Workers that are alive, or have ended within the last day."""

    list_display = (
        *("name", "state", "runs_now", "memory", "processed", "age", "queues", "host", "pid"),
        *("capacity", "started_at", "heartbeat_at", "is_alive"),
    )
    list_filter = (WorkerStateFilter, HostFilter)
    search_fields = ("name", "queues")
    readonly_fields = ("state", "memory", "processed", "age", "runs_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Workers add themselves."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Worker | None = None) -> bool:
        """They are what they are."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Worker | None = None) -> bool:
        """They forget each other; one that is deleted while it works is taken for dead."""
        return False

    def get_list_display(self, request: HttpRequest) -> Any:
        """Return the columns; what a worker runs is for those only who may look at tasks."""
        columns = super().get_list_display(request)
        return columns if self._shows_tasks(request) else [c for c in columns if c != RUNS_NOW]

    def get_readonly_fields(self, request: HttpRequest, obj: Worker | None = None) -> Any:
        """Return the same for the page of one worker."""
        fields = super().get_readonly_fields(request, obj)
        return fields if self._shows_tasks(request) else [f for f in fields if f != RUNS_NOW]

    def _shows_tasks(self, request: HttpRequest) -> bool:
        tasks = self.admin_site._registry.get(Task)
        return tasks is not None and tasks.has_view_permission(request)

    @admin.display(description="alive", boolean=True)
    def is_alive(self, obj: Worker) -> bool:
        """Tell whether it has ended, or has not been heard of for longer than its lease."""
        return obj.stopped_at is None and obj.expires_at >= timezone.now()

    @admin.display(description="state")
    def state(self, obj: Worker) -> SafeString:
        """Return whether it is alive, has stopped, or is silent."""
        return rendered([worker_badge(obj, now=timezone.now())])

    @admin.display(description="memory")
    def memory(self, obj: Worker) -> str | None:
        """Return the memory of its process at its last heartbeat."""
        return None if obj.memory_bytes is None else filesizeformat(obj.memory_bytes)

    @admin.display(description="age")
    def age(self, obj: Worker) -> str:
        """Return for how long it has worked."""
        is_running = obj.stopped_at is None and obj.expires_at >= timezone.now()
        return span((timezone.now() if is_running else obj.heartbeat_at) - obj.started_at)

    @admin.display(description="runs now")
    def runs_now(self, obj: Worker) -> SafeString | None:
        """Return the tasks that it holds, with links to the first ones."""
        if not hasattr(obj, "held"):  # the page of one worker
            self.complete_rows([obj])
        held: list[Task] = vars(obj)["held"]
        if not held:
            return None
        links = format_html_join(
            "",
            '<li><a href="{}">{}</a></li>',
            ((self._url(task), str(task)) for task in held[:MOST_NAMED]),
        )
        more = len(held) - MOST_NAMED
        rest = format_html("<li>and {} more</li>", more) if more > 0 else ""
        return format_html('<ul class="bgtask-held">{}{}</ul>', links, rest)

    def complete_rows(self, rows: list[Any]) -> None:
        """Learn what all workers of a page hold, by the index of owners."""
        names = {row.name for row in rows}
        columns = ("pk", "task_name", "verbose_name", "locked_by")
        held = Task.objects.filter(locked_by__in=names).order_by().only(*columns)[:MOST_HELD]
        for row in rows:
            row.held = []
        owners = {row.name: row for row in rows}
        for task in held:
            if task.locked_by in owners:  # MySQL finds names of other letters, too
                owners[task.locked_by].held.append(task)

    def _url(self, task: Task) -> str:
        name = "admin:background_task_task_change"
        return reverse(name, args=[task.pk], current_app=self.admin_site.name)
