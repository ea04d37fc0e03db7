"""How long a failed task waits before its next attempt."""

from __future__ import annotations

import inspect
import json
import math
import random
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, duration_of

LONGEST = timedelta(days=3652)
#: A list of more waits is a formula, and a row that is tried so often is no task.
MOST_WAITS = 100
#: What a column can count to, and a float still raises to.
LARGEST_ATTEMPT = 2**31 - 1

Seconds: TypeAlias = "int | float | timedelta"
#: How the wait is worked out from the attempt that failed, from 1, and what it raised.
BackoffFunction: TypeAlias = Callable[[int, BaseException], Seconds]
#: What ``make_backoff`` takes.
BackoffLike: TypeAlias = "Backoff | Seconds | Sequence[Seconds] | BackoffFunction | str"


def delay_after(attempts: int) -> timedelta:
    """Return the wait after the given number of attempts, the failed one included.

    ``attempts ** 4 + 5`` seconds, as in django-background-tasks: 6, 21, 86, 261, 630 ... With the
    usual 25 attempts the last wait is four and a half days; it never grows beyond ten years, which
    a date can still hold.
    """
    return min(timedelta(seconds=min(attempts, 1000) ** 4 + 5), LONGEST)


class Backoff:
    """A rule for the waits between the attempts of a task; this one is the default.

    Every wait is from 0 to ``LONGEST``, whatever the attempt.
    """

    __slots__ = ()

    def delay(self, attempt: int, *, chance: random.Random | None = None) -> timedelta:
        """Return the wait after an attempt; never raises.

        Args:
            attempt: The number of the attempt that has ended, from 1.
            chance: Where jitter comes from; None for the generator of the process.
        """
        return delay_after(max(1, attempt))

    def delay_or_default(
        self, attempt: int, exception: BaseException, *, chance: random.Random | None = None
    ) -> tuple[timedelta, str | None]:
        """Return the wait after an attempt that raised, and what is wrong with the rule, if any.

        Never raises: a rule that does, or that returns no wait, is replaced by the default.
        """
        return self.delay(attempt, chance=chance), None

    def to_json(self) -> Any:
        """Return what ``from_json`` reads.

        Raises:
            InvalidOptionTypeError: The rule is a function.
        """
        return "default"


@dataclass(frozen=True, slots=True)
class Default(Backoff):
    """``attempts ** 4 + 5`` seconds."""


@dataclass(frozen=True, slots=True)
class Steps(Backoff):
    """The first wait after the first attempt, and so on; the last one for all that follow."""

    waits: tuple[timedelta, ...]

    def delay(self, attempt: int, *, chance: random.Random | None = None) -> timedelta:
        """Return the wait of that place in the list."""
        return self.waits[min(max(1, attempt), len(self.waits)) - 1]

    def to_json(self) -> Any:
        """Return a number for a single wait, else a list of numbers."""
        seconds = [_as_number(wait) for wait in self.waits]
        return seconds[0] if len(seconds) == 1 else seconds


@dataclass(frozen=True, slots=True)
class Exponential(Backoff):
    """Waits that grow by a factor, up to a cap, less some of it at random."""

    base: timedelta
    factor: float
    cap: timedelta
    jitter: float

    def delay(self, attempt: int, *, chance: random.Random | None = None) -> timedelta:
        """Return ``base * factor ** (attempt - 1)``, at most ``cap``, less the jitter."""
        try:
            growth = float(self.factor) ** (min(max(1, attempt), LARGEST_ATTEMPT) - 1)
        except OverflowError:
            growth = math.inf
        seconds = min(self.base.total_seconds() * growth, self.cap.total_seconds())
        drawn = random.random() if chance is None else chance.random()
        return timedelta(seconds=seconds * (1 - self.jitter * drawn))

    def to_json(self) -> Any:
        """Return the four parts under a name."""
        base, cap = _as_number(self.base), _as_number(self.cap)
        return {"exponential": [base, self.factor, cap, self.jitter]}


@dataclass(frozen=True, slots=True)
class Custom(Backoff):
    """Whatever a function of the project says."""

    function: BackoffFunction

    def delay_or_default(
        self, attempt: int, exception: BaseException, *, chance: random.Random | None = None
    ) -> tuple[timedelta, str | None]:
        """Ask the function."""
        try:
            wait = duration_of(self.function(attempt, exception), what="the returned wait")
            if wait >= timedelta(0):
                return min(wait, LONGEST), None
            problem = f"the returned wait {brief(wait)} is negative; use 0 or more"
        except BaseException as error:  # noqa: BLE001 - user code may raise anything; its task must not be lost
            problem = "".join(traceback.format_exception_only(error)).strip()
        return self.delay(attempt), f"the backoff function failed, the default was used: {problem}"

    def to_json(self) -> Any:
        """Refuse: a function cannot be stored in a row."""
        raise InvalidOptionTypeError(
            f"backoff {brief(self.function)} is a function, which cannot be stored with a "
            "call; give it to the decorator, or use exponential(), fixed() or a list of waits here"
        )


def default() -> Backoff:
    """Return the default: ``attempts ** 4 + 5`` seconds, that is 6, 21, 86, 261, 630 ..."""
    return Default()


