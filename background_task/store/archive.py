"""The archive of finished tasks: thinning it out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import NamedTuple

from django.db import connections, transaction

from ..models import CompletedTask, CompletedTaskQuerySet
from .attempt_log import AttemptLogs
from .selection import ALL, Selection


class Entry(NamedTuple):
    """What decides how long a row is kept. The first two are its place in the order of the walk."""

    run_at: datetime
    pk: int
    task_name: str
    backend: str | None


class Archive:
    """The finished tasks of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using
        self.logs = AttemptLogs(using)

    def rows(self) -> CompletedTaskQuerySet:
        """Return all finished tasks."""
        return CompletedTask.objects.using(self.using).all()

    def older_than(
        self, moment: datetime, *, statuses: Collection[str] = (), selection: Selection = ALL
    ) -> CompletedTaskQuerySet:
        """Return the tasks finished before ``moment``.

        Args:
            moment: The limit.
            statuses: The ways in which they have ended (``STATUSES``); none means all.
            selection: Which of them.
        """
        rows = self.rows().filter(run_at__lt=moment)
        if statuses:
            rows = rows.with_status(statuses)
        return selection.among(rows)

    def purge(self, rows: CompletedTaskQuerySet, *, batch_size: int) -> Iterator[int]:
        """Delete rows, oldest first, a batch at a time; yield how many each batch deleted.

        Each batch is a transaction of its own, so that workers which archive meanwhile never wait
        for long, and so that stopping half-way keeps what is done. Somebody else may delete rows of
        a batch; it ends when nothing is found any more.
        """
        while True:
            # Read outside the transaction: on SQLite one that begins by reading cannot wait.
            keys = list(rows.order_by("run_at").values_list("pk", flat=True)[:batch_size])
            if not keys:
                return
            yield self._delete(keys)

    def entries(self, *, after: Entry | None, before: datetime, most: int) -> list[Entry]:
        """Return what was finished before a moment and comes after an entry, oldest first.

        It reads one range of the index of ``run_at``, as long as what it returns.
        """
        rows = self.rows().filter(run_at__lt=before)
        if after is not None:
            rows = rows.filter(run_at__gte=after.run_at)
            rows = rows.exclude(run_at=after.run_at, pk__lte=after.pk)
        fields = rows.order_by("run_at", "pk").values_list(*Entry._fields)
        return [Entry(*values) for values in fields[:most]]

    def discard(self, keys: Collection[int]) -> int:
        """Delete rows, but wait for nobody who holds one; return how many were deleted."""
        with transaction.atomic(using=self.using):
            if connections[self.using].features.has_select_for_update_skip_locked:
                rows = self.rows().filter(pk__in=keys).select_for_update(skip_locked=True)
                keys = list(rows.order_by().values_list("pk", flat=True))
            return self._delete(keys) if keys else 0

    def oldest(self) -> datetime | None:
        """Return when the oldest row was finished."""
        return self.rows().order_by("run_at").values_list("run_at", flat=True).first()

    def _delete(self, keys: Collection[int]) -> int:
        with transaction.atomic(using=self.using):
            batch = self.rows().filter(pk__in=keys)
            # By the uids themselves: in a DELETE, MariaDB asks a subquery anew for each row.
            uids = batch.order_by().values_list("uid", flat=True)
            self.logs.discard([uid for uid in uids if uid is not None])
            return batch.delete()[1].get(CompletedTask._meta.label, 0)
