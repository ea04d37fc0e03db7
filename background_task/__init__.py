"""Background tasks for Django, kept in your own database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .backoff import exponential, fixed
from .declaration import periodic
from .exceptions import (
    AlreadyScheduledError,
    BackgroundTaskError,
    Discard,
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
    "InvalidOptionError",
    "InvalidOptionTypeError",
    "InvalidTaskError",
    "NotFinishedError",
    "RateLimit",
    "ResultError",
    "ResultNotKeptError",
    "RetryLater",
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
    "current_task",
    "exponential",
    "fixed",
    "pause",
    "paused",
    "periodic",
    "progress",
    "resume",
]

if TYPE_CHECKING:
    from .cancellation import acancel, cancel
    from .current import aprogress, current_task, progress
    from .pausing import pause, paused, resume
    from .tasks import background
else:

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