def fixed(wait: Seconds) -> Backoff:
    """Return the rule that always waits for the same time.

    Args:
        wait: Seconds or a ``timedelta``, from 0 (at once) to ten years.

    Raises:
        InvalidOptionTypeError: It is neither.
        InvalidOptionError: It is out of range.
    """
    return Steps((check_wait(wait, what="backoff"),))


def exponential(
    base: Seconds = 5, *, factor: float = 2, cap: Seconds = 3600, jitter: float = 0.1
) -> Backoff:
    """Return a rule whose waits grow: ``base``, ``base * factor``, ``base * factor ** 2`` ...

    Args:
        base: The first wait, seconds or a ``timedelta``, above 0.
        factor: By what each wait is longer than the one before, at least 1.
        cap: The longest wait, seconds or a ``timedelta``, at least ``base``.
        jitter: Which share of each wait, from 0 to 1, is left to chance, so that tasks that failed
            together do not come back together. With 0.1 the wait is 90 to 100 % of the computed
            one; with 1 ("full jitter") anything from 0 to it.

    Raises:
        InvalidOptionTypeError: One of them has a wrong type.
        InvalidOptionError: One of them is out of range.
    """
    first, last = check_wait(base, what="base"), check_wait(cap, what="cap")
    if not first:
        raise InvalidOptionError(
            f"base {brief(base)} never grows; use a wait above 0, or fixed(0) to run again at once"
        )
    if last < first:
        raise InvalidOptionError(f"cap {brief(cap)} is below base {brief(base)}; use a longer cap")
    growth = _check_number(factor, what="factor")
    if growth < 1:
        raise InvalidOptionError(
            f"factor {brief(factor)} makes waits shorter; use 1 or more, or a list of waits"
        )
    share = _check_number(jitter, what="jitter")
    if not 0 <= share <= 1:
        raise InvalidOptionError(f"jitter {brief(jitter)} is no share; use a number from 0 to 1")
    return Exponential(first, growth, last, share)


def make_backoff(value: Any) -> Backoff:
    """Return the rule that ``value`` stands for.

    Args:
        value: None for the default; seconds or a ``timedelta`` for a fixed wait; a list or tuple
            of them for one after the other, the last one repeated; a function of the attempt and
            the exception, which returns a wait; a ``Backoff``; or the text of a stored one.

    Raises:
        InvalidOptionTypeError: It is nothing of the kind.
        InvalidOptionError: It is, with a value that cannot work.
    """
    match value:
        case None:
            return Default()
        case Backoff():
            return value
        case str():
            return from_json(_parse(value))
        case list() | tuple():
            return _steps(value)
        case int() | float() | timedelta() if not isinstance(value, bool):
            return fixed(value)
    if callable(value):
        return _custom(value)
    raise _refusal(value, "is no rule for waits")


def from_json(value: Any) -> Backoff:
    """Return the rule that ``to_json`` made this of.

    Raises:
        InvalidOptionTypeError: It never made such a thing, or a later version did.
        InvalidOptionError: The same.
    """
    match value:
        case "default":
            return Default()
        case int() | float() if not isinstance(value, bool):
            return fixed(value)
        case list():
            return _steps(value)
        case {"exponential": [base, factor, cap, jitter]}:
            return exponential(base, factor=factor, cap=cap, jitter=jitter)
    raise _refusal(value, "was not stored by this version")


def check_wait(value: Any, *, what: str) -> timedelta:
    """Return a wait given in seconds or as a ``timedelta``, or raise.

    Raises:
        InvalidOptionTypeError: It is neither.
        InvalidOptionError: It is negative, longer than ``LONGEST``, or not finite.
    """
    wait = duration_of(value, what=what)
    if not timedelta(0) <= wait <= LONGEST:
        raise InvalidOptionError(
            f"{what} {brief(value)} is out of range; use 0 seconds to {LONGEST.days} days"
        )
    return wait


def _steps(values: list[Any] | tuple[Any, ...]) -> Backoff:
    if not 1 <= len(values) <= MOST_WAITS:
        raise InvalidOptionError(
            f"backoff {brief(values)} holds {len(values)} waits; use 1 to {MOST_WAITS}"
        )
    waits = (check_wait(value, what=f"backoff[{place}]") for place, value in enumerate(values))
    return Steps(tuple(waits))


def _custom(function: Any) -> Backoff:
    if isinstance(function, type):
        raise _refusal(function, "is a class")
    if inspect.iscoroutinefunction(function):
        raise _refusal(function, "is a coroutine function")
    try:
        inspect.signature(function).bind(1, Exception())
    except TypeError as error:
        raise _refusal(function, f"takes no attempt and exception ({error})") from None
    except ValueError:  # written in C: there is no signature to ask
        pass
    return Custom(function)


def _refusal(value: Any, problem: str) -> InvalidOptionTypeError:
    return InvalidOptionTypeError(
        f"backoff {brief(value)} {problem}; use seconds, a timedelta, a list of them, "
        "exponential(), fixed(seconds), or a plain function of attempt and exception"
    )


def _check_number(value: Any, *, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOptionTypeError(
            f"{what} {brief(value)} is of type {type(value).__name__}; use a number"
        )
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidOptionError(f"{what} {brief(value)} is too large; use a finite number")
    return number


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _as_number(wait: timedelta) -> int | float:
    seconds = wait.total_seconds()
    return int(seconds) if seconds.is_integer() else seconds
