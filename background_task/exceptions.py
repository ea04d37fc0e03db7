"""Every exception this library raises on purpose."""

from __future__ import annotations

from typing import Any


class BackgroundTaskError(Exception):
    """Base of all errors of this library.

    Args:
        message: What went wrong, with the value, the rule and the remedy.
        errors: Anything the raiser wants to attach; kept as ``.errors``.
    """

    def __init__(self, message: Any = "", errors: Any = None) -> None:
        super().__init__(message)
        self.errors = errors


class InvalidTaskError(BackgroundTaskError):
    """Raise it in a task function to fail the task at once, without another attempt."""


class InvalidOptionError(BackgroundTaskError, ValueError):
    """An option of the right type has a value that cannot work."""


class InvalidOptionTypeError(BackgroundTaskError, TypeError):
    """An option, or a task's argument, has a type that cannot work."""


class InvalidPayloadError(InvalidTaskError):
    """A row's stored arguments cannot be read; running it again would not help."""


class StopNow(BaseException):
    """Interrupts the running task because the worker must leave at once.

    Not an ``Exception``, so that a task's own ``except Exception`` does not swallow it.
    """


class TaskTimeout(BaseException):
    """Ends the running task because it has reached its time limit.

    Not an ``Exception``, so that a task's own ``except Exception`` does not swallow it.
    """
