"""What somebody should be told who looks at the lists."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone
from django.utils.timesince import timesince

from ..settings import app_settings
from ..store import Fleet, task_database
from ..store.outline import earliest_run_at


def no_worker_warning() -> str | None:
    """Return a warning if tasks have been due for longer than a lease and no worker is alive."""
    fleet = Fleet(task_database())
    now = timezone.now()
    overdue = now - timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    if fleet.is_anyone_alive():
        return None
    earliest = earliest_run_at(fleet.using)
    if earliest is None or earliest >= overdue:
        return None
    seen = fleet.last_seen()
    since = "has ever been seen" if seen is None else f"has been seen for {timesince(seen, now)}"
    return f"Tasks are waiting, but no worker {since}. Start one: python manage.py process_tasks"
