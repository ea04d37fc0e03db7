"""What somebody should be told who looks at the lists."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.utils import timezone
from django.utils.timesince import timesince

from ..models import Task, Worker
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
    """Tell whether a task is overdue, or held by a worker that is dead."""
    overdue = now - timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    earliest = earliest_run_at(using)
    if earliest is not None and earliest < overdue:
        return True
    held = Exists(Task.objects.filter(locked_by=OuterRef("name")))
    dead = Worker.objects.using(using).filter(held, stopped_at=None, expires_at__lt=now)
    return dead.exists()
