"""How long finished tasks are kept: for ever, or for a time, which may depend on the task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, duration_of

#: The key of a mapping that stands for all functions that it does not name.
OTHERS = "*"
#: Whoever wants nothing kept would never see how a task has ended.
SHORTEST = timedelta(seconds=1)
#: Units of a duration text, from long to short, and what people read.
UNITS = {
    "w": (timedelta(weeks=1), "week"),
    "d": (timedelta(days=1), "day"),
    "h": (timedelta(hours=1), "hour"),
    "m": (timedelta(minutes=1), "minute"),
    "s": (timedelta(seconds=1), "second"),
}
TEXT = re.compile(r"\s*".join(rf"(?:(?P<{unit}>\d{{1,9}})\s*{unit})?" for unit in UNITS), re.ASCII)
REMEDY = 'use a timedelta, seconds, or text such as "30d", "2w" or "1h30m"'


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished tasks are kept.

    Attributes:
        common: How long where the function is not named; None means for ever.
        by_name: Likewise for functions by their names.
    """

    common: timedelta | None = None
    by_name: Mapping[str, timedelta | None] = field(default_factory=dict)

    @classmethod
    def make(cls, value: Any, *, what: str = "retain") -> Retention:
        """Return the retention that a value of a setting stands for.

        Args:
            value: A ``timedelta``, seconds, or text such as ``"30d"``, ``"2w"`` or ``"1h30m"``;
                None for ever; or a mapping from the names of functions to one of these, in which
                ``"*"`` stands for all others. What it does not name is kept for ever.
            what: What messages call the value.

        Raises:
            InvalidOptionTypeError: It is nothing of the kind.
            InvalidOptionError: It is, but it is no length of time, or below a second.
        """
        if isinstance(value, Retention):
            return value
        if not isinstance(value, Mapping):
            return cls(_span_or_none(value, what=what))
        by_name: dict[str, timedelta | None] = {}
        for name, span in value.items():
            if not isinstance(name, str) or not name:
                raise InvalidOptionTypeError(
                    f"{what} has the key {brief(name)}; use names of task functions, and "
                    f"{OTHERS!r} for all others"
                )
            by_name[name] = _span_or_none(span, what=f"{what}[{brief(name)}]")
        return cls(by_name.pop(OTHERS, None), by_name)

    def of(self, task_name: str) -> timedelta | None:
        """Return how long a function's finished tasks are kept; None for ever."""
        return self.by_name.get(task_name, self.common)

    def spans(self) -> set[timedelta]:
        """Return all lengths of time that occur."""
        return {span for span in (self.common, *self.by_name.values()) if span is not None}

    def in_words(self) -> str:
        """Return it for people to read."""
        common = "for ever" if self.common is None else f"for {in_words(self.common)}"
        apart = sum(span != self.common for span in self.by_name.values())
        if not apart:
            return common
        return f"{common}, but those of {apart} function{'s' if apart > 1 else ''} for another time"


@dataclass(frozen=True, slots=True)
class Keeping:
    """Which retention counts for which row.

    Attributes:
        common: For rows of ``@background``, and of backends that say nothing.
        by_backend: For rows of other backends, by their aliases.
    """

    common: Retention
    by_backend: Mapping[str, Retention] = field(default_factory=dict)

    def of(self, task_name: str, backend: str | None) -> timedelta | None:
        """Return how long a finished row is kept; None for ever."""
        own = None if backend is None else self.by_backend.get(backend)
        return (own or self.common).of(task_name)

    def spans(self) -> list[timedelta]:
        """Return all lengths of time that occur, the shortest first."""
        return sorted(set().union(*(each.spans() for each in self._all())))

    def longest(self) -> timedelta | None:
        """Return after which time no finished row is kept; None if some are kept for ever."""
        is_open = any(None in (each.common, *each.by_name.values()) for each in self._all())
        return None if is_open else max(self.spans())

    def _all(self) -> Iterator[Retention]:
        yield self.common
        yield from self.by_backend.values()


def span_of(value: Any, *, what: str) -> timedelta:
    """Return a length of time given as a ``timedelta``, as seconds or as text, or raise.

    Raises:
        InvalidOptionTypeError: It is nothing of the kind.
        InvalidOptionError: The text or the number is no length of time, or negative.
    """
    span = _read(value, what=what) if isinstance(value, str) else None
    if span is None:
        try:
            span = duration_of(value, what=what)
        except InvalidOptionTypeError:
            raise InvalidOptionTypeError(
                f"{what} {brief(value)} is of type {type(value).__name__}; {REMEDY}"
            ) from None
    if span < timedelta(0):
        raise InvalidOptionError(f"{what} {brief(value)} is negative; {REMEDY}")
    return span


def in_words(span: timedelta) -> str:
    """Return a length of time for people to read."""
    parts, left = [], span
    for unit, name in list(UNITS.values())[1:]:
        count, left = divmod(left, unit)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts) or f"{span.total_seconds():g} seconds"


def before(now: datetime, span: timedelta) -> datetime | None:
    """Return the moment so long ago; None if that is before all calendars."""
    try:
        return now - span
    except OverflowError:
        return None


def _span_or_none(value: Any, *, what: str) -> timedelta | None:
    if value is None:
        return None
    if isinstance(value, Mapping):
        raise InvalidOptionTypeError(f"{what} {brief(value)} is a mapping in a mapping; {REMEDY}")
    span = span_of(value, what=what)
    if span < SHORTEST:
        raise InvalidOptionError(
            f"{what} {brief(value)} is below a second, so nobody would see how a task has ended; "
            f"{REMEDY}, or None to keep all for ever"
        )
    return span


def _read(text: str, *, what: str) -> timedelta:
    match = TEXT.fullmatch(text.strip())
    counts = {} if match is None else {u: int(n) for u, n in match.groupdict().items() if n}
    try:
        if counts:
            return sum((UNITS[unit][0] * count for unit, count in counts.items()), timedelta(0))
    except OverflowError:
        pass
    raise InvalidOptionError(
        f"{what} {brief(text)} is no length of time; {REMEDY}: whole numbers with the units "
        "w, d, h, m and s, from long to short"
    )
