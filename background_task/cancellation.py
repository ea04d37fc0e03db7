"""Cancelling tasks, from any process."""

from __future__ import annotations

from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import router

from .attempt import Cancelling
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief
from .models import CompletedTask, Task
from .store import get_store


def cancel(task: Task | CompletedTask | UUID | str) -> Cancelling:
    """Cancel a task: it is not to begin, or to leave off.

    A task that waits is archived at once. One that runs is asked to end: within a second or two,
    ``current_task().is_stopping()`` is true for it; if it goes on nevertheless, a ``TaskCancelled``
    is raised in it after ``BACKGROUND_TASK_CANCEL_GRACE_SECONDS``. It is not tried again, and a
    repeating task is not repeated.

    Any thread of any process may call it. Inside a transaction it commits or rolls back with that.

    Args:
        task: The task, as it was returned by the call that scheduled it or read from the database;
            or its ``uid``, or the text of that.

    Returns:
        What has become of it: ``"cancelled"``, if it waited, and is in the archive now;
        ``"requested"``, if it runs, and has been asked to end; ``"finished"``, if it was too late,
        and nothing was changed; ``"gone"``, if there is no such task.

    Raises:
        InvalidOptionTypeError: ``task`` is nothing of the kind (a ``TypeError``).
        InvalidOptionError: The text is no ``uid`` (a ``ValueError``).
    """
    if isinstance(task, Task | CompletedTask):
        return _cancel_row(task)
    if isinstance(task, str):
        try:
            task = UUID(task)
        except ValueError:
            raise InvalidOptionError(
                f"{brief(task)} is no uid; use what str(task.uid) gives, 32 hexadecimal digits"
            ) from None
    if not isinstance(task, UUID):
        raise InvalidOptionTypeError(
            f"{brief(task)} is of type {type(task).__name__}; use a task, its uid, or that as text"
        )
    return get_store().cancel(task)


async def acancel(task: Task | CompletedTask | UUID | str) -> Cancelling:
    """Do as ``cancel`` does, in a coroutine."""
    return await sync_to_async(cancel)(task)


def _cancel_row(task: Task | CompletedTask) -> Cancelling:
    store = get_store(router.db_for_write(type(task), instance=task))
    if task.uid is not None:
        return store.cancel(task.uid)
    if isinstance(task, CompletedTask):  # of 1.x
        return "finished"
    return "gone" if task._state.adding else store.cancel(task.pk)
