"""What can be told of the waiting rows by a few index probes, however many there are."""

from __future__ import annotations

from datetime import datetime
from itertools import islice

from . import get_store
from .levels import LEVELS_AT_ONCE, LevelStore


def queue_names(using: str, *, most: int) -> list[str]:
    """Return names of queues that have waiting rows, sorted.

    Args:
        using: The alias of the database that holds the tables.
        most: No more than so many are looked for.
    """
    store = get_store(using)
    return sorted(store._queue_names(most=most)) if isinstance(store, LevelStore) else []


def earliest_run_at(using: str) -> datetime | None:
    """Return the earliest time of the waiting rows; None if there are none.

    Looks at the first hundred levels of priority.
    """
    store = get_store(using)
    if isinstance(store, LevelStore):
        levels = islice(store._levels(None), LEVELS_AT_ONCE)
        return min((run_at for _, run_at in levels), default=None)
    waiting = store.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
    return waiting.order_by("run_at").values_list("run_at", flat=True).first()
