"""What attempts have written to the log: kept beside the tasks, and deleted with them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from ..attempt import Claim
from ..models import AttemptLog


class AttemptLogs:
    """The kept logs of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self._rows = AttemptLog.objects.using(using)

    def add(self, claim: Claim, text: str, *, at: datetime) -> None:
        """Keep what a run has written.

        Args:
            claim: The run.
            text: What any database can store.
            at: When the run ended.
        """
        # In a caller's transaction, as in a ``TestCase``, what fails here must not break it.
        with transaction.atomic(using=self._rows.db):
            self._rows.create(
                uid=claim.uid, attempt=claim.attempt, worker=claim.owner, at=at, text=text
            )

    def discard(self, uids: Collection[UUID]) -> int:
        """Delete what is kept of these tasks; return how many rows."""
        return self._rows.filter(uid__in=uids).delete()[0]

    def discard_before(self, moment: datetime, *, most: int) -> int:
        """Delete the oldest that were written before a moment; return how many rows.

        For what belongs to no task any more: one that was deleted, or lost to another worker.
        """
        old = self._rows.filter(at__lt=moment).order_by("at").values_list("pk", flat=True)
        keys = list(old[:most])
        return self._rows.filter(pk__in=keys).delete()[0] if keys else 0
