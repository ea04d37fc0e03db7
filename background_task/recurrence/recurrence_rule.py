"""Repetition by a recurrence rule of RFC 5545, the rules of calendars."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import MAXYEAR, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidOptionError
from . import words
from .rrule_text import compact, moment_in, parts_of, plain, properties_of, unreadable, written
from .rule import Rule
from .zone import at_every_reading, at_fixed_times, wall_time, zone_called

if TYPE_CHECKING:
    from dateutil.rrule import rrule, rruleset

WITHIN_DAYS = {
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}
FIXED_STEPS = {"WEEKLY": timedelta(weeks=1), "DAILY": timedelta(days=1), **WITHIN_DAYS}
MONTHS_IN_STEP = {"YEARLY": 12, "MONTHLY": 1}
DATE_PARTS = ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYDAY", "BYEASTER")
# A set of which nothing is left for so long is over: 29 February is a Monday every 40 years.
SEARCHED = timedelta(days=50 * 366)
# The calendar repeats itself after 400 years, and dateutil stops looking at the end of 9999.
LAST_CYCLE = datetime(MAXYEAR - 400, 1, 1)  # noqa: DTZ001 - the clock on the wall
REFERENCE = datetime(2000, 1, 1)  # noqa: DTZ001 - the clock on the wall


@dataclass(frozen=True, slots=True)
class RecurrenceRule(Rule):
    """An RFC 5545 rule, or a set of rules and dates, on the clock of a zone.

    When the clocks are changed: what names times of the day is run once for each, at the moment
    the clocks are put forward if they skip the time, at the first if they show it twice. If all
    rules are ``HOURLY``, ``MINUTELY`` or ``SECONDLY`` and without ``BYHOUR``, they follow the
    running clock: run each time it shows the time, so twice in the repeated hour, and not in the
    lost one. ``COUNT`` counts readings of the clock.

    Make it with `RecurrenceRule.of`.

    Args:
        text: Properties between single spaces, all times as the zone's clock shows them.
        zone: Name of the time zone whose clock is meant.
    """

    text: str
    zone: str

    @classmethod
    def of(cls, value: Any, zone: Any = None) -> RecurrenceRule:
        """Return the rule of an RFC 5545 text or of a dateutil ``rrule`` or ``rruleset``.

        Args:
            value: The text or object. Without ``DTSTART``, the start of the chain is meant. (An
                ``rrule`` always has one: the moment at which it was made, unless it was given.)
            zone: The zone; None takes that of ``DTSTART``, and if it has none, the project's.

        Raises:
            InvalidOptionError: It cannot be read, has no occurrence, or the zone is unknown.
            InvalidOptionTypeError: The zone is of a type that cannot work.
        """
        return cls(*plain(value, zone))._checked()

    def anchored(self, start: datetime) -> RecurrenceRule:
        """Return this rule with ``start`` as its ``DTSTART``, unless it has one."""
        if self._start() is not None:
            return self
        shown = compact(wall_time(start, zone_called(self.zone)))
        return replace(self, text=f"DTSTART:{shown} {self.text}")._checked()

    def _after(self, moment: datetime, *, start: datetime) -> datetime | None:
        zone = zone_called(self.zone)
        anchor = (self._start() or wall_time(start, zone)).replace(microsecond=0)
        rules = [parts_of(part.value) for part in properties_of(self.text) if part.name == "RRULE"]
        runs_on = rules and all(
            parts["FREQ"] in WITHIN_DAYS and "BYHOUR" not in parts for parts in rules
        )
        follow = at_every_reading if runs_on else at_fixed_times
        return follow(lambda wall: self._first(wall, anchor), zone, after=moment)

    def _start(self) -> datetime | None:
        name, _, value = self.text.partition(" ")[0].partition(":")
        return moment_in(value) if name == "DTSTART" else None

    def _first(self, wall: datetime, anchor: datetime) -> datetime | None:
        return self._near(wall, anchor).after(wall, inc=True)

    def _near(self, wall: datetime, anchor: datetime) -> rruleset:
        """Return a set that has the right occurrences from a wall time on, and few before it."""
        from dateutil.rrule import rruleset

        near = rruleset()
        for part in properties_of(self.text):
            if part.name == "RRULE":
                near.rrule(_near(parts_of(part.value), wall, anchor))
            elif part.name == "EXRULE":
                near.exrule(_near(parts_of(part.value), wall, anchor))
            elif part.name == "RDATE":
                for text in part.value.split(","):
                    near.rdate(moment_in(text))
            elif part.name == "EXDATE":
                for text in part.value.split(","):
                    near.exdate(moment_in(text))
        return near

    def _checked(self) -> RecurrenceRule:
        """Return this rule, or raise if it says nothing that dateutil can use.

        An end does not count here: a rule may have come to its end. Nor do steps count before the
        start is known, for they may lead past all the hours that are asked for.
        """
        start = self._start()
        anchor = start or REFERENCE
        ignored = {"COUNT", "UNTIL"} if start else {"COUNT", "UNTIL", "INTERVAL"}
        properties = list(properties_of(self.text))
        try:
            for part in properties:
                if part.name in ("RRULE", "EXRULE"):
                    parts = parts_of(part.value)
                    endless = {key: parts[key] for key in parts if key not in ignored}
                    rule = _near(endless, anchor, anchor)
                    if part.name == "RRULE" and not (_has_date(parts) and next(iter(rule), None)):
                        raise unreadable(self.text, "it has no occurrence")
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            if isinstance(error, InvalidOptionError):
                raise
            raise unreadable(self.text, str(error)) from error
        return self

    def __str__(self) -> str:
        return f"rrule {self.zone} {self.text}"

    def in_words(self) -> str:
        """Return the rule as a phrase for people."""
        properties = [part for part in properties_of(self.text) if part.name != "DTSTART"]
        phrase = None
        if [part.name for part in properties] == ["RRULE"]:
            phrase = words.of_rrule(parts_of(properties[0].value))
        if phrase is None:
            phrase = f'by the rule "{" ".join(map(str, properties))}"'
        return f"{phrase} ({words.of_zone(self.zone)})"


def _has_date(parts: dict[str, str]) -> bool:
    """Say whether a day exists that a rule of days or less can mean; sooner than dateutil would."""
    from dateutil.rrule import rrulestr

    dates = {key: parts[key] for key in DATE_PARTS if key in parts}
    if parts["FREQ"] not in FIXED_STEPS or not dates:
        return True
    if "BYDAY" in dates:  # numbered weekdays are for months and years; else dateutil drops numbers
        dates["BYDAY"] = ",".join(day[-2:] for day in parts["BYDAY"].split(","))
    yearly = rrulestr(written({"FREQ": "YEARLY", **dates}), dtstart=LAST_CYCLE)
    return next(iter(yearly), None) is not None


def _near(parts: dict[str, str], wall: datetime, anchor: datetime) -> rrule:
    """Return a rule with its start moved close to a wall time, by whole steps.

    dateutil counts from the start, which would take it years for a rule of seconds. A rule with
    ``COUNT`` has to be counted; the others are also given an end, for dateutil goes on until the
    year 9999 with rules of which a set leaves nothing over.
    """
    from dateutil.rrule import rrulestr

    if "COUNT" not in parts:
        interval, frequency = int(parts.get("INTERVAL", "1")), parts["FREQ"]
        if frequency in FIXED_STEPS:
            step = interval * FIXED_STEPS[frequency]
            anchor += step * max(0, (wall - anchor) // step - 2)
            parts = _searched(parts, max(wall, anchor), step)
        elif anchor.day <= 28:  # each month has the day
            anchor = _later_by_months(anchor, wall, interval * MONTHS_IN_STEP[frequency])
    # A text of one rule is never read as a set.
    return rrulestr(written(parts), dtstart=anchor)  # type: ignore[return-value]


def _searched(parts: dict[str, str], position: datetime, step: timedelta) -> dict[str, str]:
    horizon = datetime(MAXYEAR, 12, 31, 23, 59, 59)  # noqa: DTZ001 - the clock on the wall
    with suppress(OverflowError):
        horizon = min(horizon, position + SEARCHED + 2 * step)
    until = moment_in(parts["UNTIL"]) if "UNTIL" in parts else horizon
    return {**parts, "UNTIL": compact(min(until, horizon))}


def _later_by_months(anchor: datetime, wall: datetime, months: int) -> datetime:
    passed = (wall.year - anchor.year) * 12 + wall.month - anchor.month
    years, month = divmod(anchor.month - 1 + months * max(0, passed // months - 2), 12)
    return anchor.replace(year=anchor.year + years, month=month + 1)
