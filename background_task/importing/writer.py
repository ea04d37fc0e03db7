"""From a table of another system into our queue, batch by batch, each all or nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from ..exceptions import InvalidOptionError, InvalidOptionTypeError
from ..models import CompletedTask, Task, TaskQuerySet
from ..producer import TaskSpec, enqueue_many
from ..runner import DBTaskRunner
from ..store import task_database
from ..store.clock import read_clock
from .call import Call
from .part import Part, Row
from .target import Targets

#: Rows in one transaction; SQLite once took no more than 999 parameters.
BATCH_SIZE = 500


@dataclass(frozen=True, slots=True)
class Taken:
    """A row that comes over, and what it becomes."""

    call: Call
    spec: TaskSpec


@dataclass(slots=True)
class Batch:
    """Rows as they were read: what comes over, what is here already, what stays and why."""

    taken: list[Taken] = field(default_factory=list)
    known: list[Any] = field(default_factory=list)
    left: list[tuple[Any, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Kind:
    """What rows have in common that are told of in one line."""

    path: str
    task_name: str
    backend: str | None
    queue: str | None
    name: str | None
    rule: str | None
    dropped: tuple[str, ...]


@dataclass(slots=True)
class Group:
    """How many rows of a kind there are, and when the first of them is due."""

    count: int = 0
    first_at: datetime | None = None


@dataclass(slots=True)
class Report:
    """What has become of the rows of a table, or would.

    Attributes:
        taken: What comes over.
        known: How many had come before, by their uids.
        left: The keys of rows that stay because nothing here corresponds to them, by the reason.
        others: How many rows stay for other reasons.
    """

    taken: dict[Kind, Group] = field(default_factory=dict)
    known: int = 0
    left: dict[str, list[Any]] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many rows come over."""
        return sum(group.count for group in self.taken.values())

    def add(self, batch: Batch) -> None:
        """Count what a batch has brought."""
        self.known += len(batch.known)
        for key, reason in batch.left:
            self.left.setdefault(reason, []).append(key)
        for taken in batch.taken:
            group = self.taken.setdefault(_kind(taken), Group())
            group.count += 1
            moment = taken.spec.run_at
            if moment is not None and (group.first_at is None or moment < group.first_at):
                group.first_at = moment


def look(part: Part, targets: Targets, *, queues: Collection[str] = ()) -> Iterator[Batch]:
    """Read all that waits, and change nothing."""
    now = read_clock(part.using)
    for keys in _batches(part, queues=queues, now=now, size=BATCH_SIZE):
        rows = part.waiting(now).filter(pk__in=keys).order_by(*part.order)
        yield _read(part, list(rows.values()), targets, now=now)


def preview(part: Part, targets: Targets, *, queues: Collection[str] = ()) -> Report:
    """Tell what ``take`` would do."""
    report = Report(others=part.others(read_clock(part.using)))
    for batch in look(part, targets, queues=queues):
        report.add(batch)
    return report


def take(
    part: Part,
    targets: Targets,
    *,
    queues: Collection[str] = (),
    keep: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Report:
    """Bring the waiting rows of a table into our queue, each of them once.

    A batch is one transaction, in which its rows are locked there, added here and taken away there.
    If the two are in different databases, ours is committed first: whoever is killed in between
    finds next time, by the uids, that the rows are here, and only takes them away.

    Args:
        part: The table.
        targets: Finds what is to be run.
        queues: Only what waits in these queues; none means all.
        keep: Leave the rows there. Only the uid keeps them from coming again.
        batch_size: The most rows in one transaction.
    """
    now = read_clock(part.using)
    report = Report(others=part.others(now))
    for keys in _batches(part, queues=queues, now=now, size=batch_size):
        with transaction.atomic(using=part.using):
            # Asked again, under the lock: a worker may have claimed some of them meanwhile.
            rows = part.locked(part.waiting(now).filter(pk__in=keys).order_by(*part.order))
            batch = _read(part, rows, targets, now=now)
            enqueue_many([taken.spec for taken in batch.taken], sender=DBTaskRunner)
            gone = [*(taken.call.key for taken in batch.taken), *batch.known]
            if gone and not keep:
                part.take(gone, now=now)
        report.add(batch)
    return report


def _batches(
    part: Part, *, queues: Collection[str], now: datetime, size: int
) -> Iterator[Sequence[Any]]:
    """Yield the keys of what waits, in order. Rows that come later are left to the next import."""
    rows = part.of_queues(part.waiting(now), queues).order_by(*part.order)
    keys = list(rows.values_list("pk", flat=True))
    for start in range(0, len(keys), size):
        yield keys[start : start + size]


def _read(part: Part, rows: Sequence[Row], targets: Targets, *, now: datetime) -> Batch:
    batch = Batch()
    for row in rows:
        try:
            call = part.read(row, now=now)
            batch.taken.append(Taken(call, targets.spec(call)))
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            batch.left.append((row["id"], str(error)))
    known = _known([taken.call.uid for taken in batch.taken])
    batch.known = [taken.call.key for taken in batch.taken if taken.call.uid in known]
    batch.taken = [taken for taken in batch.taken if taken.call.uid not in known]
    return batch


def _known(uids: Collection[UUID]) -> set[UUID]:
    """Return those of the uids that are here, waiting, running or finished.

    First there, then here, would miss what finishes in between; so it is here first.
    """
    using = task_database()
    live = TaskQuerySet(Task, using=using).filter(uid__in=uids).values_list("uid", flat=True)
    found = {uid for uid in live if uid is not None}
    ended = CompletedTask.objects.using(using).filter(uid__in=uids).values_list("uid", flat=True)
    return found | {uid for uid in ended if uid is not None}


def _kind(taken: Taken) -> Kind:
    call, spec = taken.call, taken.spec
    return Kind(
        path=call.path,
        task_name=spec.task_name,
        backend=spec.backend,
        queue=spec.queue,
        name=call.name,
        rule=None if call.rule is None else call.rule.in_words(),
        dropped=call.dropped,
    )
