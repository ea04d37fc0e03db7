"""How many runs there may be: the options of a limit, and which runs share it."""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias, TypedDict, cast

from .call import Parameters
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, duration_of, number_of

#: How people write a rate: ``"100/m"``, ``"5/30s"``, or a pair of a number and a duration.
RateLimitLike: TypeAlias = "str | tuple[int, float | timedelta]"
#: How they write what shares a limit: a template such as ``"account:{0}"``, or a function.
KeyLike: TypeAlias = "str | Callable[..., str]"

#: One row is kept for each start within the period, and read for each that is to follow.
MOST_STARTS = 100_000
SHORTEST_PERIOD, LONGEST_PERIOD = timedelta(milliseconds=1), timedelta(days=366)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
RATE = re.compile(
    r"(\d{1,9})\s*/\s*(\d{0,9})\s*(s|m|h|d|(?:sec|second|min|minute|hour|day)s?)", re.ASCII
)
RATE_REMEDY = "use '100/m', '5/30s' (s, m, h or d), or a pair such as (5, 30)"


class LimitOptions(TypedDict, total=False):
    """The options as people write them, beside those of a policy. None leaves one as it was."""

    concurrency_key: KeyLike | None


LIMIT_OPTIONS = tuple(LimitOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most so many starts in any period of this length.

    Attributes:
        starts: From 1.
        period: From a millisecond to 366 days.
    """

    starts: int
    period: timedelta

    @classmethod
    def make(cls, value: Any) -> RateLimit:
        """Return the limit that people have written, or that ``str`` has.

        Raises:
            InvalidOptionTypeError: It is neither a text nor a pair.
            InvalidOptionError: It cannot be read, or is out of range.
        """
        if isinstance(value, RateLimit):
            return value
        if isinstance(value, str):
            found = RATE.fullmatch(value.strip())
            if found is None:
                raise InvalidOptionError(f"rate_limit {brief(value)} is no rate; {RATE_REMEDY}")
            number, length, unit = found.groups()
            starts, seconds = int(number), int(length or 1) * UNITS[unit[0]]
            period = duration_of(seconds, what="rate_limit")
        elif isinstance(value, tuple | list) and len(value) == 2:
            starts, period = _whole(value[0], value), duration_of(value[1], what="rate_limit")
        else:
            raise InvalidOptionTypeError(
                f"rate_limit {brief(value)} is of type {type(value).__name__}; {RATE_REMEDY}"
            )
        if not (1 <= starts <= MOST_STARTS and SHORTEST_PERIOD <= period <= LONGEST_PERIOD):
            raise InvalidOptionError(
                f"rate_limit {brief(value)} is out of range; use 1 to {MOST_STARTS} starts in "
                "0.001 seconds to 366 days"
            )
        return cls(starts, period)

    def to_json(self) -> list[float]:
        """Return what ``make`` reads, for JSON."""
        return [self.starts, self.period.total_seconds()]

    def __str__(self) -> str:
        return f"{self.starts} in {self.period.total_seconds():g} s"


def max_concurrency(value: Any) -> int:
    """Return how many may run at once, checked.

    Raises:
        InvalidOptionTypeError: It is no whole number.
        InvalidOptionError: It is out of range.
    """
    remedy = "use 1 or more (to let none run, pause the function)"
    return number_of(value, what="max_concurrency", most=2**31 - 1, remedy=remedy)


@dataclass(frozen=True, slots=True)
class LimitKey:
    """Which runs count together.

    Attributes:
        by: A template for ``str.format`` with the call's arguments by place and by name, or a
            function of them; None counts all runs of the function.
    """

    by: KeyLike | None = None

    @classmethod
    def make(
        cls, given: Any, *, of: Parameters, is_limited: bool, earlier: LimitKey | None = None
    ) -> LimitKey | None:
        """Return which runs count together; None if there is no limit.

        Args:
            given: ``concurrency_key`` as people write it; None leaves it as it was.
            of: What the function takes.
            is_limited: Whether there is a limit.
            earlier: What was given before.

        Raises:
            InvalidOptionTypeError: It is neither a text nor a function.
            InvalidOptionError: It names what the function does not take, or has no effect.
        """
        if given is not None and not is_limited:
            raise InvalidOptionError(
                "concurrency_key has no effect alone; add max_concurrency or rate_limit, or "
                "leave it out"
            )
        if given is not None:
            return cls(_check_key(given, of))
        return (earlier or cls()) if is_limited else None

    def text(self, of: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the key of a call as people read it.

        Raises:
            InvalidOptionTypeError: The function for it returned no text.
            InvalidOptionError: The template does not fit these arguments.
        """
        if self.by is None:
            return of_function(of.name)
        if callable(self.by):
            key = self.by(*args, **kwargs)
            if not isinstance(key, str):
                raise InvalidOptionTypeError(
                    f"concurrency_key of {of.name} returned a value of type {type(key).__name__}; "
                    "return a text"
                )
            return f"key {key}"
        named = of.named(args, kwargs)
        try:
            if named is None:
                return "key " + self.by.format(*args, **kwargs)
            places = [named[name] for name in of.names or () if name in named]
            return "key " + self.by.format(*places, **named)
        except (LookupError, AttributeError, ValueError, TypeError) as error:
            raise InvalidOptionError(
                f"concurrency_key {brief(self.by)} of {of.name} does not fit the arguments: "
                f"{error!r}; name what every call gives"
            ) from error

    def key(self, of: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """Return the key of a call as it is stored, always as long; raises as ``text``."""
        return hashed(self.text(of, args, kwargs))


def of_function(name: str) -> str:
    """Return the key of all runs of a function, as people read it."""
    return f"function {name}"


def hashed(text: str) -> str:
    """Return a key as it is stored."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_key(given: Any, of: Parameters) -> KeyLike:
    if not isinstance(given, str):
        if callable(given):
            return cast("Callable[..., str]", given)
        raise InvalidOptionTypeError(
            f"concurrency_key {brief(given)} is of type {type(given).__name__}; use a template "
            "such as 'account:{0}', or a function of the call's arguments"
        )
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(given) if name is not None]
    except ValueError as error:
        raise InvalidOptionError(
            f"concurrency_key {brief(given)} is no template: {error}; write {{{{ for a brace"
        ) from None
    names = of.names
    if names is None:
        return given
    for field in fields:
        first = re.split(r"[.\[]", field, maxsplit=1)[0]
        is_place = not first or first.isdecimal()
        if int(first or 0) >= len(names) if is_place else first not in names:
            raise InvalidOptionError(
                f"concurrency_key {brief(given)} names {first!r}, which {of.name} does not take; "
                f"it takes {', '.join(names) or 'nothing'}"
            )
    return given


def _whole(number: Any, value: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise InvalidOptionTypeError(
            f"rate_limit {brief(value)} begins with {brief(number)}; {RATE_REMEDY}"
        )
    return number
