"""The filters of the lists, none of which reads a whole table to know its choices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import number_format

from ..models import Worker
from ..models.completed import STATUSES
from ..store.levels import long_ago
from . import keyset
from .keyset import Reach
from .look import NO_QUEUE, look_of

#: Stands for the tasks that no backend has queued, where else there is an alias.
DECORATOR = "@background"
WAITING = Q(locked_by=None, failed_at=None)
#: Somebody holds the row. Not "is not null", by which SQLite does not enter an index.
HELD = Q(locked_by__gt="")


class ChoiceFilter(admin.SimpleListFilter):
    """Filters by a choice; the chosen one is always offered, even if nobody knows it."""

    def value(self) -> str | None:
        """Return what is chosen; never a text that PostgreSQL would not even compare."""
        chosen = super().value()
        return None if chosen is None else chosen.replace("\x00", "\ufffd")

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the choices."""
        names = self.names(request, model_admin)
        chosen = self.value()
        if chosen is not None and chosen not in names:
            names = [chosen, *names]
        return [(name, name) for name in names]

    def names(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[str]:
        """Return what can be chosen."""
        raise NotImplementedError

    @property
    def reach(self) -> Reach:
        """How the rows of the chosen one are found."""
        return "windowed"


class StatusFilter(admin.SimpleListFilter):
    """Filters by how a task stands."""

    title = "status"
    parameter_name = "status"
    statuses: ClassVar[Mapping[str, Any]]
    #: Those that an index has, and few rows besides.
    gathered: ClassVar[frozenset[str]] = frozenset()

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(status, status) for status in self.statuses]

    @property
    def reach(self) -> Reach:
        """How the rows of the chosen status are found."""
        return "gathered" if self.value() in self.gathered else "windowed"


class LiveStatusFilter(StatusFilter):
    """Of tasks that are not archived; one that failed is there if the archive refused it."""

    statuses: ClassVar[Mapping[str, Callable[[datetime], Q]]] = {
        "waiting": lambda now: WAITING,
        "due": lambda now: WAITING & Q(run_at__lte=now),
        "scheduled": lambda now: WAITING & Q(run_at__gt=now, due_at=None),
        "at its limit": lambda now: WAITING & Q(due_at__isnull=False),
        "running": lambda now: HELD,
        "stuck": lambda now: HELD & Q(owner_is_alive=False),
        "asked to end": lambda now: HELD & Q(cancel_requested_at__isnull=False),
        "failed": lambda now: Q(locked_by=None, failed_at__isnull=False),
    }
    gathered = frozenset({"running", "stuck", "asked to end"})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen status."""
        chosen = self.statuses.get(self.value() or "")
        return queryset if chosen is None else queryset.filter(chosen(timezone.now()))


class FinishedStatusFilter(StatusFilter):
    """Of tasks in the archive."""

    statuses = STATUSES
    gathered = frozenset({"failed"})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen status; of the failed ones as many as can be sorted."""
        chosen = self.statuses.get(self.value() or "")
        if chosen is None:
            return queryset
        if self.value() != "failed":
            return queryset.filter(chosen)
        table = queryset.model._default_manager.using(queryset.db)
        failed = table.filter(failed_at__isnull=False).order_by("-failed_at")
        for moment in failed.values_list("failed_at", flat=True)[keyset.WINDOW :][:1]:
            number = number_format(keyset.WINDOW, force_grouping=True)
            text = f"Only the {number} tasks that failed last were looked at."
            look_of(request, queryset.model).note(text)
            return queryset.filter(failed_at__gt=moment)
        return queryset.filter(failed_at__gt=long_ago())  # not "is not null": see HELD


class NameFilter(ChoiceFilter):
    """Filters by the function."""

    title = "task"
    parameter_name = "task_name"

    def names(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[str]:
        """Return the functions that are known."""
        return look_of(request, model_admin.model).names

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen function."""
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(task_name=chosen)


class FinishedNameFilter(NameFilter):
    """Likewise in the archive, which has an index for it."""

    @property
    def reach(self) -> Reach:
        """How the rows of the chosen function are found."""
        return "served"


class QueueFilter(ChoiceFilter):
    """Filters by the queue."""

    title = "queue"
    parameter_name = "queue"

    def names(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[str]:
        """Return the queues that are known."""
        return look_of(request, model_admin.model).queues

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen queue."""
        chosen = self.value()
        if chosen is None:
            return queryset
        is_unnamed = Q(queue=None) | Q(queue="")
        return queryset.filter(is_unnamed if chosen == NO_QUEUE else Q(queue=chosen))


class BackendFilter(ChoiceFilter):
    """Filters by the backend; the choices are those of the settings, as no index has the column."""

    title = "backend"
    parameter_name = "backend"

    def names(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[str]:
        """Return the aliases: none in a project that has no ``TASKS``."""
        aliases = [str(alias) for alias in getattr(settings, "TASKS", {})]
        return [DECORATOR, *aliases] if aliases else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows that the chosen backend has queued."""
        chosen = self.value()
        if chosen is None:
            return queryset
        return queryset.filter(backend=None if chosen == DECORATOR else chosen)


class SilentEmptyFilter(admin.EmptyFieldListFilter):
    """Stands in addresses that people have kept; what it offers, the status offers, too."""

    def has_output(self) -> bool:
        """Tell whether it is shown: where an address asks for it."""
        return bool(self.used_parameters)


class WorkerStateFilter(admin.SimpleListFilter):
    """Filters workers by whether they are alive."""

    title = "state"
    parameter_name = "state"

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        """Return the choices."""
        return [(state, state) for state in ("alive", "silent", "stopped")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the workers of the chosen state."""
        now = timezone.now()
        conditions = {
            "alive": Worker.alive(now),
            "silent": Q(stopped_at=None, expires_at__lt=now),
            "stopped": Q(stopped_at__isnull=False),
        }
        return queryset.filter(conditions.get(self.value() or "", Q()))


class HostFilter(ChoiceFilter):
    """Filters workers by the host; the choices are those of the newest workers."""

    title = "host"
    parameter_name = "host"
    most_rows: ClassVar[int] = 1_000

    def names(self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]) -> list[str]:
        """Return the hosts."""
        hosts = Worker.objects.order_by("-pk").values_list("host", flat=True)
        return sorted(set(hosts[: self.most_rows]))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the workers of the chosen host."""
        chosen = self.value()
        return queryset if chosen is None else queryset.filter(host=chosen)
