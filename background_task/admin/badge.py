"""How a task or a worker stands, in a word and a colour."""

from __future__ import annotations

from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ..models import CompletedTask, Task, Worker


def task_badges(
    row: Task | CompletedTask, *, now: datetime, is_paused: bool = False
) -> list[tuple[str, str]]:
    """Return how a task stands: pairs of a CSS class and a word, without asking the database.

    Args:
        row: The task, with ``owner_is_alive`` as the lists annotate it.
        now: The time.
        is_paused: Whether its queue or function is paused.
    """
    if not isinstance(row, Task):
        status = row._own_status()
        return [(status, status)]
    if row.locked_by:
        is_asked = row.cancel_requested_at is not None
        found = [("asked", "running, asked to end")] if is_asked else [("running", "running")]
        if row.locked_by_pid_running() is False:
            return [*found, ("stuck", "stuck: its worker is gone")]
        return found
    if row.failed_at is not None:
        return [("failed", "failed")]
    found = [_waiting(row, now)]
    return [*found, ("paused", "paused")] if is_paused else found


def _waiting(row: Task, now: datetime) -> tuple[str, str]:
    if row.due_at is not None:
        return ("limited", "waiting at its limit")
    if row.run_at > now:
        return ("scheduled", "scheduled")
    return ("due", "waiting, due")


def worker_badge(worker: Worker, *, now: datetime) -> tuple[str, str]:
    """Return how a worker stands: a CSS class and a word."""
    if worker.stopped_at is not None:
        return ("stopped", "stopped")
    return ("alive", "alive") if worker.expires_at >= now else ("stuck", "silent")


def rendered(badges: list[tuple[str, str]]) -> SafeString:
    """Return the badges in HTML."""
    form = '<span class="bgtask-badge bgtask-is-{}">{}</span>'
    return format_html_join(" ", form, badges) if badges else format_html("")
