"""The two lists in Django's admin."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db import DatabaseError, router, transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.timesince import timesince

from .admin_action import run_now, take_back, try_anew
from .admin_list import BackendFilter, FinishedStatusFilter, LiveStatusFilter, TaskListMixin
from .cancellation import cancel
from .declaration import EPOCH
from .exceptions import InvalidOptionError
from .fields import ExactText
from .models import CompletedTask, Pause, Schedule, Task, Worker
from .option import check_name
from .recurrence import Rule, parse, upcoming
from .recurrence.zone import instant
from .schedule import as_local
from .settings import app_settings
from .store import Fleet, get_store, task_database
from .store.pause import Pauses, key_of
from .store.schedule import Schedules
from .tasks import autodiscover, tasks
from .worker.served import all_declared

if TYPE_CHECKING:
    ScheduleModelAdmin = admin.ModelAdmin[Schedule]
    TaskModelAdmin = admin.ModelAdmin[Task]
    CompletedTaskModelAdmin = admin.ModelAdmin[CompletedTask]
    PauseModelAdmin = admin.ModelAdmin[Pause]
    PauseModelForm = forms.ModelForm[Pause]
    WorkerModelAdmin = admin.ModelAdmin[Worker]
else:  # Django's class takes no parameters when the program runs
    ScheduleModelAdmin = TaskModelAdmin = CompletedTaskModelAdmin = admin.ModelAdmin
    PauseModelAdmin, PauseModelForm = admin.ModelAdmin, forms.ModelForm
    WorkerModelAdmin = admin.ModelAdmin

BATCH_SIZE = 500
COLUMNS = (
    "task_name",
    "task_params",
    "run_at",
    "priority",
    "attempts",
    "has_error",
    "locked_by",
    "locked_by_pid_running",
    "queue",
    "status_word",
    "backend",
)
#: What is said of tasks that somebody cancels.
CANCELLED_AS = {
    "cancelled": "cancelled",
    "requested": "asked to end",
    "finished": "finished already",
    "gone": "gone already",
}
SHOWN = (
    *("uid", "backend", "status_word"),
    *("enqueued_at", "started_at", "progress_now", "error_history"),
)


@admin.action(description="priority += 1")
def inc_priority(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Raise the priority, touching no other column of the rows."""
    _add_to_priority(queryset, 1)


