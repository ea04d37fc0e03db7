"""Cancelling tasks, from any process."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import router

from .attempt import Cancelling
from .identity import uid_of
from .models import CompletedTask, Task
from .store import Store, get_store
from .store.selection import Selection

#: How many keys are read at once.
BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class CancelledTasks:
    """What became of tasks that were to be cancelled.

    Attributes:
        found: How many there were.
        cancelled: Those that waited, and are in the archive now; of a dry run, those that wait.
        requested: Those that run, and have been asked to end; of a dry run, those that run.
        late: Those that had finished in the meantime.
    """

    found: int = 0
    cancelled: int = 0
    requested: int = 0
    late: int = 0


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
    return get_store().cancel(uid_of(task))


async def acancel(task: Task | CompletedTask | UUID | str) -> Cancelling:
    """Do as ``cancel`` does, in a coroutine."""
    return await sync_to_async(cancel)(task)


def cancel_many(store: Store, selection: Selection) -> CancelledTasks:
    """Cancel tasks that are in the queue now, the oldest first.

    Each is a transaction of its own, unless the caller is inside one.

    Args:
        store: Where the rows are.
        selection: Which of them.
    """
    live = selection.among(store.tasks.filter(failed_at=None)).order_by("pk")
    last = live.values_list("pk", flat=True).last()
    seen: Counter[str] = Counter()
    beyond = 0
    while last is not None:
        rows = live.filter(pk__gt=beyond, pk__lte=last)  # what comes meanwhile is not meant
        keys = list(rows.values_list("pk", flat=True)[:BATCH_SIZE])
        if not keys:
            break
        beyond = keys[-1]
        seen.update(store.cancel(key) for key in keys)
    late = seen["finished"] + seen["gone"]
    return CancelledTasks(seen.total(), seen["cancelled"], seen["requested"], late)


def count_cancellable(store: Store, selection: Selection) -> CancelledTasks:
    """Return what ``cancel_many`` would find."""
    live = selection.among(store.tasks.filter(failed_at=None))
    waiting = live.filter(locked_by__isnull=True).count()
    running = live.filter(locked_by__isnull=False).count()
    return CancelledTasks(waiting + running, cancelled=waiting, requested=running)


def _cancel_row(task: Task | CompletedTask) -> Cancelling:
    store = get_store(router.db_for_write(type(task), instance=task))
    if task.uid is not None:
        return store.cancel(task.uid)
    if isinstance(task, CompletedTask):  # of 1.x
        return "finished"
    return "gone" if task._state.adding else store.cancel(task.pk)
