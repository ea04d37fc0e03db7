"""Rules from what people write, and from the text under which they are stored."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from ..exceptions import InvalidOptionError, InvalidOptionTypeError
from .calendar_step import ABSOLUTE, RELATIVE, Calendar
from .crontab import Crontab
from .interval import Interval
from .recurrence_rule import RecurrenceRule
from .rule import MAX_RULE_CHARS, Rule
from .zone import zone_name

SECONDS = re.compile(r"[+-]?\d+")
RFC_5545 = re.compile(r"(RRULE|DTSTART|RDATE|EXRULE|EXDATE)[:;]|(.*;)?FREQ=", re.IGNORECASE)
PERIOD = re.compile(r"(\d+)(?:\.(\d{6}))?")
WEEKDAY = re.compile(r"(MO|TU|WE|TH|FR|SA|SU)(?:\(([+-]\d+)\))?")
ROOM_FOR_START = 40  # what `Rule.anchored` adds
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def make_rule(value: Any, *, zone: Any = None, key: str = "") -> Rule | None:
    """Return the rule that a value of ``repeat=`` stands for; None means "do not repeat".

    Args:
        value: One of

            * None, 0 or less: no repetition;
            * whole seconds, such as ``Task.HOURLY``, also as text of digits, or a ``timedelta``;
            * a ``relativedelta``, or an ``rrule`` or ``rruleset`` of dateutil;
            * RFC 5545 text, such as ``"FREQ=MONTHLY;BYDAY=-1FR"``, also with ``DTSTART``;
            * a crontab line, such as ``"30 3 * * 1-5"`` or ``"@daily"``;
            * a rule, which is returned as it is, or the text under which one is stored.
        zone: The time zone whose clock is meant: an IANA name or a ``ZoneInfo``; None for that of
            the start of an ``rrule``, and else for the project's ``TIME_ZONE``. What counts
            seconds does not need one.
        key: What the random values (``~``) of a crontab line are drawn from.

    Raises:
        InvalidOptionError: A value of the right type that cannot work, or too long to be stored.
        InvalidOptionTypeError: A value, or a zone, of a type that cannot work.
    """
    if zone is not None:
        zone = zone_name(zone)
    rule = _made(value, zone, key)
    if rule is not None:
        text, longest = str(rule), MAX_RULE_CHARS - ROOM_FOR_START
        if len(text) > longest:
            raise InvalidOptionError(
                f"repeat {text[:100]!r} has {len(text)} characters as text, at most {longest} can "
                "be stored; use fewer dates, or several tasks"
            )
    return rule


def parse(text: str) -> Rule:
    """Return the rule that was stored as this text: ``parse(str(rule)) == rule``.

    Raises:
        InvalidOptionError: The text cannot be read.
    """
    kind, _, rest = text.partition(" ")
    try:
        return READERS[kind](rest)
    except (LookupError, ValueError, TypeError, OverflowError) as error:
        reason = f": {error}" if isinstance(error, InvalidOptionError) else ""
        raise InvalidOptionError(
            f"stored rule {text!r} cannot be read{reason}; store str(make_rule(...)), or use the "
            "version that wrote it"
        ) from error


def _made(value: Any, zone: str | None, key: str) -> Rule | None:
    if value is None or isinstance(value, Rule):
        return value
    if isinstance(value, timedelta):
        return Interval(value) if value > timedelta(0) else None
    if isinstance(value, str):
        return _made_from_text(value.strip(), zone, key)
    if type(value).__module__.startswith("dateutil."):
        return _made_from_dateutil(value, zone)
    return _made_from_number(value)


def _made_from_text(value: str, zone: str | None, key: str) -> Rule | None:
    if SECONDS.fullmatch(value):
        return _made_from_number(int(value))
    if RFC_5545.match(value):
        return RecurrenceRule.of(value, zone)
    if value.partition(" ")[0] in READERS:
        return parse(value)
    return Crontab.of(value, zone, key=key)


def _made_from_dateutil(value: Any, zone: str | None) -> Rule:
    from dateutil.relativedelta import relativedelta
    from dateutil.rrule import rrule, rruleset

    if isinstance(value, rrule | rruleset):
        return RecurrenceRule.of(value, zone)
    if isinstance(value, relativedelta):
        return Calendar.of(value, zone)
    raise _of_wrong_type(value)


def _made_from_number(value: Any) -> Rule | None:
    try:
        seconds = int(value)
        if seconds != value:
            raise _of_wrong_type(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _of_wrong_type(value) from error
    if seconds <= 0:
        return None
    longest = timedelta.max.days * 86400
    return Interval(timedelta(seconds=min(seconds, longest)))  # longer ones never come around


def _of_wrong_type(value: Any) -> InvalidOptionTypeError:
    return InvalidOptionTypeError(
        f"repeat {value!r} is of type {type(value).__name__}; use whole seconds, a timedelta, a "
        "relativedelta, an rrule, or text: a crontab line or an RFC 5545 rule"
    )


def _read_interval(text: str) -> Interval:
    match = PERIOD.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return Interval(timedelta(seconds=int(match[1]), microseconds=int(match[2] or 0)))


def _read_calendar(text: str) -> Calendar:
    from dateutil.relativedelta import relativedelta

    stored = dict(part.split("=", 1) for part in text.split())
    zone, start = stored.pop("zone"), stored.pop("start", None)
    weekday = stored.pop("weekday", None)
    if not set(stored) <= {*RELATIVE, *ABSOLUTE}:
        raise ValueError(text)
    values: dict[str, Any] = {name: int(value) for name, value in stored.items()}
    rule = Calendar.of(relativedelta(**values, weekday=_read_weekday(weekday)), zone)
    return Calendar(rule.step, rule.zone, datetime.fromisoformat(start) if start else None)


def _read_weekday(text: str | None) -> Any:
    from dateutil import relativedelta

    if text is None:
        return None
    match = WEEKDAY.fullmatch(text)
    if match is None:
        raise ValueError(text)
    weekday = relativedelta.weekday(WEEKDAYS.index(match[1]))
    return weekday(int(match[2])) if match[2] else weekday


def _read_crontab(text: str) -> Crontab:
    *fields, zone = text.split()
    return Crontab.of(" ".join(fields), zone)


def _read_recurrence(text: str) -> RecurrenceRule:
    zone, _, properties = text.partition(" ")
    return RecurrenceRule.of(properties, zone)


READERS = {
    "every": _read_interval,
    "calendar": _read_calendar,
    "cron": _read_crontab,
    "rrule": _read_recurrence,
}
