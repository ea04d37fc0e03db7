"""Numbers, durations and moments as people read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

#: Stands where there is nothing to be told.
NOTHING = "–"  # noqa: RUF001 - it is meant to be a dash
UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
PREFIXES = ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))
#: From here on a count is in words shorter than in digits.
LONG_COUNT = 10**15


@dataclass(frozen=True, slots=True)
class Moment:
    """A time to be shown.

    Attributes:
        text: Short, in the project's time zone.
        full: With the date and the zone.
        iso: For machines.
    """

    text: str
    full: str
    iso: str


def local(at: datetime) -> datetime:
    """Return an aware time by the clocks of the project's time zone."""
    return at.astimezone(timezone.get_current_timezone())


def moment(at: datetime, *, now: datetime) -> Moment:
    """Return an aware time as people read it; the date is left out if it is today's."""
    here, today = local(at), local(now)
    form = "%H:%M:%S"
    if here.date() != today.date():
        form = "%d %b, %H:%M" if here.year == today.year else "%d %b %Y, %H:%M"
    return Moment(f"{here:{form}}", f"{here:%Y-%m-%d %H:%M:%S %Z}".rstrip(), at.isoformat())


def duration(seconds: float | None) -> str:
    """Return a duration: two units at most, and never more digits than matter."""
    if seconds is None:
        return NOTHING
    seconds = max(seconds, 0.0)
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.0005 else "0 s"
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    return _in_units(round(seconds))


def brief(seconds: float) -> str:
    """Return a duration in one unit, for an axis, where little is to be read."""
    if seconds < 1:
        return f"{seconds * 1000:g} ms"
    size, unit = next((size, unit) for size, unit in UNITS if seconds >= size)
    return f"{short(seconds / size)} {unit}"


def _in_units(seconds: int) -> str:
    if seconds < 60:
        return f"{seconds} s"
    place = next(place for place, (size, _) in enumerate(UNITS) if seconds >= size)
    size, unit = UNITS[place]
    whole, rest = divmod(seconds, size)
    smaller, smaller_unit = UNITS[place + 1]
    second = rest // smaller
    if whole >= 10 or second == 0:
        return f"{count(whole)} {unit}"
    return f"{whole} {unit} {second} {smaller_unit}"


def count(number: int, *, is_more: bool = False) -> str:
    """Return a number in digits; ``is_more`` says that counting stopped there."""
    if number >= LONG_COUNT:
        return short(number)
    return f"{number:,}" + ("+" if is_more else "")


def short(number: float) -> str:
    """Return a number with a prefix, for an axis."""
    for size, prefix in PREFIXES:
        if number >= size:
            scaled = number / size
            return (
                f"{scaled:.1f}".removesuffix(".0") if scaled < 100 else f"{scaled:.3g}"
            ) + prefix
    return f"{number:g}"


def share(part: float) -> str:
    """Return a part, from 0 to 1, in percent; some is never shown as none, nor as all."""
    if part <= 0:
        return "0%"
    if part < 0.001:
        return "<0.1%"
    if 0.999 < part < 1:
        return ">99.9%"
    percent = part * 100
    return (f"{percent:.1f}".removesuffix(".0") if percent < 9.95 else f"{percent:.0f}") + "%"


def rate(number: int, seconds: float) -> str:
    """Return how often something happens, by the unit that gives a readable number."""
    if not number or seconds <= 0:
        return "0 a minute"
    for unit, size in (("a second", 1), ("a minute", 60), ("an hour", 3600), ("a day", 86_400)):
        often = number / seconds * size
        if often >= 1:
            return f"{_rounded(often)} {unit}"
    return f"{_rounded(number / seconds * 604_800)} a week"


def _rounded(often: float) -> str:
    return f"{often:.1f}".removesuffix(".0") if often < 10 else count(round(often))


def memory(number: int | None) -> str:
    """Return an amount of memory."""
    if number is None:
        return NOTHING
    mebibytes = number / 2**20
    return f"{mebibytes:,.0f} MiB" if mebibytes < 1024 else f"{mebibytes / 1024:,.1f} GiB"
