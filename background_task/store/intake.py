"""How rows get in: adding them, and seeing to those of the same call that are there already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connections
from django.db.models import F, Q, Value
from django.db.models.functions import Replace

from .. import payload
from ..identity import new_uid
from ..models import Task, TaskQuerySet
from ..repeat_option import LEFT_TEXT, TICK_TEXT
from ..uniqueness import KEPT, KEY_CHARS, UniqueKey, keeping
from ..wakeup import notify_after_commit
from .insert import insert_many, insert_one

#: Rows that have their unique key by right: they wait, or keep it while they run, or have a limit,
#: which takes the key from them when it lets them through. Others may have one because version 1.x,
#: running beside this one, claims rows without taking it from them.
RIGHTFUL = Q(failed_at=None) & (
    Q(locked_by=None) | Q(limit_key__isnull=False) | Q(options__contains=KEPT)
)
#: Keys in one statement; SQLite once took no more than 999 parameters.
MOST_KEYS = 500


class Holder(NamedTuple):
    """The task that has a unique key.

    Attributes:
        uid: Its own.
        is_waiting: Whether nobody has claimed it.
        is_starting: Whether it is claimed and has yet to pass its limit, which takes the key.
    """

    uid: UUID | None
    is_waiting: bool
    is_starting: bool = False


class Intake:
    """The verbs of the producer.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    @cached_property
    def tasks(self) -> TaskQuerySet:
        """All live rows."""
        return TaskQuerySet(Task, using=self.using)

    def in_transaction(self) -> bool:
        """Tell whether this thread is inside a transaction, whose rows nobody else can see."""
        return connections[self.using].in_atomic_block

    def depth(self) -> int:
        """Return how deep this thread is inside transactions, savepoints included."""
        connection = connections[self.using]
        return len(connection.savepoint_ids) + 1 if connection.in_atomic_block else 0

    def add(self, task: Task) -> Task:
        """Insert a row, in the caller's transaction if there is one."""
        insert_one(task, using=self.using)
        return task

    def add_many(self, tasks: Sequence[Task]) -> None:
        """Insert rows with few statements, all or none; Django's signals of saving are not sent."""
        insert_many(tasks, using=self.using)

    def waiting(self, task_hash: str, *, queue: str | None) -> TaskQuerySet:
        """Return the rows of a call that are yet to run, in that queue if one is named."""
        waiting = self.tasks.filter(task_hash=task_hash, locked_by=None, failed_at=None)
        return waiting.filter(queue=queue) if queue else waiting

    def is_waiting(self, task_hash: str, *, queue: str | None) -> bool:
        """Tell whether a call has a row that is yet to run, in that queue if one is named.

        Reads without locks, which would be held until the caller's transaction ends. On SQLite that
        transaction is to insert next, and if it began by reading it could not wait for a writer.
        """
        waiting = self.waiting(task_hash, queue=queue)
        if connections[self.using].features.has_select_for_update or not self.in_transaction():
            return waiting.exists()
        return bool(waiting.update(priority=F("priority")))

    def remove_waiting(self, task_hash: str, *, queue: str | None) -> int:
        """Delete the rows of a call that nobody owns, in that queue if one is named.

        Call it inside a transaction.
        """
        return self._remove(self.waiting(task_hash, queue=queue))

    def take_turn(self, task: Task) -> bool:
        """Make sure that of two callers who both found no waiting row only one inserts.

        Here by a unique key on the row to be inserted: the index refuses the second one, who then
        looks again. To be called inside a transaction, which holds what was taken to its end.

        Returns:
            Whether the caller may have waited, and should look again before inserting.
        """
        task.unique_key = payload.unique_key(task.task_hash, task.queue)
        return False

    def free_key(self, task: Task) -> int:
        """Take a task's unique key from a row that has no more right to it.

        Claiming does so already; but 1.x, running beside this version, locks rows without, and
        people move waiting rows to other queues.
        """
        same_queue = Q(queue__isnull=True) if task.queue is None else Q(queue=task.queue)
        rightful = self.tasks.filter(
            same_queue, task_hash=task.task_hash, locked_by__isnull=True, failed_at__isnull=True
        )
        holders = self.tasks.filter(unique_key=task.unique_key)
        if rightful.filter(unique_key=task.unique_key).exists():
            return 0
        return holders.update(unique_key=None)

    # -- unique keys of the project's own -------------------------------------------------------

    def hold(self, task: Task, key: UniqueKey) -> None:
        """Give a row that is to be inserted its key, for as long as it is to have it."""
        task.uid = task.uid or new_uid()
        task.unique_key = self._stored_key(key.text, task.uid)
        if key.until == "finish":
            task.options = keeping(task.options)

    def hand_over(self, rows: TaskQuerySet, chains: Collection[tuple[Task, Task]]) -> None:
        """Let the next rows of chains have the keys that the rows before kept to their finish.

        Args:
            rows: The rows before.
            chains: Each of them as it was read, and the next one, not yet inserted.
        """
        kept = [(task, following) for task, following in chains if has_kept_key(task)]
        if not kept:
            return
        rows.update(unique_key=None)
        for task, following in kept:
            following.uid = new_uid()
            text = str(task.unique_key)[:KEY_CHARS]
            following.unique_key = self._stored_key(text, following.uid)

    def holders(self, texts: Sequence[str]) -> dict[str, Holder]:
        """Return who has which of these keys by right. Reads without locks, as ``is_waiting``."""
        found = {}
        has_locks = connections[self.using].features.has_select_for_update
        for start in range(0, len(texts), MOST_KEYS):
            rows = self._holding(texts[start : start + MOST_KEYS]).filter(RIGHTFUL)
            if not has_locks and self.in_transaction() and not rows.update(priority=F("priority")):
                continue
            for key, uid, owner, options in rows.values_list(
                "unique_key", "uid", "locked_by", "options"
            ):
                is_waiting = owner is None
                is_starting = not is_waiting and KEPT not in (options or "")
                found[str(key)[:KEY_CHARS]] = Holder(uid, is_waiting, is_starting)
        return found

    def remove_holder(self, text: str) -> int:
        """Delete the waiting row that has a key, inside a transaction; return 0 if none waits."""
        return self._remove(self._waiting_holder(text))

    def extend_holder(self, text: str, task: Task) -> bool:
        """Give the waiting row that has a key the time, priority and arguments of ``task``.

        Begins with a write, which takes the row's lock: no worker claims it meanwhile.
        """
        is_changed = self.move(
            self._waiting_holder(text),
            run_at=task.run_at,
            priority=task.priority,
            task_params=task.task_params,
            task_hash=task.task_hash,
            limit_key=task.limit_key,
        )
        if is_changed:
            notify_after_commit(self.using)
        return is_changed

    def move(self, rows: TaskQuerySet, **values: Any) -> bool:
        """Give waiting rows another time; return whether there were any.

        A chain goes on from there, and not from the time that it has kept over a retry.
        """
        options = Replace(F("options"), Value(TICK_TEXT), Value(LEFT_TEXT))
        return bool(rows.update(due_at=None, options=options, **values))

    def overtake_holder(self, text: str) -> bool:
        """Take a key from a row that is about to start; False if that has changed meanwhile.

        Two rivals: a call that is to change the waiting row, and a worker that has claimed it and
        asks its limit. If the call did nothing, what it was to change would be lost.
        """
        claimed = self._holding([text]).filter(limit_key__isnull=False, locked_by__isnull=False)
        return bool(claimed.exclude(options__contains=KEPT).update(unique_key=None))

    def take_turns(self, texts: Sequence[str]) -> bool:
        """Do for unique keys what ``take_turn`` does for calls. Here the index does it alone."""
        return False

    def free_keys(self, texts: Sequence[str]) -> None:
        """Take keys from rows that have no more right to them."""
        for start in range(0, len(texts), MOST_KEYS):
            rows = self._holding(texts[start : start + MOST_KEYS])
            rows.exclude(RIGHTFUL).update(unique_key=None)

    def _stored_key(self, text: str, uid: UUID) -> str:
        return text

    def _holding(self, texts: Sequence[str]) -> TaskQuerySet:
        return self.tasks.filter(unique_key__in=texts)

    def _waiting_holder(self, text: str) -> TaskQuerySet:
        return self._holding([text]).filter(locked_by=None, failed_at=None)

    # -- locks ----------------------------------------------------------------------------------

    def _remove(self, rows: TaskQuerySet) -> int:
        """Delete rows, inside a transaction.

        Where the project listens to Django's delete signals, ``delete`` first reads the rows and
        then deletes them by their keys: without their locks, a worker that claims one in between
        would lose it while it runs.
        """
        keys = self._lock(rows)
        return self.tasks.filter(pk__in=keys).delete()[0] if keys else 0

    def _lock(self, rows: TaskQuerySet) -> list[int]:
        """Keep rivals away from rows until the transaction ends; return the rows' keys."""
        if connections[self.using].features.has_select_for_update:
            rows = rows.order_by("pk").select_for_update()
        elif not rows.update(priority=F("priority")):  # SQLite's first write locks everybody out
            return []
        return list(rows.values_list("pk", flat=True))


def has_kept_key(task: Task) -> bool:
    """Tell whether a row that is being finished still has a unique key of the project's own."""
    return task.unique_key is not None and KEPT in (task.options or "")
