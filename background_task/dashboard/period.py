"""Which time a page is about, and how it is cut into pieces for charts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone as zones

from django.utils import timezone

#: Clocks of all zones differ from UTC by a multiple of this.
QUARTER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Period:
    """A time that people can choose.

    Attributes:
        name: What stands in the address.
        label: What people choose.
        words: How a sentence calls it.
        span: How long it is.
        step: How long each piece of it is in charts.
        per: How a title calls that.
        look: How long each piece is in charts of what workers look at once a minute or less.
        tick_minutes: At which minutes of the day the axis has a mark.
        refresh_seconds: How often the page asks for what is new.
    """

    name: str
    label: str
    words: str
    span: timedelta
    step: timedelta
    per: str
    look: timedelta
    tick_minutes: int
    refresh_seconds: int


HOUR = Period(
    name="1h",
    label="1 h",
    words="the last hour",
    span=timedelta(hours=1),
    step=timedelta(minutes=1),
    per="per minute",
    look=timedelta(minutes=2),
    tick_minutes=10,
    refresh_seconds=5,
)
DAY = Period(
    name="24h",
    label="24 h",
    words="the last 24 hours",
    span=timedelta(hours=24),
    step=timedelta(hours=1),
    per="per hour",
    look=timedelta(minutes=15),
    tick_minutes=240,
    refresh_seconds=10,
)
WEEK = Period(
    name="7d",
    label="7 d",
    words="the last 7 days",
    span=timedelta(days=7),
    step=timedelta(hours=2),
    per="per 2 hours",
    look=timedelta(hours=2),
    tick_minutes=1440,
    refresh_seconds=30,
)
PERIODS = (HOUR, DAY, WEEK)


def period_called(name: str | None) -> Period:
    """Return the period of that name; the shortest one for any other text."""
    return next((period for period in PERIODS if period.name == name), HOUR)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Pieces of equal length, of which the last one is not over yet.

    Attributes:
        start: The beginning of the first piece, in UTC; a whole number of pieces since 1970.
        step: The length of each.
        number: How many there are.
    """

    start: datetime
    step: timedelta
    number: int

    @classmethod
    def until(cls, now: datetime, *, span: timedelta, step: timedelta) -> Timeline:
        """Return the pieces that end with the one of ``now``, and reach back for the span."""
        epoch = datetime(1970, 1, 1, tzinfo=zones.utc)
        current = epoch + (now - epoch) // step * step
        number = span // step + 1
        return cls(current - (number - 1) * step, step, number)

    @property
    def end(self) -> datetime:
        """The end of the last piece."""
        return self.start + self.number * self.step

    @property
    def starts(self) -> list[datetime]:
        """The beginning of each piece."""
        return [self.start + place * self.step for place in range(self.number)]

    def place_of(self, at: datetime) -> int | None:
        """Return the number of the piece that a time is in; None if it is before the first one.

        A time after the end, from a clock that is ahead, is in the last piece.
        """
        place = (at - self.start) // self.step
        return min(place, self.number - 1) if place >= 0 else None

    def ticks(self, minutes: int) -> list[tuple[float, datetime]]:
        """Return the moments at which clocks here show whole multiples of so many minutes.

        Returns:
            Each with its place, from 0 for the start to 1 for the end.
        """
        zone = timezone.get_current_timezone()
        stride = min(QUARTER, timedelta(minutes=minutes))
        epoch = datetime(1970, 1, 1, tzinfo=zones.utc)
        at = epoch - (epoch - self.start) // stride * stride
        found = []
        while at < self.end:
            local = at.astimezone(zone)
            if at >= self.start and (local.hour * 60 + local.minute) % minutes == 0:
                found.append(((at - self.start) / (self.end - self.start), at))
            at += stride
        return found
