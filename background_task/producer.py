"""The only road into the queue."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, models, transaction

from . import option
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .models import Task
from .schedule import TaskSchedule
from .signals import task_created
from .store import Store, get_store

#: How often two callers that keep undoing each other's "only one may wait" try again.
ROUNDS = 10


@dataclass(frozen=True)
class TaskSpec:
    """Everything that one call asks for. Field by field what ``Task.objects.new_task`` takes."""

    task_name: str
    args: Any = ()
    kwargs: Any = field(default_factory=dict)
    run_at: datetime | None = None
    priority: int = 0
    action: int = TaskSchedule.SCHEDULE
    queue: str | None = None
    verbose_name: str | None = None
    creator: models.Model | None = None
    repeat: int | None = None
    repeat_until: datetime | None = None
    remove_existing_tasks: bool = False


def enqueue(spec: TaskSpec, *, sender: type) -> Task | None:
    """Store a call as a row, inside the caller's transaction if there is one.

    Args:
        spec: What to store.
        sender: The sender of ``task_created``.

    Returns:
        The saved task, or None if an existing one was kept or moved instead.

    Raises:
        InvalidOptionError: An option's value cannot be stored (a ``ValueError``).
        InvalidOptionTypeError: An option or argument has the wrong type (a ``TypeError``).
    """
    store = get_store()
    task = _build(spec)
    if spec.action == TaskSchedule.SCHEDULE and not spec.remove_existing_tasks:
        store.add(task)
    elif not _add_alone(store, task, spec):
        return None
    task_created.send(sender=sender, task=task)
    return task


def _build(spec: TaskSpec) -> Task:
    """Return the unsaved row of a call, everything checked before the database is touched."""
    creator = spec.creator
    if creator is not None and not isinstance(creator, models.Model):
        raise InvalidOptionTypeError(
            f"creator {creator!r} is not a model instance; use one or None"
        )
    if creator is not None and creator.pk is None:
        # Not its repr: the __str__ of many models fails before they are saved.
        raise InvalidOptionError(
            f"creator, a {type(creator).__name__}, has no primary key yet; save it first"
        )
    return Task.objects.new_task(
        option.check_name(spec.task_name),
        spec.args,
        spec.kwargs,
        run_at=option.check_moment(spec.run_at, what="run_at"),
        priority=option.check_priority(spec.priority),
        queue=option.check_queue(spec.queue),
        verbose_name=option.check_verbose_name(spec.verbose_name),
        creator=creator,
        repeat=option.check_repeat(spec.repeat),
        repeat_until=option.check_moment(spec.repeat_until, what="repeat_until"),
    )


def _add_alone(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Make ``task`` the only waiting row of its call, or see to the one that is there.

    Two callers may both find no row. Then both insert, with the same unique key: the second waits
    for the first to commit, is refused by the index, and looks again. Rows added without an action
    have no key; they are found by their hash.
    """
    for round_ in range(ROUNDS):
        if _is_kept(store, task, spec):
            return False
        try:
            with transaction.atomic(using=store.using):
                if store.take_turn(task) and _is_kept(store, task, spec):
                    return False
                if _is_moved(store, task, spec):
                    return False
                store.add(task)
                return True
        except IntegrityError:
            if round_ == ROUNDS - 1:
                raise
            store.free_key(task)
    return False


def _is_kept(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Tell whether CHECK_EXISTING finds a waiting row.

    Only read, and outside a transaction of ours: a lock would be held until the caller's
    transaction ends, and make all callers of the same task wait for each other.
    """
    if spec.remove_existing_tasks or spec.action != TaskSchedule.CHECK_EXISTING:
        return False
    return store.is_waiting(task.task_hash, queue=task.queue)


def _is_moved(store: Store, task: Task, spec: TaskSpec) -> bool:
    """Delete or move the waiting rows of the same call; True if they were moved.

    Begins with a write, which takes the rows' locks: no worker claims them meanwhile.
    """
    if spec.remove_existing_tasks:
        store.remove_waiting(task.task_hash, queue=task.queue)
    elif spec.action == TaskSchedule.RESCHEDULE_EXISTING:
        waiting = store.waiting(task.task_hash, queue=task.queue)
        return bool(waiting.update(run_at=task.run_at, priority=task.priority))
    return False
