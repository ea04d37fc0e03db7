"""Trying failed tasks anew: each becomes a new row, with the same arguments and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from django.db import transaction

from . import payload
from .exceptions import BackgroundTaskError
from .identity import new_uid
from .limiter import LimitKey
from .models import CompletedTask, CompletedTaskQuerySet, Task
from .registry import Registry
from .signals import task_created
from .store import get_store
from .store.again import begun_anew, mark_retried
from .store.unique import add_unique
from .uniqueness import UniqueKey, Uniqueness
from .wakeup import notify_after_commit

#: How many rows are read at once.
BATCH_SIZE = 500
#: What the new row has of the one that has failed; and what it has of its chain, if that goes on.
COPIED = (
    *("task_name", "task_params", "task_hash", "priority", "queue", "verbose_name", "backend"),
    *("creator_content_type_id", "creator_object_id"),
)
CHAIN = ("repeat", "repeat_until", "repeat_rule")


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of failed tasks that were to be tried anew.

    Attributes:
        found: How many there were.
        retried: Those that are in the queue anew; of a dry run, none.
        held_back: Those of which another one with the same unique key is there already.
        refused: Those that cannot be read any more, by their uids, and why.
        uids: The uids of the new tasks.
    """

    found: int = 0
    retried: int = 0
    held_back: int = 0
    refused: tuple[tuple[UUID | None, str], ...] = ()
    uids: tuple[UUID, ...] = ()


def retry_row(
    row: CompletedTask, *, registry: Registry, sender: type, repeats: bool = False
) -> Task | None:
    """Put a failed task into the queue anew, as a new row that is due now.

    Its attempts begin with the first. It has the unique key and the limit that a call would have
    now; if another task has that key, nothing is added. It is one run: a chain that has ended with
    the failure goes on only where that is asked for, because another run of it may wait already.

    Args:
        row: The failed task, as it was read.
        registry: The functions by name.
        sender: The sender of ``task_created``.
        repeats: Whether its chain goes on with it.

    Returns:
        The new row; None if another one has its key, or somebody else was quicker.

    Raises:
        BackgroundTaskError: Its arguments or options cannot be read.
    """
    try:
        unique, limit_key = _keys_of(row, registry)
        return add_again(row, sender=sender, unique=unique, limit_key=limit_key, repeats=repeats)
    except (ValueError, TypeError, RecursionError) as error:  # broken options
        raise BackgroundTaskError(f"{row} cannot be tried anew: {error}") from error


def add_again(
    row: CompletedTask,
    *,
    sender: type,
    unique: UniqueKey | None = None,
    limit_key: str | None = None,
    repeats: bool = False,
) -> Task | None:
    """Store a failed task of the archive anew, as a row of its own that is due now.

    Arguments and hash are copied as they are. The failed one stays, and says which one tries it
    anew, both or neither: so of two callers only one adds a row.

    Args:
        row: The failed task, as it was read.
        sender: The sender of ``task_created``.
        unique: What only one task may have at a time; if another one has it, nothing is added.
        limit_key: Which runs count together in a limit.
        repeats: Whether the chain that it was a run of goes on with it.

    Returns:
        The saved task; None if it was not added.
    """
    store = get_store(row._state.db)
    task = Task(
        run_at=store.now(),
        uid=new_uid(),
        limit_key=limit_key,
        options=begun_anew(row.options, repeats=repeats),
        **{name: getattr(row, name) for name in (*COPIED, *(CHAIN if repeats else ()))},
    )
    assert task.uid is not None  # given above
    with transaction.atomic(using=store.using):
        is_added = mark_retried(row, task.uid)
        if is_added and unique is not None and not add_unique(store, task, unique):
            is_added = False
            transaction.set_rollback(True, using=store.using)  # the mark
        elif is_added and unique is None:
            store.add(task)
        if is_added:
            notify_after_commit(store.using)
    if not is_added:
        return None
    task_created.send(sender=sender, task=task)
    return task


def retry_rows(
    rows: CompletedTaskQuerySet,
    *,
    registry: Registry,
    sender: type,
    repeats: bool = False,
    note: Callable[[CompletedTask, Task], None] | None = None,
) -> Retried:
    """Put failed tasks into the queue anew, the oldest first.

    Each is a transaction of its own, unless the caller is inside one.

    Args:
        rows: Which of them.
        registry: The functions by name.
        sender: The sender of ``task_created``.
        repeats: Whether their chains go on with them.
        note: Is told of each task of the archive for which another one was added, and of that.
    """
    done, beyond = Retried(), 0
    rows = rows.defer("last_error", "errors", "return_value")  # long, and not copied
    while batch := list(rows.filter(pk__gt=beyond).order_by("pk")[:BATCH_SIZE]):
        beyond = batch[-1].pk
        for row in batch:
            done = replace(done, found=done.found + 1)
            try:
                task = retry_row(row, registry=registry, sender=sender, repeats=repeats)
            except BackgroundTaskError as error:
                done = replace(done, refused=(*done.refused, (row.uid, str(error))))
                continue
            if task is None or task.uid is None:
                done = replace(done, held_back=done.held_back + 1)
            else:
                done = replace(done, retried=done.retried + 1, uids=(*done.uids, task.uid))
                if note is not None:
                    note(row, task)
    return done


def _keys_of(row: CompletedTask, registry: Registry) -> tuple[UniqueKey | None, str | None]:
    """Return the unique key and the key of the limit that a call of the function has now."""
    unique, limit, parameters = _rules_of(row, registry)
    if unique is None and limit is None:
        return None, None
    args, kwargs = payload.decode(row.task_params, load=row.backend is None)
    quiet = None if unique is None else replace(unique, on_conflict="skip")
    return (
        None if quiet is None else quiet.key(parameters, args, kwargs),
        None if limit is None else limit.key(parameters, args, kwargs),
    )


def _rules_of(
    row: CompletedTask, registry: Registry
) -> tuple[Uniqueness | None, LimitKey | None, Any]:
    """Return how the keys of a call are made, as far as the function is known."""
    if row.backend is None:
        proxy: Any = registry.get(row.task_name)
        names = ("uniqueness", "limit_key", "_parameters")
        unique, limit, parameters = (getattr(proxy, name, None) for name in names)
        return unique, limit, parameters
    from .policy_task import PolicyTask, parameters_of  # not every project has that framework
    from .queued_task import find_queued

    found = find_queued(row.task_name, row.backend)
    task = None if found is None else found.task
    if not isinstance(task, PolicyTask):
        return None, None, None
    return task.uniqueness(), task.limit_key(), parameters_of(task)
