"""The lists and pages in Django's admin; importing it registers them.

The package replaces the module of the same name of django-background-tasks, whose names are here.
"""

from __future__ import annotations

from .action import (
    cancel_tasks,
    change_priority,
    change_queue,
    dec_priority,
    discard_tasks,
    inc_priority,
    reschedule_tasks,
    run_again,
    run_now,
    take_back,
    try_anew,
)
from .completed import CompletedTaskAdmin
from .dashboard import DashboardAdmin
from .pause import PauseAdmin
from .queue import QueueAdmin
from .schedule import ScheduleAdmin
from .task import TaskAdmin
from .warning import no_worker_warning
from .worker import WorkerAdmin

__all__ = [
    "CompletedTaskAdmin",
    "DashboardAdmin",
    "PauseAdmin",
    "QueueAdmin",
    "ScheduleAdmin",
    "TaskAdmin",
    "WorkerAdmin",
    "cancel_tasks",
    "change_priority",
    "change_queue",
    "dec_priority",
    "discard_tasks",
    "inc_priority",
    "no_worker_warning",
    "reschedule_tasks",
    "run_again",
    "run_now",
    "take_back",
    "try_anew",
]
