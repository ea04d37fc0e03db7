"""Which of some rows wait because their queue or function is paused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..store import task_database
from ..store.pause import Pauses


def on_hold(rows: Sequence[Any]) -> list[bool]:
    """Tell for each row whether it is paused, with one query for all."""
    held = Pauses(task_database()).read()
    return [row.task_name in held.functions or (row.queue or "") in held.queues for row in rows]
