"""Time zones by name, and the moments at which their clocks read what a rule asks for.

A rule that means the clock on the wall is worked out in plain wall time, as a function that
returns its first reading at or after another. What becomes of it where the clock is changed is
decided here, once for all kinds of rules, in one of two ways:

* `at_fixed_times`, for "at 2:30". A reading that the clock skips happens when it has skipped it; a
  reading that it shows twice happens the first time. As cron does it for lines with a fixed time.
* `at_every_reading`, for "every 15 minutes". It happens whenever the clock shows the reading:
  twice when the hour is repeated, not at all when it is skipped. So the runs keep their distance.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from ..exceptions import InvalidOptionError, InvalidOptionTypeError

UTC = timezone.utc
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Readings = Callable[[datetime], datetime | None]
"""Takes a wall time and returns the first reading at or after it, or None; both are naive."""


def zone_name(zone: Any = None) -> str:
    """Return the IANA name of a zone; None means the project's ``TIME_ZONE``.

    Raises:
        InvalidOptionTypeError: Neither a name, a ``ZoneInfo``, UTC nor None.
        InvalidOptionError: No zone of that name is known here.
    """
    if zone is None:
        zone = settings.TIME_ZONE
    if isinstance(zone, tzinfo):
        zone = _name_of(zone)
    if not isinstance(zone, str):
        raise InvalidOptionTypeError(
            f"time zone {zone!r} is of type {type(zone).__name__}; "
            'use a name such as "Europe/Berlin" or a ZoneInfo made from one'
        )
    zone_called(zone)
    return zone


def zone_called(name: str) -> ZoneInfo:
    """Return the zone of that name, or raise ``InvalidOptionError``."""
    try:
        if not name or name.split() != [name]:
            raise ValueError(name)
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        raise InvalidOptionError(
            f'time zone {name!r} is not known here; use an IANA name such as "Europe/Berlin", '
            "and install tzdata where the system has no time zones"
        ) from error


def wall_time(moment: datetime, zone: tzinfo) -> datetime:
    """Return what the clocks of a zone show at an aware moment, as a naive datetime."""
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def instant(moment: datetime) -> datetime:
    """Return a moment in UTC; a naive one is read by the clock of the project's ``TIME_ZONE``.

    Of a naive reading that the clock shows twice, the second is meant: what comes after it is then
    later by the clock, too, and a chain kept in naive times does not go back.
    """
    if moment.tzinfo is None:
        zone = zone_called(zone_name())
        return max(moment.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return moment.astimezone(UTC)


def at_fixed_times(readings: Readings, zone: tzinfo, *, after: datetime) -> datetime | None:
    """Return the first moment after another for a rule that names times of the day."""
    local = after.astimezone(zone)
    wall = local.replace(tzinfo=None, fold=0) + TICK
    if local.fold:  # all readings of the repeated hour have had their turn: go on behind it
        turned_back_at = _change(zone, local.replace(fold=0).astimezone(UTC), after)
        wall = wall_time(turned_back_at - SECOND, zone) + SECOND
    reading = readings(wall)
    return None if reading is None else _moment_of(reading, zone)


def at_every_reading(readings: Readings, zone: tzinfo, *, after: datetime) -> datetime | None:
    """Return the first moment after another for a rule that follows the running clock."""
    position = after + TICK
    while True:
        offset = _offset(zone, position)
        reading = readings(wall_time(position, zone))
        if reading is None:
            return None
        found = reading.replace(tzinfo=UTC) - offset
        horizon = min(found, position + DAY)
        if _offset(zone, horizon) != offset:
            changed_at = _change(zone, position, horizon)
            if found < changed_at:
                return found
            position = changed_at  # the clock was changed on the way: read it anew
        elif horizon == found:
            return found
        else:  # nothing for long: go on from the day before, for changes in between do not matter
            position = found - DAY


def _moment_of(reading: datetime, zone: tzinfo) -> datetime:
    first = reading.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if wall_time(first, zone) == reading:
        return first
    before_the_gap = reading.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return _change(zone, before_the_gap, first)


def _change(zone: tzinfo, before: datetime, later: datetime) -> datetime:
    """Return the first moment in (before, later] at which the zone's clock has been changed."""
    offset = _offset(zone, before)
    low = (before - _EPOCH) // SECOND
    high = -((_EPOCH - later) // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, _EPOCH + middle * SECOND) == offset:
            low = middle
        else:
            high = middle
    return _EPOCH + high * SECOND


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def _name_of(zone: tzinfo) -> Any:
    """Return a zone's name, or the zone itself when it has none that could be stored."""
    if isinstance(zone, ZoneInfo):
        return zone.key or zone
    return "UTC" if zone.utcoffset(None) == timedelta(0) else zone
