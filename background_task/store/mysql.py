"""MySQL and MariaDB: what differs from the other databases with SKIP LOCKED.

Levels of priority are found by one statement each. In the recursive query that finds them all at
once, these databases cannot use what the step before found to enter the index: each step walks from
the index's end over every row of the levels before. For the same reason the index is named here:
left to choose, they enter it by the queue alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import Q
from django.db.models.functions import Left

from .. import payload
from ..models import TURNS, Task, TaskQuerySet, Turn
from ..uniqueness import KEY_CHARS
from .levels import WAITING, long_ago, waiting_in
from .pause import Place
from .skip_locked import SkipLockedStore

PROBE = """
SELECT priority, run_at FROM {table} FORCE INDEX ({index})
WHERE {waiting} AND priority = (
    SELECT priority FROM {table} FORCE INDEX ({index})
    WHERE {waiting}{rest} ORDER BY priority {order} LIMIT 1
)
ORDER BY run_at LIMIT 1
"""

NEXT_QUEUE = """
SELECT queue FROM {table} FORCE INDEX (bgtask_claim_queue)
WHERE {waiting} AND {beyond} ORDER BY queue LIMIT 1
"""

TURN = "INSERT INTO {table} (number) VALUES {rows} ON DUPLICATE KEY UPDATE number = number"


class MySQLStore(SkipLockedStore):
    """A store for MySQL and MariaDB."""

    def take_turn(self, task: Task) -> bool:
        """Let callers of the same task go one by one, by locking a row; see ``Store.take_turn``.

        A unique key would do harm here. A claim takes it from its row, and InnoDB, when the same
        key is inserted again, locks the gap around the old entry until the caller commits. All
        rows without a key lie next to that gap: nobody could schedule anything meanwhile.
        """
        return self.take_turns([payload.unique_key(task.task_hash, task.queue)])

    def take_turns(self, texts: Sequence[str]) -> bool:
        """Let callers with the same keys go one by one, by locking rows; see ``take_turn``.

        They are locked in order, and for many keys all of them, because the next batch may need the
        rest: so callers with many keys do not wait for each other in a circle.
        """
        is_many = len(texts) >= TURNS
        numbers = range(TURNS) if is_many else sorted({int(text, 16) % TURNS for text in texts})
        connection = connections[self.using]
        # One statement that makes the rows or locks them. Looking first, or trying a plain insert,
        # leaves callers who meet where no row is yet with shared locks, and in a deadlock.
        with connection.cursor() as cursor:
            cursor.execute(
                TURN.format(
                    table=connection.ops.quote_name(Turn._meta.db_table),
                    rows=", ".join(["(%s)"] * len(numbers)),
                ),
                list(numbers),
            )
        return True

    def waiting(self, task_hash: str, *, queue: str | None) -> TaskQuerySet:
        """Return the rows of a call that are yet to run, in that queue if one is named.

        They are looked up by their hash without locks, and then found by key. Found by hash they
        would be locked after their entries in that index, while a finish, which has the row and
        deletes it, waits for the entry.
        """
        keys = super().waiting(task_hash, queue=queue).values_list("pk", flat=True)
        waiting = self.tasks.owned_by(None).filter(pk__in=list(keys), failed_at=None)
        return waiting.filter(queue=queue) if queue else waiting

    def _stored_key(self, text: str, uid: UUID) -> str:
        """Return a key that was never there before, so that inserting it locks no gap.

        Who has a key is found by its beginning, and callers take turns.
        """
        return text + uid.hex

    def _holding(self, texts: Sequence[str]) -> TaskQuerySet:
        # A range that begins with the text and is the same in every collation; LIKE is not.
        ranges = (Q(unique_key__gte=text, unique_key__lt=f"{text}g") for text in texts)
        return self.tasks.filter(reduce(or_, ranges))

    def _waiting_holder(self, text: str) -> TaskQuerySet:
        """Look the row up without locks, and find it by its key; see ``waiting``."""
        keys = super()._waiting_holder(text).values_list("pk", flat=True)
        waiting = self.tasks.owned_by(None).filter(pk__in=list(keys), failed_at=None)
        return waiting.alias(held=Left("unique_key", KEY_CHARS)).filter(held=text)

    def _queue_names(self, *, most: int) -> list[str]:
        connection = connections[self.using]
        table = connection.ops.quote_name(Task._meta.db_table)
        names: list[str] = []
        with connection.cursor() as cursor:
            while len(names) < most:
                beyond = f"queue {'>' if names else '>='} %s"
                statement = NEXT_QUEUE.format(table=table, waiting=WAITING, beyond=beyond)
                cursor.execute(statement, names[-1:] or [""])
                found = cursor.fetchone()
                if found is None:
                    break
                names.append(found[0])
        return names

    def _levels(self, place: Place) -> Iterator[tuple[int, datetime]]:
        connection = connections[self.using]
        waiting, params = waiting_in(place)
        index = "bgtask_claim" if place is None else "bgtask_claim_queue"
        rest, rest_params = "", list[Any]()
        while True:
            statement = PROBE.format(
                table=connection.ops.quote_name(Task._meta.db_table),
                index=index,
                waiting=waiting,
                rest=rest,
                order="DESC" if self.order else "ASC",
            )
            with connection.cursor() as cursor:
                cursor.execute(statement, [*params, *params, *rest_params])
                found = cursor.fetchone()
            if found is None:
                return
            yield found[0], self._as_datetime(found[1]) or long_ago()
            rest = f" AND priority {'<' if self.order else '>'} %s"
            rest_params = [found[0]]
