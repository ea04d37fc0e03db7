"""What the admin's two lists of tasks have in common: how a task stands, and who queued it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from ..models import CompletedTask, Task
from ..models.completed import STATUSES

if TYPE_CHECKING:
    AnyModelAdmin = admin.ModelAdmin[Any]
else:  # Django's class takes no parameters when the program runs
    AnyModelAdmin = admin.ModelAdmin

#: Stands for the tasks that no backend has queued, where else there is an alias.
DECORATOR = "@background"


class StatusFilter(admin.SimpleListFilter):
    """Filters by how a task stands."""

    title = "status"
    parameter_name = "status"
    statuses: ClassVar[Mapping[str, Q]]

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(status, status) for status in self.statuses]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen status."""
        chosen = self.statuses.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen)


class LiveStatusFilter(StatusFilter):
    """Of tasks that are not archived; one that failed is there if the archive refused it."""

    statuses = {
        "waiting": Q(locked_by=None, failed_at=None),
        "running": Q(locked_by__isnull=False),
        "failed": Q(locked_by=None, failed_at__isnull=False),
    }


class FinishedStatusFilter(StatusFilter):
    """Of tasks in the archive."""

    statuses = STATUSES


class BackendFilter(admin.SimpleListFilter):
    """Filters by the backend; the choices are those of the settings, as no index has the column."""

    title = "backend"
    parameter_name = "backend"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the choices: none in a project that has no ``TASKS``."""
        aliases = [str(alias) for alias in getattr(settings, "TASKS", {})]
        return [(name, name) for name in (DECORATOR, *aliases)] if aliases else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that the chosen backend has queued."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(backend=None if chosen == DECORATOR else chosen)


class TaskListMixin(AnyModelAdmin):
    """Shows how a task stands, and finds one by its ``uid``, the id of its result."""

    @admin.display(description="status")
    def status_word(self, obj: Task | CompletedTask) -> str:
        """Return how the row stands, without asking the database."""
        status = obj._own_status()
        is_asked = isinstance(obj, Task) and obj.cancel_requested_at is not None
        return f"{status}, asked to end" if is_asked else status

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search as ever, but for a ``uid`` look into its index."""
        try:
            uid = UUID(search_term.strip())
        except ValueError:
            return super().get_search_results(request, queryset, search_term)
        return queryset.filter(uid=uid), False
