"""The archive of finished tasks: thinning it out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from ..models import CompletedTask, CompletedTaskQuerySet


class Archive:
    """The finished tasks of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def older_than(
        self, moment: datetime, *, failed: bool | None = None, queue: str | None = None
    ) -> CompletedTaskQuerySet:
        """Return the tasks finished before ``moment``.

        Args:
            moment: The limit.
            failed: True for failed ones, False for succeeded ones, None for both.
            queue: Only those of this queue; None for all.
        """
        chosen = Q(run_at__lt=moment)
        if failed is not None:
            chosen &= Q(failed_at__isnull=not failed)
        if queue is not None:
            chosen &= Q(queue=queue)
        return CompletedTask.objects.using(self.using).filter(chosen)

    def purge(self, rows: CompletedTaskQuerySet, *, batch_size: int) -> Iterator[int]:
        """Delete rows, oldest first, a batch at a time; yield how many each batch deleted.

        Each batch is a transaction of its own, so that workers which archive meanwhile never wait
        for long, and so that stopping half-way keeps what is done.
        """
        while True:
            with transaction.atomic(using=self.using):
                oldest = rows.order_by("run_at").values_list("pk", flat=True)[:batch_size]
                batch = CompletedTask.objects.using(self.using).filter(pk__in=list(oldest))
                deleted = batch.delete()[1].get(CompletedTask._meta.label, 0)
            if not deleted:
                return
            yield deleted
