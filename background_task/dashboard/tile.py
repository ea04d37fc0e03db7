"""The numbers that are seen first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ..rollup import Tally
from ..store.depth import QueueDepth
from . import words
from .figures import percentile
from .live import Crew
from .period import Period
from .table import MANY_FAILED

#: From here on a number is told by its first digits.
MANY = 1_000_000


@dataclass(frozen=True, slots=True)
class Tile:
    """A number that is seen first.

    Attributes:
        title: What it is.
        value: The number.
        note: What else is to be said of it.
        level: ``"error"`` or ``"warning"`` if it stands out.
        percent: How far a bar below it is filled; None for none.
    """

    title: str
    value: str
    note: str = ""
    level: str = ""
    percent: int | None = None


def tiles(
    whole: Tally,
    depths: Sequence[QueueDepth],
    crews: Sequence[Crew],
    period: Period,
    *,
    now: datetime,
) -> list[Tile]:
    """Return the tiles, of what is so now first.

    Args:
        whole: What has happened in the period.
        depths: What is in the queues that are shown.
        crews: The workers.
        period: The time.
        now: The database's time, in UTC.
    """
    return [*_present(depths, crews, now), *_past(whole, period)]


def _present(depths: Sequence[QueueDepth], crews: Sequence[Crew], now: datetime) -> list[Tile]:
    alive = [crew for crew in crews if crew.is_alive]
    used = sum(len(crew.running) for crew in alive)
    slots = sum(crew.worker.capacity for crew in alive)
    due, later = sum(depth.due for depth in depths), sum(depth.later for depth in depths)
    is_more = any(depth.is_more for depth in depths)
    waits = [wait for depth in depths if (wait := depth.oldest_seconds(now)) is not None]
    return [
        Tile(
            "Due now",
            _shown(due, is_more=is_more),
            f"oldest waits {words.duration(max(waits))}" if waits else "none waits",
        ),
        Tile("Later", _shown(later, is_more=is_more), "their time is to come"),
        Tile(
            "Slots in use",
            f"{words.count(used)} of {words.count(slots)}",
            f"{len(alive)} {'worker' if len(alive) == 1 else 'workers'} alive",
            level="" if alive else "warning",
            percent=round(100 * used / slots) if slots else None,
        ),
    ]


def _shown(number: int, *, is_more: bool = False) -> str:
    """Return a number that fits into a tile."""
    if number < MANY:
        return words.count(number, is_more=is_more and number > 0)
    return words.short(number)


def _past(whole: Tally, period: Period) -> list[Tile]:
    wait, run = (percentile(each, 50) for each in (whole.waits, whole.runs))
    return [
        Tile(
            "Ended",
            _shown(whole.ended),
            words.rate(whole.ended, period.span.total_seconds()),
        ),
        Tile(
            "Failed",
            words.share(whole.failed_share),
            f"{words.count(whole.failed)} failed, {words.count(whole.retried)} retried",
            level="error" if whole.failed_share >= MANY_FAILED else "",
        ),
        Tile(
            "Wait p95",
            words.duration(percentile(whole.waits, 95)),
            f"median {words.duration(wait)}",
        ),
        Tile(
            "Run p95", words.duration(percentile(whole.runs, 95)), f"median {words.duration(run)}"
        ),
    ]
