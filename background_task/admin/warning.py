"""What somebody should be told who looks at the lists."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.timesince import timesince

from ..models import Task
from ..settings import app_settings
from ..store import Fleet, task_database
from ..store.outline import earliest_run_at


def no_worker_warning() -> str | None:
    """Return a warning if tasks have been left for longer than a lease and no worker is alive."""
    fleet = Fleet(task_database())
    now = timezone.now()
    if fleet.is_anyone_alive() or not _is_anything_left(fleet.using, now):
        return None
    seen = fleet.last_seen()
    since = "has ever been seen" if seen is None else f"has been seen for {timesince(seen, now)}"
    return f"Tasks are waiting, but no worker {since}. Start one: python manage.py process_tasks"


def _is_anything_left(using: str, now: datetime) -> bool:
    """Tell whether a task has been due, or held by who is gone, for longer than a lease."""
    overdue = now - timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    earliest = earliest_run_at(using)
    if earliest is not None and earliest < overdue:
        return True
    # Not "is not null", by which SQLite does not enter the index.
    held = Task.objects.using(using).filter(locked_by__gt="", locked_at__lt=overdue)
    return held.exists()