@admin.action(description="priority -= 1")
def dec_priority(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Lower the priority, touching no other column of the rows."""
    _add_to_priority(queryset, -1)


@admin.action(description="Cancel", permissions=["change"])
def cancel_tasks(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Cancel the selected tasks, each in a transaction of its own, and say what became of them."""
    keys = list(queryset.order_by("pk").values_list("pk", flat=True))
    rows = Task.objects.using(router.db_for_write(Task))
    counts: Counter[str] = Counter()
    for start in range(0, len(keys), BATCH_SIZE):
        for task in rows.filter(pk__in=keys[start : start + BATCH_SIZE]):
            counts[cancel(task)] += 1
    counts["finished"] += len(keys) - counts.total()
    said = ", ".join(f"{count} {CANCELLED_AS[what]}" for what, count in counts.items() if count)
    modeladmin.message_user(request, f"{said or 'No task was chosen'}.")


def _add_to_priority(queryset: QuerySet[Any], step: int) -> None:
    """Update the selected rows in batches that fit into one statement of any database."""
    rows: QuerySet[Any] = queryset.model._default_manager.using(router.db_for_write(queryset.model))
    chosen = list(queryset.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(chosen), BATCH_SIZE):
        batch = chosen[start : start + BATCH_SIZE]
        rows.filter(pk__in=batch).update(priority=F("priority") + step)


class OwnerAliveMixin:
    """Learns for all rows of a page in one query whether their owner is alive."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the rows, each with ``owner_is_alive``."""
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        alive = Worker.objects.filter(Worker.alive(timezone.now()))
        owner = alive.filter(name=ExactText(OuterRef("locked_by")))
        annotated: QuerySet[Any] = rows.annotate(owner_is_alive=Exists(owner))
        return annotated


class ResultMixin:
    """Shows in the form how far a task has come, and how its attempts went wrong."""

    @admin.display(description="progress")
    def progress_now(self, obj: Task | CompletedTask) -> str:
        """Return what the task says of itself."""
        return "-" if obj.progress is None else f"{obj.progress}, said at {obj.progress.at}"

    @admin.display(description="errors")
    def error_history(self, obj: Task | CompletedTask) -> str:
        """Return the errors of the attempts, each with its traceback."""
        return format_html_join(
            "",
            "<p>attempt {}, {}, {}, by {}</p><pre>{}</pre>",
            (
                (each.attempt, each.at, each.exception_class_path, each.worker, each.traceback)
                for each in obj.attempt_errors
            ),
        )


@admin.register(Task)
class TaskAdmin(ResultMixin, OwnerAliveMixin, TaskListMixin, TaskModelAdmin):
    """Tasks that wait or run."""

    list_display = COLUMNS
    list_filter = (LiveStatusFilter, BackendFilter, "task_name", "queue")
    search_fields = ("task_name", "task_params")
    actions = (inc_priority, dec_priority, run_now, cancel_tasks, take_back)
    readonly_fields = (*SHOWN, "due_at", "cancel_requested_at")

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


@admin.register(CompletedTask)
class CompletedTaskAdmin(ResultMixin, OwnerAliveMixin, TaskListMixin, CompletedTaskModelAdmin):
    """Tasks that are done, failed for good, or cancelled."""

    list_display = (*COLUMNS, "failed_at", "cancelled_at")
    list_filter = (
        *(FinishedStatusFilter, BackendFilter, "task_name", "queue"),
        *((name, admin.EmptyFieldListFilter) for name in ("failed_at", "cancelled_at")),
    )
    search_fields = ("task_name", "task_params")
    actions = (try_anew,)
    readonly_fields = (*SHOWN, "return_value", "discarded_at", "cancelled_at")


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


@admin.register(Schedule)
class ScheduleAdmin(ScheduleModelAdmin):
    """When periodic tasks tick; code says when, people may pause, resume and run them."""

    list_display = (
        *("name", "task_name", "in_words", "next_times", "is_paused", "last_tick_at", "seen_at"),
    )
    list_filter = ("is_paused",)
    search_fields = ("name", "task_name")
    actions = ("pause", "resume", "run_now")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Code declares schedules."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Schedule | None = None) -> list[str]:
        """Show all, let nothing be typed in."""
        return [field.name for field in Schedule._meta.fields if field.editable]

    @admin.display(description="when")
    def in_words(self, obj: Schedule) -> str:
        """Return the rule as a phrase."""
        rule = _rule_of(obj)
        return obj.rule if rule is None else rule.in_words()

    @admin.display(description="next times")
    def next_times(self, obj: Schedule) -> str:
        """Return the next five ticks by the project's clock."""
        rule = _rule_of(obj)
        if obj.is_paused or rule is None:
            return "none while it is paused" if obj.is_paused else "unknown to this version"
        times = upcoming(rule, start=EPOCH, after=timezone.now())
        return ", ".join(f"{as_local(moment):%Y-%m-%d %H:%M:%S}" for moment in times)

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Put no ticks of these into the queue until further notice."""
        schedules = Schedules(task_database())
        paused = sum(schedules.pause(row.key) for row in queryset)
        self.message_user(request, f"Paused: {paused}")

    @admin.action(description="Resume", permissions=["change"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """Go on with the next tick; what was missed is dropped."""
        schedules, now = Schedules(task_database()), instant(get_store().now())
        keys = {row.key for row in queryset if row.is_paused}
        rows = [row for key, row in schedules.read().items() if key in keys]
        resumed = [schedules.resume(row, now=now) for row in rows]
        self.message_user(request, f"Resumed: {len(list(filter(None, resumed)))}")

    @admin.action(description="Run now", permissions=["change"])
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
            declaration.call(timezone.now(), *declaration.arguments())
            self.message_user(request, f"Put a run of {row.name} into the queue.")


def _rule_of(row: Schedule) -> Rule | None:
    """Return the rule of a row; None if a version wrote it that had more kinds of them."""
    try:
        return parse(row.rule)
    except InvalidOptionError:
        return None


def no_worker_warning() -> str | None:
    """Return a warning if tasks have been due for longer than a lease and no worker is alive."""
    fleet = Fleet(task_database())
    now = timezone.now()
    overdue = now - timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    waiting = Task.objects.using(fleet.using).filter(
        run_at__lt=overdue, locked_by__isnull=True, failed_at__isnull=True
    )
    if not waiting.exists() or fleet.is_anyone_alive():
        return None
    seen = fleet.last_seen()
    since = "has ever been seen" if seen is None else f"has been seen for {timesince(seen, now)}"
    return f"Tasks are waiting, but no worker {since}. Start one: python manage.py process_tasks"


class PauseForm(PauseModelForm):
    """Asks what is to be paused; an empty name is the unnamed queue."""

    class Meta:
        model = Pause
        fields = ("kind", "name")

    def clean(self) -> dict[str, Any]:
        """Refuse a name that no function can have."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        if given.get("kind") == Pause.FUNCTION:
            try:
                check_name(given.get("name"))
            except InvalidOptionError as error:
                raise forms.ValidationError(str(error)) from error
        return given


@admin.register(Pause)
class PauseAdmin(PauseModelAdmin):
    """What no worker takes for now; adding a row pauses, deleting one resumes."""

    form = PauseForm
    list_display = ("name_or_unnamed", "kind", "paused_at")
    list_filter = ("kind",)
    search_fields = ("name",)
    ordering = ("paused_at",)
    actions = ("resume",)

    def has_change_permission(self, request: HttpRequest, obj: Pause | None = None) -> bool:
        """There is nothing to be changed in a pause: it is there or not."""
        return False

    @admin.display(description="name", ordering="name")
    def name_or_unnamed(self, obj: Pause) -> str:
        """Return the name; the unnamed queue has none."""
        return obj.name or "(the unnamed queue)"

    def save_model(self, request: HttpRequest, obj: Pause, form: Any, change: bool) -> None:
        """Pause it, unless it is paused already."""
        obj.key = key_of(obj.kind, obj.name)
        if not Pauses(task_database()).pause(obj.kind, obj.name):
            self.message_user(request, f"{obj} is paused already.", messages.WARNING)
        obj.refresh_from_db(using=task_database())

    def delete_model(self, request: HttpRequest, obj: Pause) -> None:
        """Resume it."""
        Pauses(task_database()).resume(obj.kind, obj.name)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """Resume them."""
        for pause in queryset:
            self.delete_model(request, pause)

    @admin.action(description="Resume", permissions=["delete"])
    def resume(self, request: HttpRequest, queryset: QuerySet[Pause]) -> None:
        """Let workers go on with these."""
        pauses = Pauses(task_database())
        resumed = sum(pauses.resume(row.kind, row.name) for row in queryset)
        self.message_user(request, f"Resumed: {resumed}")
