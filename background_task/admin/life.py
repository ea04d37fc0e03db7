"""The life of a task as one can tell it from its row: attempts, and what happened between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone as zones

from django.utils import timezone

from ..attempt_error import AttemptError
from ..models import AttemptLog, CompletedTask, Task

UTC = zones.utc
#: Seconds of a unit and its name, and likewise of the next smaller one.
UNITS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))


@dataclass(frozen=True, slots=True)
class AttemptLife:
    """One attempt, as far as it is known.

    Attributes:
        number: From 1.
        state: "failed", "running", or how the task ended with it; empty if nobody knows.
        worker: The name of the worker; empty if unknown.
        started_at: When it began.
        ended_at: When it ended; None, too, if it has not.
        waited: How long the task had been there, or had waited for another attempt.
        lasted: How long it took; of one that runs, until now.
        exception: The class of the exception; empty without one.
        traceback: Its traceback.
        logs: What it has written to the log.
    """

    number: int
    state: str = ""
    worker: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    waited: timedelta | None = None
    lasted: timedelta | None = None
    exception: str = ""
    traceback: str = ""
    logs: tuple[AttemptLog, ...] = ()


def attempts_of(
    row: Task | CompletedTask, logs: Iterable[AttemptLog], *, now: datetime
) -> list[AttemptLife]:
    """Return the attempts that are known, the first one first."""
    found = {error.attempt: _failed(error) for error in row.attempt_errors}
    last = _last(row, found)
    if last is not None:
        found[last.number] = last
    for log in logs:
        known = found.get(log.attempt, AttemptLife(log.attempt, worker=log.worker))
        found[log.attempt] = replace(known, logs=(*known.logs, log))
    attempts = [found[number] for number in sorted(found)]
    return _timed(attempts, since=row.enqueued_at, now=now)


def missing(attempts: list[AttemptLife]) -> int:
    """Return how many attempts between the known ones are not kept."""
    return 0 if not attempts else attempts[-1].number - attempts[0].number + 1 - len(attempts)


def span(duration: timedelta | None) -> str:
    """Return a duration for people, in no more than two units."""
    if duration is None:
        return ""
    seconds = max(duration.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    size, name, part, part_name = next(unit for unit in UNITS if whole >= unit[0])
    rest = whole % size // part
    return f"{whole // size} {name} {rest} {part_name}" if rest else f"{whole // size} {name}"


def shown(moment: datetime | None) -> datetime | None:
    """Return a moment of the stored JSON, if it can be shown at all."""
    try:
        return moment if moment is None or timezone.is_naive(moment) else moment.astimezone(UTC)
    except OverflowError:  # the very first or last day there is
        return None


def _failed(error: AttemptError) -> AttemptLife:
    return AttemptLife(
        number=error.attempt,
        state="failed",
        worker=error.worker,
        started_at=shown(error.started_at),
        ended_at=shown(error.at),
        exception=error.exception_class_path,
        traceback=error.traceback,
    )


def _last(row: Task | CompletedTask, found: dict[int, AttemptLife]) -> AttemptLife | None:
    """Return the attempt that runs, or that has ended without an error."""
    if not row.locked_by:
        return None
    following = [number + 1 for number in found]
    if isinstance(row, Task):
        number = max([row.attempts + 1, *following])
        return AttemptLife(number, "running", row.locked_by, row.locked_at)
    status = row._own_status()
    if status == "failed" and found:
        return None
    number = max([row.attempts, *following, 1])
    return AttemptLife(number, status, row.locked_by, row.locked_at, row.run_at)


def _timed(
    attempts: list[AttemptLife], *, since: datetime | None, now: datetime
) -> list[AttemptLife]:
    timed, number = [], 0
    for each in attempts:
        is_next = each.number == number + 1
        end = now if each.state == "running" else each.ended_at
        waited = _between(since, each.started_at) if is_next else None
        lasted = _between(each.started_at, end)
        timed.append(replace(each, waited=waited, lasted=lasted))
        since, number = each.ended_at, each.number
    return timed


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    try:
        return None if start is None or end is None else end - start
    except TypeError:  # one has a time zone and the other has none: an edited row
        return None
