"""The tables: live tasks, the archive of finished ones, and the workers."""

from __future__ import annotations

import logging
from typing import Any

from django.utils import timezone

from .. import telemetry
from ..exceptions import InvalidTaskError
from ..schedule import as_local
from ..settings import app_settings
from ..signals import task_failed, task_rescheduled
from .attempt_log import AttemptLog
from .completed import CompletedTask, CompletedTaskQuerySet
from .flow import Gate, Pause, Permit
from .queryset import TaskManager, TaskQuerySet
from .record import TaskRecord
from .rollup import Dashboard, Queue, QueueSample, Rollup
from .schedule import Schedule
from .task import Task
from .turn import TURNS, Turn
from .worker import Worker

__all__ = [
    "TURNS",
    "AttemptLog",
    "CompletedTask",
    "CompletedTaskQuerySet",
    "Dashboard",
    "Gate",
    "InvalidTaskError",
    "Pause",
    "Permit",
    "Queue",
    "QueueSample",
    "Rollup",
    "Schedule",
    "Task",
    "TaskManager",
    "TaskQuerySet",
    "TaskRecord",
    "Turn",
    "Worker",
    "app_settings",
    "task_failed",
    "task_rescheduled",
]

logger = logging.getLogger(__name__)


def _log_rescheduling(name: str, fields: dict[str, Any]) -> None:
    """Write the warnings that have always come from this module's logger, and of lost attempts."""
    claim = fields["claim"]  # or the task itself, from ``Task.reschedule``
    attempt = claim.attempts if isinstance(claim, Task) else claim.attempt
    extra = {
        "event": name,
        "task_id": claim.pk if isinstance(claim, Task) else claim.task_id,
        "task_uid": str(claim.uid),
        "task_name": claim.task_name,
        "queue": claim.queue,
        "priority": claim.priority,
        "backend": claim.backend,
        "worker": claim.locked_by if isinstance(claim, Task) else claim.owner,
        "attempt": attempt,
        "seconds": fields["seconds"],
        "error_class": fields["error_class"] or None,
    }
    if fields["lost"]:
        text = "Attempt %d of %s was lost: its worker %s is gone"
        logger.warning(text, attempt, claim, claim.owner, extra=extra)
    elif name == "retry":
        run_at = as_local(timezone.now()) + fields["delay"]
        text = "Rescheduling task %s for %s later at %s"
        level = logging.INFO if fields.get("is_wish") else logging.WARNING
        logger.log(level, text, claim, fields["delay"], run_at, extra=extra)
    if name == "failure":
        logger.warning("Marking task %s as failed", claim, extra=extra)


telemetry.subscribe(_log_rescheduling, to=("retry", "failure"))
