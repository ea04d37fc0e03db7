"""The systems that can be imported from, by the names of their packages."""

from __future__ import annotations

from .celery_beat import PeriodicTasks
from .django_q import QueuedTasks, Schedules
from .part import Part
from .task_queue import DatabaseTask, DbTasks, DjangoTasksDb

SOURCES: dict[str, tuple[type[Part], ...]] = {
    "django-tasks-db": (DjangoTasksDb,),
    "django-dbtasks": (DbTasks,),
    "django-database-task": (DatabaseTask,),
    "django-q2": (QueuedTasks, Schedules),
    "django-celery-beat": (PeriodicTasks,),
}
