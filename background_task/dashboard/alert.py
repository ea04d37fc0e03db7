"""What people have to know before anything else."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..doctor.finding import Limits
from ..models.worker import UNNAMED
from ..store.depth import QueueDepth
from ..store.pause import Paused
from . import words
from .live import Crew

ERROR, WARNING, INFO = "error", "warning", "info"
START = "python manage.py process_tasks"
#: How many names a sentence may list.
MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to know.

    Attributes:
        level: ``"error"``, ``"warning"`` or ``"info"``.
        title: What is so.
        text: What that means.
        command: What to do about it; empty if there is nothing to be typed.
    """

    level: str
    title: str
    text: str
    command: str = ""


def alerts(
    depths: Sequence[QueueDepth],
    crews: Sequence[Crew],
    paused: Sequence[Paused],
    *,
    last_seen: datetime | None,
    lease: timedelta,
    now: datetime,
) -> list[Alert]:
    """Return what is wrong now, the worst first.

    Args:
        depths: What is in each queue.
        crews: Workers that are alive, or were lately.
        paused: What is paused.
        last_seen: When any worker was last heard of, in UTC; None if there never was one.
        lease: For how long tasks may be due before it is said that nobody runs them.
        now: The database's time, in UTC.
    """
    alive = [crew for crew in crews if crew.is_alive]
    if alive:
        found = [_silent(crews, now)]
        found += [_unserved(depths, alive, paused), _late(depths, alive, paused, now)]
    else:
        nobody = _nobody(depths, last_seen, lease=lease, now=now)
        found = [nobody, _silent(crews, now, is_start_needed=nobody is None)]
    found.append(_held_up(depths, paused))
    return [alert for alert in found if alert is not None]


def _nobody(
    depths: Sequence[QueueDepth], last_seen: datetime | None, *, lease: timedelta, now: datetime
) -> Alert | None:
    waits = [depth.oldest_seconds(now) for depth in depths if depth.due]
    oldest = max((wait for wait in waits if wait is not None), default=None)
    if oldest is None or oldest <= lease.total_seconds():
        return None
    due = sum(depth.due for depth in depths)
    is_more = any(depth.is_more for depth in depths)
    waiting = "1 task is" if due == 1 else f"{words.count(due, is_more=is_more)} tasks are"
    seen = (
        "has ever been seen" if last_seen is None else f"has been seen for {_age(last_seen, now)}"
    )
    return Alert(
        ERROR,
        "No worker is alive",
        f"{waiting} due, the oldest for {words.duration(oldest)}, and no worker {seen}. Start one:",
        START,
    )


def _unserved(
    depths: Sequence[QueueDepth], alive: Sequence[Crew], paused: Sequence[Paused]
) -> Alert | None:
    on_hold = {each.name for each in paused if each.kind == "queue"}
    left = [
        depth
        for depth in depths
        if depth.due
        and depth.queue not in on_hold
        and not any(crew.worker.serves(depth.queue) for crew in alive)
    ]
    if not left:
        return None
    named = [depth.queue for depth in left if depth.queue is not None]
    what = "a queue that no living worker serves" if len(left) == 1 else "queues that nobody serves"
    is_all_named = len(named) == len(left)
    flags = "".join(f" --queue {shlex.quote(name)}" for name in named[:1]) if is_all_named else ""
    return Alert(
        WARNING,
        f"Tasks are due in {what}",
        f"{_listed([depth.queue or UNNAMED for depth in left])}. Start a worker that takes them:",
        START + flags,
    )


def _late(
    depths: Sequence[QueueDepth], alive: Sequence[Crew], paused: Sequence[Paused], now: datetime
) -> Alert | None:
    """Find what living workers leave waiting; what is paused is meant to wait."""
    if any(each.kind == "function" for each in paused):
        return None  # which tasks are of that function is not known here
    on_hold = {each.name for each in paused}
    waits = [
        (seconds, depth.queue or UNNAMED)
        for depth in depths
        if (seconds := depth.oldest_seconds(now)) is not None
        and depth.queue not in on_hold
        and any(crew.worker.serves(depth.queue) for crew in alive)
    ]
    seconds, queue = max(waits, default=(0.0, ""))
    if seconds <= Limits().overdue.total_seconds():
        return None
    return Alert(
        WARNING,
        "Tasks wait for long",
        f"The oldest due task in queue {queue} waits for {words.duration(seconds)}. The workers "
        "that serve it cannot keep up, or long tasks keep them busy: start more of them, or give "
        "them more slots (--processes, --threads).",
    )


def _silent(crews: Sequence[Crew], now: datetime, *, is_start_needed: bool = False) -> Alert | None:
    """Tell of the dead; with how to start a worker where no other banner says it."""
    silent = [crew for crew in crews if crew.state == "silent"]
    if not silent:
        return None
    names = _listed([f"{crew.worker.name} ({_age(crew.heard_at, now)} ago)" for crew in silent])
    return Alert(
        WARNING,
        "A worker has gone silent" if len(silent) == 1 else f"{len(silent)} workers are silent",
        f"Last heard of: {names}. It was killed, or is cut off from the database; what it held "
        "goes to the next living worker"
        + (", and none is there. Start one:" if is_start_needed else "."),
        START if is_start_needed else "",
    )


def _held_up(depths: Sequence[QueueDepth], paused: Sequence[Paused]) -> Alert | None:
    waiting = {depth.queue for depth in depths if depth.due}
    held = [each for each in paused if each.kind == "function" or each.name in waiting]
    if not held or not waiting:
        return None
    what = _listed([str(each) for each in held])
    return Alert(INFO, "Some of it is paused", f"No worker takes anything of {what}.")


def _age(at: datetime, now: datetime) -> str:
    return words.duration(round((now - at).total_seconds()))


def _listed(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
