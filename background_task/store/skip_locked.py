"""PostgreSQL, MariaDB and MySQL: rows that a rival is taking are stepped over, not waited for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import transaction

from ..attempt import Claim
from ..models import TaskQuerySet
from .group import GroupStore
from .result import chosen
from .wanted import NO_BACKENDS, Wanted


class SkipLockedStore(GroupStore):
    """A store for databases with ``FOR UPDATE SKIP LOCKED``."""

    def claim(
        self,
        owner: str,
        names: Collection[str],
        *,
        backends: Mapping[str, bool] = NO_BACKENDS,
        queues: Collection[str] = (),
        limit: int = 1,
        ahead: int = 0,
        fragile: Collection[str] = (),
        now: datetime | None = None,
    ) -> list[Claim]:
        """Lock the rows, then mark them all with one statement."""
        now = self.now() if now is None else now
        with transaction.atomic(using=self.using):
            found = self._candidates(
                Wanted(names, backends), queues=queues, limit=limit + ahead, now=now
            )
            candidates = chosen(found, limit=limit, fragile=fragile, backends=backends)
            if not candidates:
                return []
            claims = [candidate.claimed_by(owner, now=now) for candidate in candidates]
            keys = [candidate.pk for candidate in candidates]
            self.tasks.filter(pk__in=keys).mark_claimed(owner, now=now)
            for candidate, claim in zip(candidates, claims, strict=True):
                if candidate.values["uid"] is None:
                    self.tasks.filter(pk=candidate.pk).update(uid=claim.uid)
        return claims

    def _lockable(self, rows: TaskQuerySet) -> TaskQuerySet:
        return rows.select_for_update(skip_locked=True)
