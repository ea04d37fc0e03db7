"""The options that make up a policy: how each is checked, and how it is stored with a call."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypedDict

from .backoff import BackoffLike, Seconds, check_wait, from_json, make_backoff
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, moment_of, number_of
from .limiter import RateLimit, RateLimitLike, max_concurrency

#: What the column of attempts holds.
LARGEST_ATTEMPTS = 2**31 - 1

#: An exception class, or "module.Class" where it comes from a row. Names are compared with those
#: of the exception that was raised and never imported: what is not imported was not raised.
ExceptionLike: TypeAlias = "type[BaseException] | str"
#: How people write them: one or several.
ExceptionTypes: TypeAlias = (
    "type[BaseException] | Sequence[type[BaseException]] | Set[type[BaseException]]"
)


class PolicyOptions(TypedDict, total=False):
    """The options as people write them; see ``Policy``. None leaves one open."""

    max_attempts: int | None
    backoff: BackoffLike | None
    retry_on: ExceptionTypes | None
    discard_on: ExceptionTypes | None
    timeout: Seconds | None
    expires: Seconds | datetime | None
    keep_result: bool | None
    atomic: bool | None
    repeat_on_failure: bool | None
    max_concurrency: int | None
    rate_limit: RateLimitLike | None
    sensitive: bool | None


POLICY_OPTIONS = tuple(PolicyOptions.__annotations__)


def check_policy(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are not left open, as ``Policy`` holds them, or raise.

    Raises:
        InvalidOptionTypeError: An option is unknown, or of a wrong type.
        InvalidOptionError: An option has a value that cannot work.
    """
    unknown = [name for name in given if name not in OPTIONS]
    if unknown:
        raise InvalidOptionTypeError(
            f"{', '.join(unknown)} is no option of this kind; use {', '.join(OPTIONS)}"
        )
    return {
        name: option.check(given[name])
        for name, option in OPTIONS.items()
        if given.get(name) is not None
    }


def overrides(given: Mapping[str, Any], *, earlier: str | None = None) -> str | None:
    """Return the text to store with a call that has options of its own; None if it has none.

    Args:
        given: The options by name; None takes back what ``earlier`` says.
        earlier: What this has returned for options that were given before; those in ``given`` win,
            and keys of later versions stay.

    Raises:
        InvalidOptionTypeError: As ``Policy.make``, or ``backoff`` is a function, which cannot be
            stored.
        InvalidOptionError: As ``Policy.make``.
    """
    checked = check_policy(given)
    stored = {} if earlier is None else dict(parse_overrides(earlier))
    for name in given:
        stored.pop(OPTIONS[name].key, None)
    for name, value in checked.items():
        stored[OPTIONS[name].key] = OPTIONS[name].pack(value)
    return json.dumps(stored, separators=(",", ":")) if stored else None


def parse_overrides(stored: str | Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what is stored with a call, by key, unchecked.

    Raises:
        InvalidOptionTypeError: It is no JSON object.
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    values = json.loads(stored) if isinstance(stored, str) else stored
    if not isinstance(values, Mapping):
        raise InvalidOptionTypeError("they are no JSON object")
    return values


def policy_overrides(stored: str | None) -> str | None:
    """Return the part of a row's ``options`` that ``overrides`` has made; never raises."""
    if not stored:
        return None
    keys = {option.key for option in OPTIONS.values()}
    with suppress(TypeError, ValueError, RecursionError):
        read = parse_overrides(stored)
        kept = {key: value for key, value in read.items() if key in keys}
        return json.dumps(kept, separators=(",", ":")) if kept else None
    return None


def name_of(kind: type) -> str:
    """Return the name under which a class is stored."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _max_attempts(value: Any) -> int:
    remedy = f"use 1 (never retry) to {LARGEST_ATTEMPTS}"
    return number_of(value, what="max_attempts", most=LARGEST_ATTEMPTS, remedy=remedy)


def _exceptions(what: str) -> Callable[[Any], tuple[ExceptionLike, ...]]:
    def check(value: Any) -> tuple[ExceptionLike, ...]:
        several = value if isinstance(value, tuple | list | set | frozenset) else (value,)
        for each in several:
            if not (isinstance(each, type) and issubclass(each, BaseException)):
                raise InvalidOptionTypeError(
                    f"{what} {brief(each)} is no exception class; use one such as "
                    "ConnectionError (without parentheses), or a tuple of them"
                )
        return tuple(several)

    return check


def _names(value: tuple[ExceptionLike, ...]) -> list[str]:
    return sorted(each if isinstance(each, str) else name_of(each) for each in value)


def _read_names(value: Any) -> tuple[ExceptionLike, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidOptionTypeError(f"{brief(value)} is no list of names")
    return tuple(value)


def _timeout(value: Any) -> timedelta:
    limit = check_wait(value, what="timeout")
    if value and not limit:
        raise InvalidOptionError(
            f"timeout {brief(value)} is below a microsecond; use more, or 0 for no limit"
        )
    return limit


def _expires(value: Any) -> timedelta | datetime:
    if isinstance(value, datetime):
        return moment_of(value, what="expires")
    length = check_wait(value, what="expires")
    if not length:
        raise InvalidOptionError(
            f"expires {brief(value)} leaves no time to start; use above 0 seconds, or a datetime"
        )
    return length


def _pack_expires(value: timedelta | datetime) -> float | str:
    return value.total_seconds() if isinstance(value, timedelta) else value.isoformat()


def _unpack_expires(value: Any) -> timedelta | datetime:
    return _expires(datetime.fromisoformat(value) if isinstance(value, str) else value)


def _flag(what: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise InvalidOptionTypeError(
                f"{what} {brief(value)} is of type {type(value).__name__}; use True or False"
            )
        return value

    return check


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(frozen=True, slots=True)
class PolicyOption:
    """How an option is checked, and how it is stored with a call, under a key that stays."""

    key: str
    check: Callable[[Any], Any]
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]


def _plain(key: str, check: Callable[[Any], Any]) -> PolicyOption:
    return PolicyOption(key, check, _as_it_is, check)


OPTIONS = {
    "max_attempts": _plain("max", _max_attempts),
    "backoff": PolicyOption("backoff", make_backoff, operator.methodcaller("to_json"), from_json),
    "retry_on": PolicyOption("retry", _exceptions("retry_on"), _names, _read_names),
    "discard_on": PolicyOption("discard", _exceptions("discard_on"), _names, _read_names),
    "timeout": PolicyOption("timeout", _timeout, timedelta.total_seconds, _timeout),
    "expires": PolicyOption("expires", _expires, _pack_expires, _unpack_expires),
    "keep_result": _plain("keep", _flag("keep_result")),
    "atomic": _plain("atomic", _flag("atomic")),
    "repeat_on_failure": _plain("go_on", _flag("repeat_on_failure")),
    "max_concurrency": _plain("running", max_concurrency),
    "rate_limit": PolicyOption("rate", RateLimit.make, RateLimit.to_json, RateLimit.make),
    "sensitive": _plain("sensitive", _flag("sensitive")),
}
