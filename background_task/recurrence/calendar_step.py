"""Repetition by the calendar: each month, the last day of the month, the first Monday."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidOptionError
from . import words
from .rule import Rule
from .zone import at_every_reading, at_fixed_times, wall_time, zone_called, zone_name

if TYPE_CHECKING:
    from dateutil.relativedelta import relativedelta

RELATIVE = ("years", "months", "days", "hours", "minutes", "seconds", "microseconds")
ABSOLUTE = ("month", "day", "hour", "minute", "second", "microsecond", "leapdays")
SHORTEST_MONTH, LONGEST_MONTH = 28, 31
#: What a step may fix, and what it must not move then.
TIME_OF_DAY = ("hours", "minutes", "seconds", "microseconds")
SMALLER = {
    "day": TIME_OF_DAY,
    "weekday": TIME_OF_DAY,
    "hour": TIME_OF_DAY[1:],
    "minute": TIME_OF_DAY[2:],
    "second": TIME_OF_DAY[3:],
}


@dataclass(frozen=True, slots=True)
class Calendar(Rule):
    """A ``relativedelta``, taken once, twice ... from the start, on the clock of a zone.

    Always counted from the start, never from the last run: monthly from 31 January is 28 February,
    then 31 March. 9:00 stays 9:00 when the clocks are changed. A start at 2:30 that a day does not
    have is run at the moment the clocks are put forward (at 3:00), one that it has twice is run at
    the first. A step shorter than a day follows the running clock instead: it is run each
    time the clock shows the time, so twice in the repeated hour, and not in the lost one.

    Make it with `Calendar.of`.

    Args:
        step: A normalized ``relativedelta`` that moves forward.
        zone: Name of the time zone whose clock is meant.
        start: The clock's reading at the first run, naive; None if the chain is to give it.
    """

    step: relativedelta
    zone: str
    start: datetime | None = None

    @classmethod
    def of(cls, step: relativedelta, zone: Any = None) -> Calendar:
        """Return the rule, in the project's ``TIME_ZONE`` unless another is given.

        A step that fixes a part of the time and moves a smaller one may go back: of 23:44, 23:52
        and midnight, each taken on the next Friday, the last is a day before the others.

        Raises:
            InvalidOptionError: The step may stand still or go back, or the zone is unknown.
            InvalidOptionTypeError: The zone is of a type that cannot work.
        """
        step = step.normalized()
        if step.year is not None or not _moves_forward(step):
            raise InvalidOptionError(
                f"repeat {step!r} does not always move forward by a second or more; add what is "
                "to be repeated, as in relativedelta(months=1, day=31), and leave out the year"
            )
        if clash := _clash(step):
            raise InvalidOptionError(
                f"repeat {step!r} fixes the {clash[0]} and moves the {clash[1]}, so it would not "
                "always move forward; leave one of them out"
            )
        return cls(step, zone_name(zone))

    def anchored(self, start: datetime) -> Calendar:
        """Return this step from ``start``, unless it has a start."""
        if self.start is not None:
            return self
        return replace(self, start=wall_time(start, zone_called(self.zone)))

    def _after(self, moment: datetime, *, start: datetime) -> datetime | None:
        zone = zone_called(self.zone)
        anchor = self.start or wall_time(start, zone)
        follow = at_every_reading if self._is_within_days() else at_fixed_times
        return follow(lambda wall: self._first(wall, anchor), zone, after=moment)

    def _is_within_days(self) -> bool:
        step = self.step
        return not (step.years or step.months or step.days) and step.hour is None

    def _first(self, wall: datetime, anchor: datetime) -> datetime | None:
        if wall <= anchor:
            return anchor
        times = smallest(1, lambda times: _is_reached(self._reading(anchor, times), wall))
        return self._reading(anchor, times)

    def _reading(self, anchor: datetime, times: int) -> datetime | None:
        """Return the clock's reading after so many steps, or None beyond the year 9999."""
        from dateutil.relativedelta import relativedelta

        values = {name: getattr(self.step, name) * times for name in RELATIVE}
        values |= {name: getattr(self.step, name) for name in (*ABSOLUTE, "weekday")}
        try:
            return anchor + relativedelta(**values)
        except (OverflowError, ValueError):
            return None

    def __str__(self) -> str:
        step = self.step
        parts = [f"{name}={value:+d}" for name in RELATIVE if (value := getattr(step, name))]
        parts += [
            f"{name}={value}"
            for name in ABSOLUTE
            if (value := getattr(step, name)) is not None and (value or name != "leapdays")
        ]
        if step.weekday is not None:
            parts.append(f"weekday={step.weekday}")
        parts.append(f"zone={self.zone}")
        if self.start is not None:
            parts.append(f"start={self.start.isoformat()}")
        return "calendar " + " ".join(parts)

    def in_words(self) -> str:
        """Return the rule as a phrase for people."""
        return words.of_step(self.step, self.zone)


def smallest(first: int, is_enough: Callable[[int], bool]) -> int:
    """Return the smallest number from ``first`` on that is enough, asking about few of them."""
    low, high = first - 1, first
    while not is_enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def _is_reached(reading: datetime | None, wall: datetime) -> bool:
    return reading is None or reading >= wall


def _clash(step: relativedelta) -> tuple[str, str] | None:
    """Return a part of the time that a step fixes, and a smaller one that it moves."""
    for fixed, smaller in SMALLER.items():
        for moved in smaller if getattr(step, fixed) is not None else ():
            if getattr(step, moved):
                return fixed, moved
    return None


def _moves_forward(step: relativedelta) -> bool:
    """Say whether each step, in the shortest of its months, takes a second or more."""
    months = step.years * 12 + step.months
    days = months * (SHORTEST_MONTH if months > 0 else LONGEST_MONTH) + step.days
    seconds = (days * 24 + step.hours) * 3600 + step.minutes * 60 + step.seconds
    return seconds * 1_000_000 + step.microseconds >= 1_000_000
