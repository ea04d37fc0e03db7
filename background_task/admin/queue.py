"""The page of all queues, with buttons to pause and resume them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import django
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode

from ..exceptions import InvalidOptionError
from ..models import Pause, Queue, Task
from ..option import check_queue
from ..store import get_store, task_database
from ..store.pause import Pauses, label
from .journal import Entry, write_log
from .look import NO_QUEUE
from .queue_list import QueueRow, queue_rows
from .warning import no_worker_warning

if TYPE_CHECKING:
    QueueModelAdmin = admin.ModelAdmin[Queue]
else:  # Django's class takes no parameters when the program runs
    QueueModelAdmin = admin.ModelAdmin

TEMPLATE = "admin/background_task/queue_list.html"
LIST = "background_task_queue_changelist"


@admin.register(Queue)
class QueueAdmin(QueueModelAdmin):
    """All queues that anybody knows of; there are no rows of them to add, change or delete."""

    def get_urls(self) -> list[Any]:
        """Return the address of the page, and those of its buttons."""
        wrap, name = self.admin_site.admin_view, "background_task_queue"
        return [
            path("", wrap(self.changelist_view), name=LIST),
            path("pause/", wrap(self.pause_view), name=f"{name}_pause"),
            path("resume/", wrap(self.resume_view), name=f"{name}_resume"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A queue is there as soon as anybody names it."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Queue | None = None) -> bool:
        """There is nothing to be deleted."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show how full the queues are, and who serves them."""
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        using = task_database()
        rows = queue_rows(using, now=get_store(using).now())
        context = {
            **self.admin_site.each_context(request),
            "title": "Queues",
            "subtitle": None,
            "opts": self.opts,
            "media": self.media,
            "is_list": True,
            "has_crumb_list": django.VERSION >= (6, 1),
            "rows": [(row, self._tasks_url(request, row)) for row in rows],
            "has_change_permission": self.has_change_permission(request),
            "pause_url": self._reverse("background_task_queue_pause"),
            "resume_url": self._reverse("background_task_queue_resume"),
            "no_worker_warning": no_worker_warning(),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, TEMPLATE, context)

    def pause_view(self, request: HttpRequest) -> HttpResponse:
        """Let workers take nothing more of a queue."""
        return self._switch(request, is_pause=True)

    def resume_view(self, request: HttpRequest) -> HttpResponse:
        """Let workers go on with a queue."""
        return self._switch(request, is_pause=False)

    def _switch(self, request: HttpRequest, *, is_pause: bool) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        back = HttpResponseRedirect(self._reverse(LIST))
        try:
            name = check_queue(request.POST.get("queue", "")) or None
        except InvalidOptionError as error:
            self.message_user(request, str(error), messages.ERROR)
            return back
        pauses, called = Pauses(task_database()), label(Pause.QUEUE, name)
        switch, done = (pauses.pause, "paused") if is_pause else (pauses.resume, "resumed")
        if switch(Pause.QUEUE, name):
            write_log(request, Queue, [Entry(name or "", called, f"{done.capitalize()}.")])
            self.message_user(request, f"{called}: {done}.")
        else:
            other = "is paused already" if is_pause else "is not paused"
            self.message_user(request, f"{called}: {other}.", messages.WARNING)
        return back

    def _tasks_url(self, request: HttpRequest, row: QueueRow) -> str | None:
        """Return the address of the queue's tasks in their list, if the user may see that."""
        listed = self.admin_site._registry.get(Task)
        if listed is None or not listed.has_view_or_change_permission(request):
            return None
        query = {"queue": row.name or NO_QUEUE}
        return f"{self._reverse('background_task_task_changelist')}?{urlencode(query)}"

    def _reverse(self, name: str) -> str:
        return reverse(f"{self.admin_site.name}:{name}")
