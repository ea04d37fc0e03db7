"""What is so now: workers, what they hold, what ticks next, what is paused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q

from ..exceptions import InvalidOptionError
from ..models import Task, Worker
from ..progress_report import ProgressReport, read_report
from ..recurrence import parse
from ..recurrence.zone import instant
from ..store.schedule import ScheduleRow, Schedules, stored_moment

#: How many rows are read, and how many of them are shown.
MOST_HELD, MOST_WORKERS = 2000, 100
MOST_TICKS = 10
#: For how long a worker that has ended is shown.
SHOWN_ENDED = timedelta(hours=1)
#: Which workers come first; those that have ended come last.
RANKS = {"alive": 0, "silent": 1}


@dataclass(frozen=True, slots=True)
class Held:
    """A task that a worker holds. Times are in UTC.

    Attributes:
        pk: The key of its row.
        uid: The id of its result.
        name: What people call it.
        task_name: Its function.
        queue: Its queue; None is the unnamed one.
        worker: Who holds it.
        since: Since when.
        attempts: How many attempts are behind it.
        progress: What it says of itself.
        is_cancelling: Whether somebody has asked it to end.
    """

    pk: int
    uid: UUID | None
    name: str
    task_name: str
    queue: str | None
    worker: str
    since: datetime | None
    attempts: int
    progress: ProgressReport | None
    is_cancelling: bool


@dataclass(frozen=True, slots=True)
class Crew:
    """A worker, and what it holds. Times are in UTC.

    Attributes:
        worker: Its row.
        state: ``"alive"``, ``"silent"``, ``"stopped"``, or ``"dead"``, as others have found it.
        started_at: Since when there is such a worker.
        heard_at: When it gave its last sign of life.
        running: What it runs, as far as one can tell: the first of what it holds.
        in_hand: How many more it holds that wait for a slot.
    """

    worker: Worker
    state: str
    started_at: datetime
    heard_at: datetime
    running: Sequence[Held]
    in_hand: int

    @property
    def is_alive(self) -> bool:
        """Whether it still writes to its rows."""
        return self.state == "alive"


def read_held(using: str) -> list[Held]:
    """Return what workers hold, by the index of owners: as many as there are slots, and in hand."""
    columns = (
        *("pk", "uid", "verbose_name", "task_name", "queue", "locked_by", "locked_at"),
        *("attempts", "progress_json", "cancel_requested_at"),
    )
    # Not "is not null", by which SQLite does not enter the index.
    rows = Task.objects.using(using).filter(locked_by__gt="").order_by("locked_by")
    return [
        Held(
            pk=row["pk"],
            uid=row["uid"],
            name=row["verbose_name"] or row["task_name"],
            task_name=row["task_name"],
            queue=row["queue"] or None,
            worker=row["locked_by"],
            since=None if row["locked_at"] is None else instant(row["locked_at"]),
            attempts=row["attempts"],
            progress=read_report(row["progress_json"]),
            is_cancelling=row["cancel_requested_at"] is not None,
        )
        for row in rows.values(*columns)[:MOST_HELD]
    ]


def read_crews(using: str, held: Iterable[Held], *, now: datetime) -> list[Crew]:
    """Return workers that are alive, are silent, or have ended a short time ago, in this order.

    Args:
        using: The alias of the database.
        held: What workers hold.
        now: The database's time, in UTC.
    """
    ended = Q(stopped_at__gte=stored_moment(now - SHOWN_ENDED))
    rows = Worker.objects.using(using).filter(Q(stopped_at__isnull=True) | ended)
    ordered = rows.order_by(F("stopped_at").desc(nulls_first=True), "-heartbeat_at", "name")
    by_owner: dict[str, list[Held]] = {}
    for each in sorted(held, key=lambda each: (each.since or now, each.pk)):
        by_owner.setdefault(each.worker, []).append(each)
    crews = [_crew(row, by_owner.get(row.name, []), now) for row in ordered[:MOST_WORKERS]]
    return sorted(crews, key=lambda crew: RANKS.get(crew.state, len(RANKS)))


def _crew(row: Worker, held: list[Held], now: datetime) -> Crew:
    return Crew(
        worker=row,
        state=_state(row, now),
        started_at=instant(row.started_at),
        heard_at=instant(row.heartbeat_at),
        running=held[: row.capacity],
        in_hand=len(held[row.capacity :]),
    )


def _state(row: Worker, now: datetime) -> str:
    if row.stopped_at is None:
        return "alive" if instant(row.expires_at) >= now else "silent"
    # Who says goodbye does so with a last heartbeat; of others it is found out later.
    return "stopped" if row.stopped_at <= row.heartbeat_at else "dead"


@dataclass(frozen=True, slots=True)
class NextTick:
    """When a periodic task runs next.

    Attributes:
        name: The schedule's.
        task_name: Its function.
        rule: When it ticks, in words.
        at: When it ticks next, in UTC.
    """

    name: str
    task_name: str
    rule: str
    at: datetime


def read_ticks(using: str) -> tuple[list[NextTick], list[str]]:
    """Return the next ticks of all schedules, and the names of those that are paused."""
    rows = Schedules(using).read().values()
    paused = sorted(row.name for row in rows if row.is_paused)
    going = [(row.next_tick_at, row) for row in rows if row.next_tick_at and not row.is_paused]
    going.sort(key=lambda each: (each[0], each[1].name))
    ticks = [
        NextTick(row.name, row.task_name, _in_words(row), at) for at, row in going[:MOST_TICKS]
    ]
    return ticks, paused


def _in_words(row: ScheduleRow) -> str:
    try:
        return parse(row.rule).in_words()
    except InvalidOptionError:  # a version wrote it that had more kinds of rules
        return row.rule
