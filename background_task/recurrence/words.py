"""Rules of recurrence as phrases for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dateutil.relativedelta import relativedelta

UNITS = ("week", "day", "hour", "minute", "second")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
FREQUENCIES = {
    "YEARLY": "year",
    "MONTHLY": "month",
    "WEEKLY": "week",
    "DAILY": "day",
    "HOURLY": "hour",
    "MINUTELY": "minute",
    "SECONDLY": "second",
}
SAID_PARTS = {"FREQ", "INTERVAL", "WKST", "BYDAY", "BYMONTHDAY", "BYMONTH", "COUNT", "UNTIL"}
SAID_ORDINALS = {1: "first", 2: "second", 3: "third", -1: "last"}


def of_zone(zone: str) -> str:
    """Return how a zone is called in a phrase."""
    return "UTC" if zone == "UTC" else f"{zone} time"


def of_period(period: timedelta) -> str:
    """Return a fixed period: "every 90 minutes", in the largest unit that fits."""
    for unit in UNITS:
        count, rest = divmod(period, timedelta(**{f"{unit}s": 1}))
        if not rest:
            return f"every {_counted(count, unit)}"
    return f"every {f'{period.total_seconds():f}'.rstrip('0')} seconds"


def of_step(step: relativedelta, zone: str) -> str:
    """Return a step by the calendar: "every month on the last day (Europe/Berlin time)"."""
    names = ("years", "months", "days", "hours", "minutes", "seconds", "microseconds")
    counts = {name[:-1]: getattr(step, name) for name in names}
    single = [count for count in counts.values() if count] == [1]
    steps = [
        _counted(count, unit) if single else _counted(count, unit, always=True)
        for unit, count in counts.items()
        if count
    ]
    phrase = f"every {_listed(steps)}"
    if step.weekday is not None:
        phrase += f" on {_weekday_of(step)}"
    elif step.day is not None:
        phrase += " on the last day" if step.day == 31 else f" on the {_ordinal(step.day)}"
    if step.month is not None:
        phrase += f" counted from {MONTHS[step.month - 1]}"
    if step.hour is not None:
        phrase += f" at {step.hour:02d}:{step.minute or 0:02d}"
    elif step.minute is not None:
        phrase += f" at minute {step.minute}"
    return f"{phrase} ({of_zone(zone)})"


def of_rrule(parts: Mapping[str, str]) -> str | None:
    """Return the parts of one RFC 5545 rule, or None when they say more than a phrase can."""
    if not set(parts) <= SAID_PARTS:
        return None
    phrase = f"every {_counted(int(parts.get('INTERVAL', '1')), FREQUENCIES[parts['FREQ']])}"
    if days := parts.get("BYDAY"):
        phrase += f" on {_listed([_weekday_in_rrule(day) for day in days.split(',')])}"
    if numbers := parts.get("BYMONTHDAY"):
        phrase += f" on the {_listed([_day_in_month(int(day)) for day in numbers.split(',')])}"
    if months := parts.get("BYMONTH"):
        phrase += f" in {_listed([MONTHS[int(month) - 1] for month in months.split(',')])}"
    if count := parts.get("COUNT"):
        phrase += ", once" if count == "1" else f", {count} times"
    if until := parts.get("UNTIL"):
        phrase += f", until {until[:4]}-{until[4:6]}-{until[6:8]}"
    return phrase


def _counted(count: int, unit: str, *, always: bool = False) -> str:
    if count == 1:
        return f"1 {unit}" if always else unit
    return f"{count} {unit}s"


def _listed(items: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(items[:-1]), items[-1])))


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def _day_in_month(day: int) -> str:
    if day > 0:
        return _ordinal(day)
    return "last day" if day == -1 else f"{_ordinal(-day)} last day"


def _weekday_of(step: relativedelta) -> str:
    weekday = step.weekday
    assert weekday is not None
    name, number = WEEKDAYS[weekday.weekday], weekday.n or 1
    if (step.day == 1 and number > 0) or (step.day == 31 and number < 0):
        return f"the {_numbered(number)} {name}"
    day = "that day" if step.day is None else f"the {_ordinal(step.day)}"
    return f"the {_numbered(number)} {name} " + (f"from {day} on" if number > 0 else f"up to {day}")


def _weekday_in_rrule(day: str) -> str:
    name = next(full for full in WEEKDAYS if full.upper().startswith(day[-2:]))
    return f"the {_numbered(int(day[:-2]))} {name}" if day[:-2] else name


def _numbered(number: int) -> str:
    if number in SAID_ORDINALS:
        return SAID_ORDINALS[number]
    return _ordinal(number) if number > 0 else f"{_ordinal(-number)} last"
