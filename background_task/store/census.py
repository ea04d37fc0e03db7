"""Counting tasks. Each live row is read; of finished ones only those that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, DateTimeField, F, Max, Min, Q
from django.db.models.functions import Coalesce, Greatest

from ..models import CompletedTask
from ..models.completed import STATUSES
from .base import Store
from .selection import ALL, Selection

WAITING = Q(locked_by__isnull=True, failed_at__isnull=True)


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What is in a queue.

    Attributes:
        queue: Its name; None for the unnamed one.
        pending: Tasks that are due and wait for a worker.
        at_limit: Tasks that are due and wait for room in their limit.
        running: Tasks that somebody has claimed.
        scheduled: Tasks whose time is yet to come, another attempt included.
        failed: Finished tasks that have failed and are still in the archive.
        oldest_waiting_since: Since when the first of those waits that are due: since its time, or
            since it was stored, whichever was later. None if none is due.
        newest_waiting_since: Likewise the last one.
    """

    queue: str | None
    pending: int = 0
    at_limit: int = 0
    running: int = 0
    scheduled: int = 0
    failed: int = 0
    oldest_waiting_since: datetime | None = None
    newest_waiting_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """How many tasks there are of each status.

    Attributes:
        waiting: Due or not.
        running: Somebody has claimed them.
        succeeded: Of those that are still in the archive, as all that follow.
        failed: For good.
        discarded: They said that they are not wanted, or came too late.
        cancelled: Somebody did that.
    """

    waiting: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    discarded: int = 0
    cancelled: int = 0


class Census:
    """Counts the tasks of one database.

    Args:
        store: Where the rows are.
        now: Overrides the database's clock.
        selection: Which rows to count.
    """

    def __init__(
        self, store: Store, *, selection: Selection = ALL, now: datetime | None = None
    ) -> None:
        self.store = store
        self.selection = selection
        self.now = store.now() if now is None else now

    def depths(self) -> list[QueueDepth]:
        """Return what is in each queue that has anything, the unnamed one first."""
        live = self.selection.among(self.store.tasks).order_by()
        found: dict[str | None, dict[str, Any]] = {
            row["queue"]: dict(row) for row in live.values("queue").annotate(**self._columns())
        }
        failed = self._archive().filter(STATUSES["failed"]).order_by().values("queue")
        for row in failed.annotate(failed=Count("pk")):
            known = found.setdefault(row["queue"], {"queue": row["queue"]})
            known["failed"] = known.get("failed", 0) + row["failed"]
        depths = [QueueDepth(**row) for row in found.values()]
        return sorted(depths, key=lambda depth: (depth.queue is not None, depth.queue or ""))

    def whole(self) -> QueueDepth:
        """Return the same for all queues together, of the archive nothing."""
        return QueueDepth(queue=self.selection.queue, **self._live().aggregate(**self._columns()))

    def pending(self) -> int:
        """Return how many tasks are due and wait for a worker."""
        return int(self._live().filter(WAITING, run_at__lte=self.now).count())

    def counts(self) -> TaskCounts:
        """Return how many tasks there are of each status."""
        live = self._live().aggregate(
            waiting=Count("pk", filter=WAITING),
            running=Count("pk", filter=Q(locked_by__isnull=False)),
            buried=Count("pk", filter=Q(locked_by__isnull=True, failed_at__isnull=False)),
        )
        ended = self._archive().aggregate(
            **{status: Count("pk", filter=condition) for status, condition in STATUSES.items()}
        )
        ended["failed"] += live.pop("buried")
        return TaskCounts(**live, **ended)

    def _live(self) -> Any:
        return self.selection.among(self.store.tasks)

    def _archive(self) -> Any:
        return self.selection.among(CompletedTask.objects.using(self.store.using).all())

    def _columns(self) -> dict[str, Any]:
        now = self.now
        later = Q(run_at__gt=now)
        # ``run_at`` of what a limit has put aside is when to look again.
        is_due = WAITING & (Q(run_at__lte=now) | Q(due_at__lte=now))
        moment = DateTimeField()
        since = Greatest(
            Coalesce("enqueued_at", "due_at", "run_at", output_field=moment),
            Coalesce("due_at", F("run_at"), output_field=moment),
        )
        return {
            "pending": Count("pk", filter=WAITING & Q(run_at__lte=now)),
            "at_limit": Count("pk", filter=WAITING & later & Q(due_at__lte=now)),
            "running": Count("pk", filter=Q(locked_by__isnull=False)),
            "scheduled": Count(
                "pk", filter=WAITING & later & (Q(due_at__isnull=True) | Q(due_at__gt=now))
            ),
            "failed": Count("pk", filter=Q(locked_by__isnull=True, failed_at__isnull=False)),
            "oldest_waiting_since": Min(since, filter=is_due),
            "newest_waiting_since": Max(since, filter=is_due),
        }
