"""RFC 5545 recurrences in one plain form: a line per property, all times on one zone's clock."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone, tzinfo
from typing import Any, NamedTuple

from ..exceptions import InvalidOptionError
from . import words
from .zone import wall_time, zone_called, zone_name

ORDER = ("DTSTART", "RRULE", "RDATE", "EXRULE", "EXDATE")
COUNTED_FROM_ONE = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO")
PROPERTY = re.compile(r"(?:([A-Za-z]+)((?:;[^:;]*)*):)?(\S+)")
MOMENT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.IGNORECASE)


class Property(NamedTuple):
    """One line: ``DTSTART;TZID=Europe/Berlin:20260131T090000`` has a zone, most have none."""

    name: str
    value: str
    tzid: str | None = None

    def __str__(self) -> str:
        return f"{self.name}:{self.value}"


def plain(value: Any, zone: Any = None) -> tuple[str, str]:
    """Return a recurrence as plain text, and the name of the zone that its times are meant in.

    Args:
        value: RFC 5545 text, or an ``rrule`` or ``rruleset`` of dateutil.
        zone: The zone; None takes that of the start, and if it has none, the project's.

    Returns:
        Properties between single spaces, ``DTSTART`` first if there is one, and the zone.

    Raises:
        InvalidOptionError: The recurrence cannot be read, or is more than text can say.
    """
    if isinstance(value, str):
        properties = list(properties_of(value))
    else:
        properties, zone = _properties_of_object(value, zone)
    starts = [part for part in properties if part.name == "DTSTART"]
    if len(starts) > 1:
        raise unreadable(value, "it has more than one DTSTART")
    if zone is None and starts:
        zone = "UTC" if starts[0].value.upper().endswith("Z") else starts[0].tzid
    name = zone_name(zone)
    lines = [_on_the_clock(part, zone_called(name)) for part in properties]
    if not any(line.startswith(("RRULE", "RDATE")) for line in lines):
        raise unreadable(value, "it has neither RRULE nor RDATE")
    return " ".join(sorted(lines, key=lambda line: ORDER.index(line.partition(":")[0]))), name


def properties_of(text: str) -> Iterator[Property]:
    """Read the lines of a text; folded ones are joined, as RFC 5545 has it."""
    for line in re.sub(r"\r?\n[ \t]", "", text.strip()).split():
        match = PROPERTY.fullmatch(line)
        name = (match[1] or "RRULE").upper() if match else ""
        if match is None or name not in ORDER:
            raise unreadable(text, f"{line!r} is none of {', '.join(ORDER)}")
        parameters = (
            [parameter for parameter in match[2].split(";") if parameter] if match[2] else []
        )
        tzid = None
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.upper() == "TZID":
                tzid = value
            elif parameter.upper() not in ("VALUE=DATE", "VALUE=DATE-TIME"):
                raise unreadable(text, f"{parameter!r} is not supported")
        yield Property(name, match[3].upper(), tzid)


def parts_of(rule: str) -> dict[str, str]:
    """Return the parts of one rule: ``FREQ=DAILY;INTERVAL=2`` as a mapping.

    Raises:
        InvalidOptionError: A part is missing, given twice, or would never let dateutil return.
    """
    parts: dict[str, str] = {}
    for part in rule.strip(";").split(";"):
        key, _, value = part.partition("=")
        key = "BYDAY" if key == "BYWEEKDAY" else key
        if not value or key in parts:
            raise unreadable(rule, f"{part!r} is empty or there twice")
        parts[key] = value
    if parts.get("FREQ") not in words.FREQUENCIES:
        raise unreadable(rule, f"FREQ has to be one of {', '.join(words.FREQUENCIES)}")
    interval = parts.get("INTERVAL", "1")
    if not interval.isdecimal() or int(interval) == 0:
        raise unreadable(rule, "INTERVAL has to be 1 or more")
    if any("0" in parts.get(key, "").split(",") for key in COUNTED_FROM_ONE):
        raise unreadable(rule, f"{', '.join(COUNTED_FROM_ONE)} count from 1, or from -1 backwards")
    if "COUNT" in parts and "UNTIL" in parts:
        raise unreadable(rule, "COUNT and UNTIL exclude each other")
    return parts


def written(parts: dict[str, str]) -> str:
    """Return the rule that has these parts."""
    return ";".join(f"{key}={value}" for key, value in parts.items())


def moment_in(text: str, zone: tzinfo | None = None) -> datetime:
    """Read ``20260131`` or ``20260131T090000`` as a naive time, ``...Z`` on the clock of a zone."""
    match = MOMENT.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        moment = datetime(*(int(group or 0) for group in match.groups()[:6]))  # type: ignore[arg-type]  # noqa: DTZ001
    except ValueError as error:
        raise unreadable(text, "a time is written as 20260131T090000, with Z for UTC") from error
    if match[7] and zone is not None:
        return wall_time(moment.replace(tzinfo=timezone.utc), zone)
    return moment


def compact(moment: datetime) -> str:
    """Return a naive time as RFC 5545 writes it; the year has four digits on every system."""
    return moment.replace(microsecond=0).isoformat().replace("-", "").replace(":", "")


def unreadable(value: Any, reason: str) -> InvalidOptionError:
    """Return the error about a recurrence that cannot be used."""
    return InvalidOptionError(
        f"recurrence {value!r} cannot be used: {reason}; write it as in RFC 5545, such as "
        '"FREQ=MONTHLY;BYDAY=-1FR", or as a dateutil rrule with a start in a ZoneInfo or none'
    )


def _on_the_clock(part: Property, zone: tzinfo) -> str:
    """Return a property with its times as the zone's clock shows them."""
    if part.name in ("RRULE", "EXRULE"):
        parts = parts_of(part.value)
        if "UNTIL" in parts:
            parts["UNTIL"] = compact(moment_in(parts["UNTIL"], zone))
        return str(Property(part.name, written(parts)))
    moments = [moment_in(text, zone) for text in part.value.split(",")]
    if part.tzid is not None:
        own = zone_called(part.tzid)
        moments = [wall_time(moment.replace(tzinfo=own), zone) for moment in moments]
    return str(Property(part.name, ",".join(map(compact, moments))))


