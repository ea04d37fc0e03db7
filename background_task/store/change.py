"""Changing tasks that wait, at the wish of a person: their time, their priority, their queue.

The rivals are claims. If a change came in between a claim's look at the row and its write, a
worker would run a task at once that was put off, or one of a queue that it does not serve. So a row
that is being claimed at this moment is stepped over, as one that somebody has; and a claim steps
over rows that are being changed here. Nobody waits. Where a database cannot step over locked rows,
the second one waits for the first, and then finds the row as that has left it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Case, DateTimeField, F, Q, Value, When

from ..models import TaskQuerySet
from ..option import LARGEST_PRIORITY, SMALLEST_PRIORITY
from ..wakeup import notify_after_commit
from .base import Store

#: What was changed: the keys of the rows, and what people call them.
Changed = dict[int, str]


class Changes:
    """The verbs of who looks at waiting rows and wants them otherwise.

    All take as many keys as fit into one statement, change the rows in one transaction (the
    caller's, if there is one), and return those that they have changed.

    Args:
        store: Where the rows are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.using = store.using

    def run_now(self, keys: Sequence[int], *, now: datetime | None = None) -> Changed:
        """Let those be due now that wait for their time; pauses and limits hold as ever.

        What a limit has put aside gets the time back that it had, and with it its place among the
        others of the limit. The limit may put it aside again.
        """
        now = self.store.now() if now is None else now
        moment = DateTimeField()
        own = Case(
            When(due_at__lte=now, then=F("due_at")),
            default=Value(now, output_field=moment),
            output_field=moment,
        )
        # In this order: MySQL assigns one after the other.
        return self._change(keys, lambda rows: rows.update(run_at=own, due_at=None), run_at__gt=now)

    def reschedule(self, keys: Sequence[int], *, run_at: datetime) -> Changed:
        """Give them another time; a chain goes on from there."""
        return self._change(keys, lambda rows: self.store.move(rows, run_at=run_at))

    def set_priority(self, keys: Sequence[int], *, priority: int) -> Changed:
        """Give them another priority, which counts within what a limit has put aside, too."""
        return self._change(keys, lambda rows: rows.update(priority=priority))

    def set_queue(self, keys: Sequence[int], *, queue: str | None) -> Changed:
        """Move them to another queue; None is the unnamed one.

        A row takes the unique key of its call along, which a later call in the old queue takes from
        it: see ``Intake.free_key``.
        """
        return self._change(keys, lambda rows: rows.update(queue=queue))

    def add_to_priority(self, keys: Sequence[int], *, step: int) -> Changed:
        """Raise or lower the priority by this, that of rows that run for their next attempt.

        One statement that touches no other column, so it harms nobody who claims or finishes a row
        meanwhile, and may wait for them.
        """
        fits = Q(priority__gte=SMALLEST_PRIORITY - step, priority__lte=LARGEST_PRIORITY - step)
        found = _names(self.store.tasks.filter(fits, pk__in=keys))
        if found:
            self.store.tasks.filter(pk__in=list(found)).update(priority=F("priority") + step)
        return found

    def _change(
        self, keys: Sequence[int], write: Callable[[TaskQuerySet], object], **conditions: Any
    ) -> Changed:
        """Write to those of the rows that wait, and wake idle workers after the commit."""
        waiting = self.store.tasks.owned_by(None).filter(failed_at=None, pk__in=keys, **conditions)
        with transaction.atomic(using=self.using):
            found = self._taken(waiting)
            if found:
                write(self.store.tasks.filter(pk__in=list(found)))
                notify_after_commit(self.using)
        return found

    def _taken(self, rows: TaskQuerySet) -> Changed:
        """Take the locks of rows that nobody else has, until the transaction ends."""
        if connections[self.using].features.has_select_for_update_skip_locked:
            rows = rows.order_by("pk").select_for_update(skip_locked=True)
        elif not rows.update(priority=F("priority")):  # SQLite's first write locks everybody out
            return {}
        return _names(rows)


def _names(rows: TaskQuerySet) -> Changed:
    names = rows.values_list("pk", "verbose_name", "task_name")
    return {pk: verbose_name or task_name for pk, verbose_name, task_name in names}
