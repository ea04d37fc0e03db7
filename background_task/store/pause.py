"""What is paused: queues and functions of which no worker claims anything until further notice.

Each claim reads the table anew, or looks into it with the very statement that takes the rows. What
a worker remembered could be old: whoever has paused something, and then changes what its tasks
need, counts on it that from now on none begins.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from hashlib import sha256

from django.db import IntegrityError, connections, transaction

from ..models import Pause, TaskQuerySet
from ..wakeup import notify_after_commit
from .clock import read_clock


class Unnamed(Enum):
    """Stands for the unnamed queue where None stands for all queues."""

    QUEUE = "unnamed"


#: A queue, or the unnamed one, or all.
Place = str | Unnamed | None


@dataclass(frozen=True, slots=True)
class Paused:
    """Something that is paused.

    Attributes:
        kind: ``"queue"`` or ``"function"``.
        name: Its name; None is the unnamed queue.
        paused_at: Since when.
    """

    kind: str
    name: str | None
    paused_at: datetime

    def holds(self, task_name: str, queue: str | None) -> bool:
        """Tell whether a row of this function, in this queue, waits for the end of it."""
        name = task_name if self.kind == Pause.FUNCTION else queue or None
        return name == self.name

    def __str__(self) -> str:
        return label(self.kind, self.name)


@dataclass(frozen=True, slots=True)
class OnHold:
    """The names of what is paused.

    Attributes:
        queues: The queues; the unnamed one is empty.
        functions: The functions.
    """

    queues: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()

    def and_queues(self, queues: Collection[str]) -> OnHold:
        """Return this with queues that one worker leaves to others."""
        return replace(self, queues=self.queues.union(queues)) if queues else self

    def leave_out(self, rows: TaskQuerySet) -> TaskQuerySet:
        """Return the rows that are in no paused queue.

        The database decides which names are equal, as it does for a worker of one queue.
        """
        named = sorted(self.queues - {""})
        if named:
            rows = rows.exclude(queue__in=named)
        return rows.filter(queue__gt="") if "" in self.queues else rows


NOTHING = OnHold()


class Pauses:
    """The pauses of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using
        self._rows = Pause.objects.using(using)
        table = connections[using].ops.quote_name(Pause._meta.db_table)
        self._statement = f"SELECT kind, name FROM {table}"

    def read(self) -> OnHold:
        """Return what is paused now.

        In plain SQL, as it is asked before each claim: composing a query would take longer.
        """
        with connections[self.using].cursor() as cursor:
            cursor.execute(self._statement)
            rows = cursor.fetchall()
        if not rows:
            return NOTHING
        return OnHold(
            queues=frozenset(name for kind, name in rows if kind == Pause.QUEUE),
            functions=frozenset(name for kind, name in rows if kind == Pause.FUNCTION),
        )

    def all(self) -> list[Paused]:
        """Return what is paused with the times, the oldest first."""
        rows = self._rows.order_by("paused_at", "key").values_list("kind", "name", "paused_at")
        return [
            Paused(kind, name if name or kind != Pause.QUEUE else None, paused_at)
            for kind, name, paused_at in rows
        ]

    def pause(self, kind: str, name: str | None) -> bool:
        """Let no worker claim of it from now on; False if it is paused already.

        Of two who pause the same thing at once, the second one waits for the commit of the first,
        and is then refused by the primary key. It does not look first: on SQLite a transaction
        that begins by reading cannot wait for another writer.
        """
        row = Pause(
            key=key_of(kind, name), kind=kind, name=name or "", paused_at=read_clock(self.using)
        )
        try:
            with transaction.atomic(using=self.using):  # an error undoes no more than this
                row.save(using=self.using, force_insert=True)
        except IntegrityError:
            return False
        return True

    def resume(self, kind: str, name: str | None) -> bool:
        """Let workers claim of it again, and wake them; False if it is not paused."""
        is_changed = self._rows.filter(key=key_of(kind, name)).delete()[0] > 0
        if is_changed:
            notify_after_commit(self.using)
        return is_changed


def label(kind: str, name: str | None) -> str:
    """Return what people call it."""
    return f"{kind} {name!r}" if name else "the unnamed queue"


def key_of(kind: str, name: str | None) -> str:
    """Return the primary key of what is paused."""
    return sha256(f"{kind}:{name or ''}".encode()).hexdigest()
