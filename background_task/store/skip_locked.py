"""PostgreSQL, MariaDB and MySQL: rows that a rival is taking are stepped over, not waited for."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from ..attempt import Claim
from ..models import TaskQuerySet
from .levels import LevelStore


class SkipLockedStore(LevelStore):
    """A store for databases with ``FOR UPDATE SKIP LOCKED``."""

    def claim(
        self,
        owner: str,
        names: Collection[str],
        *,
        queues: Collection[str] = (),
        limit: int = 1,
        now: datetime | None = None,
    ) -> list[Claim]:
        """Lock the rows, then mark them all with one statement."""
        now = self.now() if now is None else now
        with transaction.atomic(using=self.using):
            candidates = self._candidates(names, queues=queues, limit=limit, now=now)
            if not candidates:
                return []
            claims = [candidate.claimed_by(owner) for candidate in candidates]
            chosen = [candidate.pk for candidate in candidates]
            self.tasks.filter(pk__in=chosen).mark_claimed(owner, now=now)
            for candidate, claim in zip(candidates, claims, strict=True):
                if candidate.values["uid"] is None:
                    self.tasks.filter(pk=candidate.pk).update(uid=claim.uid)
        return claims

    def _lockable(self, rows: TaskQuerySet) -> TaskQuerySet:
        return rows.select_for_update(skip_locked=True)
