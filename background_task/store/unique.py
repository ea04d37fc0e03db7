"""Adding tasks of which there is to be one only, and seeing to the one that is there.

Two callers may both find a key free. Then both insert, and the index refuses the second one once
the first has committed; that one looks again. On MariaDB and MySQL callers take turns instead.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction

from ..exceptions import AlreadyScheduledError
from ..models import Task
from ..uniqueness import UniqueKey
from .base import Store
from .intake import Holder

#: How often a caller tries again who loses to others each time. One of them wins each time.
ROUNDS = 100


def add_unique(store: Store, task: Task, key: UniqueKey) -> bool:
    """Insert a row if no other has its key, or do what the key says on a conflict.

    In the caller's transaction if there is one. Who inserts the same key meanwhile, or changes the
    same waiting row, waits for its end.

    Returns:
        Whether the row was inserted.

    Raises:
        AlreadyScheduledError: Another row has the key, and this is what to do then.
    """
    store.hold(task, key)
    for round_ in range(ROUNDS):
        if not key.is_moving and _is_refused(store, task, key):
            return False
        try:
            with transaction.atomic(using=store.using):
                is_added = _settle(store, task, key)
            if is_added is not None:
                return is_added
        except IntegrityError:
            if round_ == ROUNDS - 1:
                raise
            store.free_keys([key.text])
    raise IntegrityError(f"{task.task_name}: the task with its unique key changes all the time")


def add_unique_many(
    store: Store, tasks: Sequence[Task], keys: Sequence[UniqueKey | None]
) -> list[Task]:
    """Insert rows with few statements, those without a key and those whose key is free.

    Call it inside a transaction. For keys that do not change the row that is there.

    Returns:
        The inserted rows, in order.

    Raises:
        AlreadyScheduledError: A key was not free, and this is what to do then.
    """
    wanted: list[tuple[Task, UniqueKey | None]] = []
    first: dict[str, Holder] = {}
    for task, key in zip(tasks, keys, strict=True):
        if key is not None:
            store.hold(task, key)
            if not _is_free(task, key, first):
                continue
            first[key.text] = Holder(task.uid, is_waiting=True)
        wanted.append((task, key))
    texts = list(first)
    for round_ in range(ROUNDS):
        try:
            with transaction.atomic(using=store.using):
                store.take_turns(texts)
                held = store.holders(texts)
                wanted = [
                    (task, key) for task, key in wanted if key is None or _is_free(task, key, held)
                ]
                store.add_many([task for task, _ in wanted])
                break
        except IntegrityError:
            if round_ == ROUNDS - 1:
                raise
            store.free_keys(texts)
    return [task for task, _ in wanted]


def _settle(store: Store, task: Task, key: UniqueKey) -> bool | None:
    """Insert, or see to the row that is there; None if it has changed meanwhile.

    Begins with a write: see ``Intake.is_waiting``. A task that runs is never touched, so a call
    that would change it does nothing.
    """
    has_waited = store.take_turns([key.text])
    if key.on_conflict == "extend" and store.extend_holder(key.text, task):
        return False
    is_gone = key.on_conflict == "replace" and store.remove_holder(key.text)
    if key.is_moving and not is_gone:
        holder = store.holders([key.text]).get(key.text)
        if holder is not None and not holder.is_starting:
            return None if holder.is_waiting else False
        if holder is not None and not store.overtake_holder(key.text):
            return None
    elif has_waited and not is_gone and _is_refused(store, task, key):
        return False
    store.add(task)
    return True


def _is_refused(store: Store, task: Task, key: UniqueKey) -> bool:
    return not _is_free(task, key, store.holders([key.text]))


def _is_free(task: Task, key: UniqueKey, held: dict[str, Holder]) -> bool:
    """Tell whether nobody has a key, or raise if the call wants that."""
    holder = held.get(key.text)
    if holder is not None and key.on_conflict == "raise":
        state = "waits" if holder.is_waiting else "runs"
        raise AlreadyScheduledError(
            f"{task.task_name} is already scheduled: task {holder.uid} {state} and has the same "
            "unique key; wait for it, or use on_conflict='skip', 'replace' or 'extend'",
            uid=holder.uid,
        )
    return holder is None
