"""Background tasks for Django, kept in your own database."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .backoff import exponential, fixed
from .declaration import periodic
from .exceptions import (
    AlreadyScheduledError,
    BackgroundTaskError,
    Discard,
    DuplicateWorkerError,
    InvalidOptionError,
    InvalidOptionTypeError,
    InvalidTaskError,
    NotFinishedError,
    ResultError,
    ResultNotKeptError,
    RetryLater,
    Snooze,
    TaskCancelled,
    TaskCancelledError,
    TaskDiscardedError,
    TaskFailedError,
    TaskGoneError,
    TaskTimeout,
    WaitTimeoutError,
)
from .limiter import RateLimit

__version__ = "2.0.0"

#: Only Django before 3.2 reads this; kept because old code looks it up.
default_app_config = "background_task.apps.BackgroundTasksAppConfig"

__all__ = [
    "AlreadyScheduledError",
    "BackgroundTaskError",
    "Discard",
    "DuplicateWorkerError",
    "GracefulShutdown",
    "InvalidOptionError",
    "InvalidOptionTypeError",
    "InvalidTaskError",
    "NotFinishedError",
    "RateLimit",
    "ResultError",
    "ResultNotKeptError",
    "RetryLater",
    "Runner",
    "Snooze",
    "TaskCancelled",
    "TaskCancelledError",
    "TaskDiscardedError",
    "TaskFailedError",
    "TaskGoneError",
    "TaskTimeout",
    "WaitTimeoutError",
    "__version__",
    "acancel",
    "aprogress",
    "background",
    "cancel",
    "cancel_tasks",
    "current_task",
    "exponential",
    "fetch_task",
    "fixed",
    "get_active_shutdown",
    "get_pending_task_count",
    "get_queue_depths",
    "get_queue_stats",
    "get_task_counts",
    "is_shutdown_requested",
    "pause",
    "paused",
    "periodic",
    "process_one_task",
    "process_tasks",
    "progress",
    "purge_completed_tasks",
    "requeue_stale_tasks",
    "resume",
    "retry_tasks",
    "run_task_by_id",
]

if TYPE_CHECKING:
    from .api import (
        cancel_tasks,
        fetch_task,
        get_pending_task_count,
        get_queue_depths,
        get_queue_stats,
        get_task_counts,
        process_one_task,
        process_tasks,
        purge_completed_tasks,
        requeue_stale_tasks,
        retry_tasks,
        run_task_by_id,
    )
    from .cancellation import acancel, cancel
    from .current import aprogress, current_task, progress
    from .embedded import Runner
    from .pausing import pause, paused, resume
    from .shutdown import GracefulShutdown, get_active_shutdown, is_shutdown_requested
    from .tasks import background
else:
    #: What needs Django's apps, and the modules it is in.
    _LATE = {
        "GracefulShutdown": "shutdown",
        "Runner": "embedded",
        "cancel_tasks": "api",
        "fetch_task": "api",
        "get_pending_task_count": "api",
        "get_queue_depths": "api",
        "get_queue_stats": "api",
        "get_task_counts": "api",
        "process_one_task": "api",
        "process_tasks": "api",
        "purge_completed_tasks": "api",
        "requeue_stale_tasks": "api",
        "retry_tasks": "api",
        "run_task_by_id": "api",
    }

    def __getattr__(name):
        """Import what may not be imported with this package: models are not ready then."""
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f".{_LATE[name]}", __name__), name)

    def background(*args, **kwargs):
        """Decorate a function so that calling it stores a task instead of running it.

        The real decorator is ``background_task.tasks.tasks.background``; it is looked up on the
        first call because models may not be imported before Django's apps are loaded.
        """
        from .tasks import background as decorate

        return decorate(*args, **kwargs)

    def cancel(task):
        """Cancel a task; see ``background_task.cancellation``."""
        from .cancellation import cancel as end

        return end(task)

    async def acancel(task):
        """Do the same in a coroutine."""
        from .cancellation import acancel as end

        return await end(task)

    def current_task():
        """Return the task whose function calls this; see ``background_task.current``."""
        from .current import current_task as current

        return current()

    def progress(done, total=None, message=""):
        """Say how far the current task has come; see ``background_task.current``."""
        from .current import progress as say

        say(done, total, message)

    def pause(**what):
        """Let no worker begin a task of a queue or a function; see ``background_task.pausing``."""
        from .pausing import pause as stop

        return stop(**what)

    def resume(**what):
        """Let workers go on with it."""
        from .pausing import resume as go_on

        return go_on(**what)

    def paused():
        """Return what is paused."""
        from .pausing import paused as find

        return find()

    def aprogress(done, total=None, message=""):
        """Do the same in a coroutine; to be awaited."""
        from .current import aprogress as say

        return say(done, total, message)

    def is_shutdown_requested():
        """Tell whether this code should leave off; see ``background_task.shutdown``."""
        from .shutdown import is_shutdown_requested as ask

        return ask()

    def get_active_shutdown():
        """Return what tells this code when to leave off."""
        from .shutdown import get_active_shutdown as find

        return find()
