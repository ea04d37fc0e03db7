"""When, and how urgently, a call should run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeAlias

from django.utils import timezone

from .exceptions import InvalidOptionError, InvalidOptionTypeError

RunAt: TypeAlias = int | float | timedelta | datetime
ScheduleLike: TypeAlias = "RunAt | Mapping[str, Any] | TaskSchedule | None"


class TaskSchedule:
    """Time, priority and action of a call; each part may be left open (None).

    Args:
        run_at: Seconds from now (int or finite float), a ``timedelta`` from now, or a ``datetime``.
        priority: Any 32-bit integer; higher runs first unless the ordering setting says otherwise.
        action: What to do about waiting rows of the same call: ``SCHEDULE`` (add one more),
            ``RESCHEDULE_EXISTING`` (move them) or ``CHECK_EXISTING`` (keep them, add nothing).

    Raises:
        InvalidOptionTypeError: ``run_at`` is no number, timedelta or datetime.
        InvalidOptionError: A number that is no delay (NaN, infinite, out of range), or an unknown
            action.
    """

    SCHEDULE: ClassVar[int] = 0
    RESCHEDULE_EXISTING: ClassVar[int] = 1
    CHECK_EXISTING: ClassVar[int] = 2

    def __init__(
        self, run_at: RunAt | None = None, priority: int | None = None, action: int | None = None
    ) -> None:
        self._run_at = _checked_run_at(run_at)
        self._priority = priority
        self._action = _checked_action(action)

    @classmethod
    def create(cls, schedule: ScheduleLike) -> TaskSchedule:
        """Return the schedule that ``schedule`` stands for.

        None and an empty mapping leave everything open. 0 and ``timedelta(0)`` mean "now", also
        over a decorator's default. A ``TaskSchedule`` is returned as it is.

        Raises:
            InvalidOptionTypeError: Not a number, timedelta, datetime, mapping or TaskSchedule.
            InvalidOptionError: A number that is no delay (NaN, infinite, out of range), an unknown
                key, or an unknown action.
        """
        if isinstance(schedule, TaskSchedule):
            return schedule
        if schedule is None:
            return cls()
        if not isinstance(schedule, Mapping):
            return cls(run_at=schedule)
        unknown = set(schedule) - {"run_at", "priority", "action"}
        if unknown:
            raise InvalidOptionError(
                f"schedule has unknown keys {sorted(map(str, unknown))}; "
                "a schedule takes run_at, priority and action"
            )
        return cls(
            run_at=schedule.get("run_at"),
            priority=schedule.get("priority"),
            action=schedule.get("action"),
        )

    def merge(self, schedule: TaskSchedule) -> TaskSchedule:
        """Return a new schedule: this one's parts, and the other's where this one leaves open."""
        params: dict[str, Any] = {}
        for name in ("run_at", "priority", "action"):
            own = getattr(self, f"_{name}")
            params[name] = own if own is not None else getattr(schedule, f"_{name}")
        return TaskSchedule(**params)

    @property
    def run_at(self) -> datetime:
        """The time, computed anew at each reading when it is relative to now."""
        match self._run_at:
            case datetime():
                return self._run_at
            case timedelta():
                delay = self._run_at
            case int() | float():
                delay = timedelta(seconds=self._run_at)
            case _:
                delay = timedelta(0)
        return timezone.now() + delay

    @property
    def is_open(self) -> bool:
        """Whether no time is given, which mostly means "now"."""
        return self._run_at is None

    @property
    def priority(self) -> int:
        """The priority, 0 when left open."""
        return self._priority or 0

    @property
    def action(self) -> int:
        """The action, ``SCHEDULE`` when left open."""
        return self._action or TaskSchedule.SCHEDULE

    def __repr__(self) -> str:
        return f"TaskSchedule(run_at={self._run_at}, priority={self._priority})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskSchedule):
            return NotImplemented
        return (self._run_at, self._priority, self._action) == (
            other._run_at,
            other._priority,
            other._action,
        )

    __hash__ = None  # type: ignore[assignment]  # as ever: equal schedules are not one key


def as_local(moment: datetime) -> datetime:
    """Return a moment in the project's time zone, as the time of a log line is."""
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def _checked_run_at(value: Any) -> RunAt | None:
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, int | float | timedelta):
        raise InvalidOptionTypeError(
            f"schedule {value!r} is of type {type(value).__name__}; "
            "use seconds, a timedelta, a datetime, a mapping or a TaskSchedule"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidOptionError(
            f"schedule {value!r} is not a time; use a finite number of seconds"
        )
    delay = value if isinstance(value, timedelta) else None
    try:
        timezone.now() + (delay if delay is not None else timedelta(seconds=value))  # type: ignore[arg-type]
    except OverflowError as error:
        raise InvalidOptionError(
            f"schedule {value!r} lies outside the years 1 to 9999; use a smaller delay"
        ) from error
    return value


def _checked_action(value: Any) -> int | None:
    allowed = (
        None,
        TaskSchedule.SCHEDULE,
        TaskSchedule.RESCHEDULE_EXISTING,
        TaskSchedule.CHECK_EXISTING,
    )
    if value not in allowed:
        raise InvalidOptionError(
            f"schedule action {value!r} is unknown; use TaskSchedule.SCHEDULE, "
            "TaskSchedule.RESCHEDULE_EXISTING or TaskSchedule.CHECK_EXISTING"
        )
    return None if value is None else int(value)
