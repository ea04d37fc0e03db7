"""What people do in the admin to the tasks that they have chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db import router
from django.db.models import F, QuerySet
from django.http import HttpRequest

from ..cancellation import cancel
from ..models import Task
from ..retrying import retry_rows
from ..store import get_store, task_database
from ..store.again import failed_tasks
from ..store.selection import Selection
from ..tasks import autodiscover, tasks
from ..wakeup import notify_after_commit
from ..worker.stale import Requeued, Rule, requeue_stale

#: Keys that fit into one statement of any database.
BATCH_SIZE = 500
#: What is said of tasks that somebody cancels.
CANCELLED_AS = {
    "cancelled": "cancelled",
    "requested": "asked to end",
    "finished": "finished already",
    "gone": "gone already",
}


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


@admin.action(description="Run now", permissions=["change"])
def run_now(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Let those that wait for their time be due now; what is due, runs or has failed stays."""
    using = task_database()
    now = get_store(using).now()
    moved = 0
    for keys in _batches(queryset):
        # Not those of a worker, even if it claimed them a moment ago: their time is the claim's.
        waiting = Task.objects.using(using).filter(
            pk__in=keys, run_at__gt=now, locked_by__isnull=True, failed_at__isnull=True
        )
        moved += waiting.update(run_at=now, due_at=None)
    if moved:
        notify_after_commit(using)
    modeladmin.message_user(request, f"Due now: {moved}.")


@admin.action(description="Take back from workers that are gone", permissions=["change"])
def take_back(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Let those wait again whose worker is dead; the lost attempt is spent."""
    autodiscover()
    store = get_store(task_database())
    done = Requeued()
    for keys in _batches(queryset):
        found = requeue_stale(
            store,
            older_than=timedelta(0),
            rule=Rule(),
            registry=tasks._tasks,
            selection=Selection(keys=keys),
        )
        done = Requeued(*map(sum, zip(astuple(done), astuple(found), strict=True)))
    counts = (
        (done.requeued, "waiting again"),
        (done.failed, "failed, as no attempt was left"),
        (done.cancelled, "cancelled, as somebody had asked for it"),
        (done.spared, "left to workers that are alive"),
    )
    _say(modeladmin, request, counts, nothing="None of these is held by anybody")


@admin.action(description="Try anew what has failed", permissions=["change"])
def try_anew(
    modeladmin: admin.ModelAdmin[Any], request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Add a new task for each that has failed for good; one that has had its own gets no other."""
    autodiscover()
    added = held_back = refused = 0
    for keys in _batches(queryset):
        rows = failed_tasks(task_database(), selection=Selection(keys=keys))
        done = retry_rows(rows, registry=tasks._tasks, sender=type(tasks._runner))
        added, held_back = added + done.retried, held_back + done.held_back
        refused += len(done.refused)
        for _, why in done.refused:
            modeladmin.message_user(request, why, messages.WARNING)
    counts = (
        (added, "put into the queue anew"),
        (held_back, "held back: another task has the unique key"),
        (refused, "not readable any more"),
    )
    _say(modeladmin, request, counts, nothing="None of these has failed and not been tried anew")


def _batches(queryset: QuerySet[Any]) -> Iterator[list[int]]:
    keys = list(queryset.order_by("pk").values_list("pk", flat=True))
    for start in range(0, len(keys), BATCH_SIZE):
        yield keys[start : start + BATCH_SIZE]


def _say(
    modeladmin: admin.ModelAdmin[Any],
    request: HttpRequest,
    counts: tuple[tuple[int, str], ...],
    *,
    nothing: str,
) -> None:
    said = ", ".join(f"{count} {what}" for count, what in counts if count)
    modeladmin.message_user(request, f"{said or nothing}.")
