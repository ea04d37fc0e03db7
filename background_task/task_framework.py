"""Django's framework of tasks: ``django.tasks``, or ``django_tasks`` before Django 6.0.

The two have the same classes under almost the same names. Everything else imports them from here,
and only where a project uses them: this fails where there is neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import django

if TYPE_CHECKING or django.VERSION >= (6, 0):
    from django.tasks import task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django.tasks.exceptions import InvalidTask, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
else:
    try:
        from django_tasks import task, task_backends
    except ImportError as error:
        raise ImportError(
            f"Django {django.get_version()} has no django.tasks: install Django 6.0 or later, or "
            "the package django-tasks (pip install 'django-background-tasks[tasks]')"
        ) from error
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskContext, TaskError, TaskResult, TaskResultStatus
    from django_tasks.exceptions import InvalidTaskError as InvalidTask, TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued, task_finished, task_started
    from django_tasks.utils import normalize_json

if TYPE_CHECKING:
    GenericTask = Task
else:

    class GenericTask:
        """``Task`` for those who read types: that of Django takes no parameters."""

        def __class_getitem__(cls, parameters):
            return Task


__all__ = [
    "BaseTaskBackend",
    "GenericTask",
    "InvalidTask",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "normalize_json",
    "task",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
