"""Repetition by a crontab line."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..exceptions import InvalidOptionError
from . import words
from .rule import Rule
from .zone import SECOND, at_every_reading, at_fixed_times, zone_called, zone_name

if TYPE_CHECKING:
    from cronsim import CronSim

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
# Minute, hour, day of the month, month, day of the week. `~` draws no day that a month may lack.
DRAWN_FROM = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 6))
ALLOWED = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
RANDOM = re.compile(r"(\d*)~(\d*)(?:/(\d+))?")


@dataclass(frozen=True, slots=True)
class Crontab(Rule):
    """The five fields of a crontab line, on the clock of a zone.

    When the clocks are changed, as with Debian's cron. A line whose minute and hour both name
    times (neither begins with ``*``) is run once for each: at the moment the clocks are put
    forward if they skip the time, at the first if they show it twice. Any other line follows the
    running clock: it is run each time the clock shows the time, so twice in the repeated hour, and
    not in the lost one.

    Make it with `Crontab.of`.

    Args:
        expression: The fields in capitals, one space between them, without random values.
        zone: Name of the time zone whose clock is meant.
    """

    expression: str
    zone: str

    @classmethod
    def of(cls, line: str, zone: Any = None, *, key: str = "") -> Crontab:
        """Return the rule of a crontab line, in the project's ``TIME_ZONE`` unless one is given.

        Args:
            line: Five fields of numbers, names (``MON``, ``JAN``), lists, ranges and steps, or
                ``@hourly``, ``@daily``, ``@midnight``, ``@weekly``, ``@monthly``, ``@yearly``,
                ``@annually``. Also ``L`` (the last day of the month), ``LW`` (its last working
                day), ``5L`` (its last Friday), ``MON#2`` (its second Monday). ``~`` is a random
                value of its field, ``a~b`` one from a to b, ``~/15`` a random start of steps.
            zone: An IANA name, a ``ZoneInfo``, or None.
            key: What random values are drawn from, such as a task's name. The same key and line
                give the same values everywhere.

        Raises:
            InvalidOptionError: The line cannot be read or never matches, the zone is unknown, or
                cronsim is not installed.
            InvalidOptionTypeError: The zone is of a type that cannot work.
        """
        fields = NICKNAMES.get(line.strip().lower(), line).upper().split()
        if len(fields) != len(ALLOWED):
            raise InvalidOptionError(
                f"crontab {line!r} has {len(fields)} fields; use five (minute, hour, day of the "
                f"month, month, day of the week) or one of {', '.join(NICKNAMES)}"
            )
        drawn = [_drawn(field, index, key) for index, field in enumerate(fields)]
        rule = cls(" ".join(drawn), zone_name(zone))
        if rule._first(datetime(2000, 1, 1)) is None:  # noqa: DTZ001 - the clock on the wall
            raise InvalidOptionError(f"crontab {line!r} never matches; name days that exist")
        return rule

    def _after(self, moment: datetime, *, start: datetime) -> datetime | None:
        minute, hour = self.expression.split()[:2]
        has_stars = minute.startswith("*") or hour.startswith("*")
        follow = at_every_reading if has_stars else at_fixed_times
        return follow(self._first, zone_called(self.zone), after=moment)

    def _first(self, wall: datetime) -> datetime | None:
        whole = wall if wall.microsecond == 0 else wall.replace(microsecond=0) + SECOND
        return next(self._parsed(whole - SECOND), None)

    def _parsed(self, wall: datetime) -> CronSim:
        """Return an iterator over the readings later than a wall time."""
        try:
            from cronsim import CronSim, CronSimError
        except ImportError as error:
            raise InvalidOptionError(
                f"crontab {self.expression!r} needs cronsim, which is not installed; "
                'pip install "django-background-tasks[cron]"'
            ) from error
        try:
            return CronSim(self.expression, wall)
        except CronSimError as error:
            raise InvalidOptionError(
                f"crontab {self.expression!r} cannot be read: {error}; write it as in crontab(5), "
                'such as "30 3 * * 1-5" for 3:30 on working days'
            ) from error

    def __str__(self) -> str:
        return f"cron {self.expression} {self.zone}"

    def in_words(self) -> str:
        """Return the rule as a phrase for people."""
        explain = getattr(self._parsed(datetime(2000, 1, 1)), "explain", None)  # noqa: DTZ001
        phrase = explain() if explain else f'by the crontab line "{self.expression}"'
        return f"{phrase[0].lower()}{phrase[1:]} ({words.of_zone(self.zone)})"


def _drawn(field: str, index: int, key: str) -> str:
    """Return a field with its random values replaced by drawn ones."""
    terms = field.split(",")
    for position, term in enumerate(terms):
        if "~" in term:
            terms[position] = _drawn_term(term, index, f"{key}:{index}:{position}")
    return ",".join(terms)


def _drawn_term(term: str, index: int, key: str) -> str:
    match = RANDOM.fullmatch(term)
    low, high = DRAWN_FROM[index]
    if match:
        low, high = int(match[1] or low), int(match[2] or high)
    lowest, highest = ALLOWED[index]
    step = int(match[3] or 0) if match else 0
    if not match or not lowest <= low <= high <= highest or (step == 0 and match[3]):
        raise InvalidOptionError(
            f"crontab field {term!r} cannot be read; use ~ for any random value, or a~b for one "
            f"from a to b, within {lowest} and {highest}"
        )
    count = min(step, high - low + 1) if step else high - low + 1
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    first = low + int.from_bytes(digest[:8], "big") % count
    return ",".join(map(str, range(first, high + 1, step))) if step else str(first)