def _properties_of_object(value: Any, zone: Any) -> tuple[list[Property], Any]:
    """Return the properties of a dateutil object, on the clock of its zone, and the zone.

    dateutil writes its rules as text without their zones, and its sets not at all. The attributes
    read here have no public names; pickled rules depend on them.
    """
    is_set = hasattr(value, "_rrule")
    rules, but_rules = (value._rrule, value._exrule) if is_set else ([value], [])
    dates, but_dates = (value._rdate, value._exdate) if is_set else ([], [])
    moments = [*(rule._dtstart for rule in (*rules, *but_rules)), *dates, *but_dates]
    if zone is None:
        zone = next((moment.tzinfo for moment in moments if moment.tzinfo is not None), None)
    clock = zone_called(zone_name(zone))
    lines = [line for rule in rules for line in _lines_of(rule, clock)]
    lines += [
        line.replace("RRULE:", "EXRULE:") for rule in but_rules for line in _lines_of(rule, clock)
    ]
    lines += [f"RDATE:{compact(_shown(moment, clock))}" for moment in dates]
    lines += [f"EXDATE:{compact(_shown(moment, clock))}" for moment in but_dates]
    once: Iterable[str] = dict.fromkeys(lines)
    return list(properties_of("\n".join(once))), zone


def _lines_of(rule: Any, clock: tzinfo) -> list[str]:
    until = rule._until and _shown(rule._until, clock)
    shown: str = str(rule.replace(dtstart=_shown(rule._dtstart, clock), until=until))
    return shown.splitlines()


def _shown(moment: datetime, clock: tzinfo) -> datetime:
    return moment if moment.tzinfo is None else wall_time(moment, clock)
