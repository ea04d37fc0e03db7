"""Counting tasks from code."""

from __future__ import annotations

from datetime import datetime

from ..store import get_store
from ..store.census import Census, QueueDepth, TaskCounts
from ..store.selection import BackendLike
from .argument import selection_of


def get_pending_task_count(*, queue: str | None = None, backend: BackendLike = None) -> int:
    """Return how many tasks are due and wait for a worker.

    Args:
        queue: Only of this queue.
        backend: Only of this backend.
    """
    return Census(get_store(), selection=selection_of(queue, backend)).pending()


def get_task_counts(*, queue: str | None = None, backend: BackendLike = None) -> TaskCounts:
    """Return how many tasks there are of each status; it reads the whole archive.

    Args:
        queue: Only of this queue.
        backend: Only of this backend.
    """
    return Census(get_store(), selection=selection_of(queue, backend)).counts()


def get_queue_stats(*, queue: str | None = None, backend: BackendLike = None) -> QueueDepth:
    """Return what waits and runs, and for how long; ``failed`` counts nothing of the archive.

    One statement, which reads each row that is yet to finish, and no other.

    Args:
        queue: Only of this queue; else of all together.
        backend: Only of this backend.
    """
    return Census(get_store(), selection=selection_of(queue, backend)).whole()


def get_queue_depths(
    *, queue: str | None = None, backend: BackendLike = None, now: datetime | None = None
) -> list[QueueDepth]:
    """Return the same for each queue by itself, with the failed tasks of the archive.

    Args:
        queue: Only of this queue.
        backend: Only of this backend.
        now: Overrides the database's clock.
    """
    return Census(get_store(), selection=selection_of(queue, backend), now=now).depths()
