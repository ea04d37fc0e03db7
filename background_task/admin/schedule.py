"""The list of periodic tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from ..declaration import EPOCH
from ..exceptions import BackgroundTaskError, InvalidOptionError
from ..models import Schedule
from ..recurrence import Rule, parse, upcoming
from ..recurrence.zone import instant
from ..schedule import as_local
from ..store import get_store, task_database
from ..store.schedule import Schedules
from ..tasks import autodiscover, tasks
from ..worker.served import all_declared
from .checkbox import CheckboxMixin
from .journal import Entry, write_log
from .right import RightsMixin

if TYPE_CHECKING:
    ScheduleModelAdmin = admin.ModelAdmin[Schedule]
else:  # Django's class takes no parameters when the program runs
    ScheduleModelAdmin = admin.ModelAdmin


@admin.register(Schedule)
class ScheduleAdmin(CheckboxMixin, RightsMixin, ScheduleModelAdmin):
    """When periodic tasks tick; code says when, people may pause, resume and run them."""

    list_display = (
        *("name", "task_name", "in_words", "next_times", "paused", "last_tick_at", "seen_at"),
    )
    list_filter = ("is_paused",)
    search_fields = ("name", "task_name")
    actions = ("pause", "resume", "run_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Code declares schedules."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        """Show all, and what it means in words; let nothing be typed in."""
        fields = [field.name for field in Schedule._meta.fields if field.editable]
        return [*fields[:2], "in_words", "next_times", *fields[2:]]

    @admin.display(description="when")
    def in_words(self, obj: Schedule) -> str:
        """Return the rule as a phrase."""
        rule = _rule_of(obj)
        return obj.rule if rule is None else rule.in_words()

    @admin.display(description="next times")
    def next_times(self, obj: Schedule) -> str | SafeString:
        """Return the next five ticks by the project's clock."""
        rule = _rule_of(obj)
        if obj.is_paused or rule is None:
            return "none while it is paused" if obj.is_paused else "unknown to this version"
        times = upcoming(rule, start=EPOCH, after=timezone.now())
        shown = ((f"{as_local(moment):%Y-%m-%d %H:%M:%S}",) for moment in times)
        return format_html_join(mark_safe("<br>"), '<span class="nowrap">{}</span>', shown)

    @admin.display(description="paused", ordering="is_paused")
    def paused(self, obj: Schedule) -> str:
        """Return in words whether it is paused: the sign for "no" is a red cross."""
        return "yes" if obj.is_paused else "no"

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Put no ticks of these into the queue until further notice."""
        schedules = Schedules(task_database())
        paused = [row for row in queryset if schedules.pause(row.key)]
        _write_log(request, paused, "Paused.")
        self.message_user(request, f"Paused: {len(paused)}")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Go on with the next tick; what was missed is dropped."""
        schedules, now = Schedules(task_database()), instant(get_store().now())
        known, resumed = schedules.read(), []
        for row in queryset:
            if not row.is_paused or row.key not in known:
                continue
            try:
                if schedules.resume(known[row.key], now=now):
                    resumed.append(row)
            except InvalidOptionError as error:
                self.message_user(request, f"{row.name}: {error}", messages.WARNING)
        _write_log(request, resumed, "Resumed.")
        self.message_user(request, f"Resumed: {len(resumed)}")

    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Put a run of each into the queue that is due now; the ticks go on as ever."""
        autodiscover()
        declarations = all_declared(tasks._tasks)
        for row in queryset:
            if row.name not in declarations:
                text = f"Not run: {row.name} is not declared by the code of this process."
                self.message_user(request, text, messages.WARNING)
                continue
            declaration = declarations[row.name]
            try:
                task = declaration.call(timezone.now(), *declaration.arguments())
                why = "one that waits already is kept"
            except BackgroundTaskError as error:
                task, why = None, str(error)
            if task is None:
                text = f"Not run: {row.name}: {why}."
                self.message_user(request, text, messages.WARNING)
                continue
            _write_log(request, [row], "Put a run into the queue.")
            self.message_user(request, f"Put a run of {row.name} into the queue.")


def _write_log(request: HttpRequest, rows: Iterable[Schedule], what: str) -> None:
    write_log(request, Schedule, [Entry(row.key, row.name, what) for row in rows])


def _rule_of(row: Schedule) -> Rule | None:
    """Return the rule of a row; None if a version wrote it that had more kinds of them."""
    try:
        return parse(row.rule)
    except InvalidOptionError:
        return None
