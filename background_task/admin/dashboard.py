"""The dashboard: a page of its own in the place of a list of rows, which it has none of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, URLPattern, path, reverse

from ..dashboard import Choice, assemble, read
from ..models import CompletedTask, Dashboard, Pause, Schedule, Task, Worker
from ..models.worker import UNNAMED
from ..store import task_database

if TYPE_CHECKING:
    DashboardModelAdmin = admin.ModelAdmin[Dashboard]
else:  # Django's class takes no parameters when the program runs
    DashboardModelAdmin = admin.ModelAdmin


@admin.register(Dashboard)
class DashboardAdmin(DashboardModelAdmin):
    """What the queues and workers do now, and did lately."""

    def get_urls(self) -> list[URLPattern]:
        """Return the one page that there is; all other addresses lead nowhere."""
        view = self.admin_site.admin_view(self.changelist_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", view, name=name)]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """There is nothing to be added."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Dashboard | None = None) -> bool:
        """There is nothing to be changed."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Dashboard | None = None) -> bool:
        """There is nothing to be deleted."""
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the page, or with ``?fragment=1`` only what changes of it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if request.method not in ("GET", "HEAD"):  # there is nothing to be done to it
            return redirect(request.get_full_path())
        choice = Choice.read(request.GET)
        page = assemble(read(task_database(), choice), choice, AdminLinks(request, self.admin_site))
        if request.GET.get("fragment"):
            return render(request, "background_task/dashboard/sections.html", {"page": page})
        login = reverse("admin:login", current_app=self.admin_site.name)
        context = {
            **self.admin_site.each_context(request),
            "title": "Dashboard",
            "opts": self.opts,
            "page": page,
            "login_url": f"{login}?{urlencode({'next': request.get_full_path()})}",
            "clear_url": choice.query(queue="", function=""),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return render(request, "background_task/dashboard/page.html", context)


class AdminLinks:
    """Leads to pages of the same admin that the person may see.

    Args:
        request: Who asks.
        site: The admin.
    """

    def __init__(self, request: HttpRequest, site: admin.AdminSite) -> None:
        self._site = site
        models: tuple[type[Model], ...] = (CompletedTask, Pause, Schedule, Task, Worker)
        registered = ((model, site._registry.get(model)) for model in models)
        self._open = {
            model for model, its in registered if its and its.has_view_permission(request)
        }

    def failed(self, function: str) -> str | None:
        """Return the list of the failed tasks of a function."""
        return self._to(CompletedTask, query={"status": "failed", "task_name": function})

    def waiting(self, queue: str | None) -> str | None:
        """Return the list of live tasks of a queue."""
        return self._to(Task, query={"status": "due", "queue": queue or UNNAMED})

    def task(self, pk: int) -> str | None:
        """Return the page of a live task."""
        return self._to(Task, pk)

    def worker(self, pk: int) -> str | None:
        """Return the page of a worker."""
        return self._to(Worker, pk)

    def schedules(self) -> str | None:
        """Return the list of schedules."""
        return self._to(Schedule)

    def pauses(self) -> str | None:
        """Return the list of what is paused."""
        return self._to(Pause)

    def _to(
        self, model: type[Model], pk: int | None = None, *, query: dict[str, str] | None = None
    ) -> str | None:
        if model not in self._open:
            return None
        page = "changelist" if pk is None else "change"
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}"
        try:
            url = reverse(name, args=[] if pk is None else [pk], current_app=self._site.name)
        except NoReverseMatch:  # a project's own class has no such page
            return None
        return url if query is None else f"{url}?{urlencode(query)}"
