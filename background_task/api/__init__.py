"""Running and managing tasks from code: views, shells, scripts, jobs of other schedulers.

Everything here works on tasks of both kinds: of ``@background``, and of ``django.tasks``.
``backend`` says which: None means all, an alias of ``TASKS`` those that this backend has queued,
``NO_BACKEND`` those of ``@background``. ``queue`` is a name, or None for all queues.

Any thread of any process may call it. What runs tasks should not be called inside a transaction:
nobody else would see what they have done before its end. The rest commits or rolls back with it.
"""

from __future__ import annotations

from ..cancellation import CancelledTasks
from ..retrying import Retried
from ..store.census import QueueDepth, TaskCounts
from ..store.selection import NO_BACKEND
from ..worker.stale import Requeued
from .counting import get_pending_task_count, get_queue_depths, get_queue_stats, get_task_counts
from .running import fetch_task, process_one_task, process_tasks, run_task_by_id
from .tidying import cancel_tasks, purge_completed_tasks, requeue_stale_tasks, retry_tasks

__all__ = [
    "NO_BACKEND",
    "CancelledTasks",
    "QueueDepth",
    "Requeued",
    "Retried",
    "TaskCounts",
    "cancel_tasks",
    "fetch_task",
    "get_pending_task_count",
    "get_queue_depths",
    "get_queue_stats",
    "get_task_counts",
    "process_one_task",
    "process_tasks",
    "purge_completed_tasks",
    "requeue_stale_tasks",
    "retry_tasks",
    "run_task_by_id",
]
