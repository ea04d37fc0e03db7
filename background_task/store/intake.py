"""How rows get in: adding them, and seeing to those of the same call that wait already."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from django.db import connections
from django.db.models import F, Q

from .. import payload
from ..models import Task, TaskQuerySet
from .insert import insert_many


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

    def add(self, task: Task) -> Task:
        """Insert a row, in the caller's transaction if there is one."""
        task.save(using=self.using, force_insert=True)
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

        Call it inside a transaction. Where the project listens to Django's delete signals,
        ``delete`` first reads the rows and then deletes them by their keys: without their locks, a
        worker that claims one in between would lose it while it runs.
        """
        keys = self._lock(self.waiting(task_hash, queue=queue))
        return self.tasks.filter(pk__in=keys).delete()[0] if keys else 0

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

    def _lock(self, rows: TaskQuerySet) -> list[int]:
        """Keep rivals away from rows until the transaction ends; return the rows' keys."""
        if connections[self.using].features.has_select_for_update:
            rows = rows.order_by("pk").select_for_update()
        elif not rows.update(priority=F("priority")):  # SQLite's first write locks everybody out
            return []
        return list(rows.values_list("pk", flat=True))
