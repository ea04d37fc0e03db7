"""At most one of the same: which tasks are the same, until when, and what another call does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias, TypedDict, cast, get_args

from . import payload
from .call import Parameters
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief
from .limiter import LimitKey
from .policy_option import parse_overrides
from .schedule import TaskSchedule

#: What a function for ``unique`` returns.
Key: TypeAlias = "str | int | tuple[Any, ...]"
UniqueLike: TypeAlias = "bool | str | Callable[..., Key]"
Until: TypeAlias = Literal["start", "finish"]
OnConflict: TypeAlias = Literal["skip", "replace", "raise", "extend"]

#: How long the text of a key is.
KEY_CHARS = 40
#: What a row's ``options`` hold if it keeps its key while it runs. A claim looks for this text.
KEPT = '"unique":"finish"'

REMEDY = (
    "use True, names of parameters such as 'user_id, kind', or a function of the call's arguments"
)


class UniqueOptions(TypedDict, total=False):
    """The options as people write them. None leaves one as it was."""

    unique: UniqueLike | None
    unique_until: Until | None
    on_conflict: OnConflict | None


UNIQUE_OPTIONS = tuple(UniqueOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """What one task only may have at a time, and what becomes of a call that finds it taken.

    Attributes:
        text: The key as it is stored, always as long.
        until: The key is free again at the "start" of the run that has it, or at its "finish".
        on_conflict: "skip", "replace", "raise" or "extend".
    """

    text: str
    until: Until = "start"
    on_conflict: OnConflict = "skip"

    @property
    def is_moving(self) -> bool:
        """Whether a waiting task that has the key gives way."""
        return self.on_conflict in ("replace", "extend")


@dataclass(frozen=True, slots=True)
class Uniqueness:
    """How the tasks of a function are unique.

    Attributes:
        by: The parameters whose values make the key, none for all; or a function that returns it.
        until: As of a ``UniqueKey``.
        on_conflict: Likewise.
    """

    by: tuple[str, ...] | Callable[..., Key] = ()
    until: Until = "start"
    on_conflict: OnConflict = "skip"

    @classmethod
    def make(
        cls, given: Mapping[str, Any], *, of: Parameters, earlier: Uniqueness | None = None
    ) -> Uniqueness | None:
        """Return the uniqueness that options ask for; None if they ask for none.

        Args:
            given: The options by name; None leaves one as it was.
            of: What the function takes.
            earlier: What was given before; ``unique=False`` takes it back.

        Raises:
            InvalidOptionTypeError: An option is of a wrong type.
            InvalidOptionError: An option has a value that cannot work, or no effect.
        """
        changes: dict[str, Any] = {}
        if (until := given.get("unique_until")) is not None:
            changes["until"] = _one_of(Until, until, what="unique_until")
        if (on_conflict := given.get("on_conflict")) is not None:
            changes["on_conflict"] = _one_of(OnConflict, on_conflict, what="on_conflict")
        unique = given.get("unique")
        if unique is False or (unique is None and earlier is None):
            if changes:
                raise InvalidOptionError(
                    f"{' and '.join(name for name in given if name != 'unique')} has no effect "
                    "without unique; add unique=True, or leave it out"
                )
            return None
        if unique is not None:
            changes["by"] = _check_by(unique, of)
        return replace(earlier or cls(), **changes)

    def key(self, of: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]) -> UniqueKey:
        """Return the key of a call, which must fit the function.

        Calls that give the same values by place, by name or by default have the same key. The
        function's name is part of it; the queue is not.

        Args:
            of: What the function takes.
            args: Positional arguments of the call.
            kwargs: Its keyword arguments.

        Raises:
            InvalidOptionTypeError: The key, or an argument in it, has no stored form.
            InvalidOptionError: A model instance in it has not been saved.
        """
        if not isinstance(self.by, tuple):
            text = _own_key(self.by, of, args, kwargs)
        elif (named := of.named(args, kwargs)) is None:
            text = payload.encode(args, kwargs)
        else:
            chosen = {name: named[name] for name in self.by if name in named}
            text = payload.encode((), chosen if self.by else named)
        digest = hashlib.sha1(f"unique:{of.name}:{text}".encode(), usedforsecurity=False)
        return UniqueKey(digest.hexdigest(), self.until, self.on_conflict)


def keyed(
    rule: Uniqueness | None, limit: LimitKey | None, *, of: Parameters, calls: Iterable[Any]
) -> Iterator[tuple[Sequence[Any], dict[str, Any], UniqueKey | None, str | None]]:
    """Check calls as ``Parameters.check_each`` does, and yield each with its two keys.

    Raises:
        InvalidOptionTypeError: As that, ``Uniqueness.key`` or ``LimitKey.key``; it tells the call's
            number.
        InvalidOptionError: Likewise.
    """
    for number, (args, kwargs) in enumerate(of.check_each(calls)):
        try:
            key = None if rule is None else rule.key(of, args, kwargs)
            limit_key = None if limit is None else limit.key(of, args, kwargs)
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise type(error)(f"item {number}: {error}") from error
        yield args, kwargs, key, limit_key


def check_alone(*, action: int, removes: bool) -> None:
    """Refuse the older ways to have one waiting task only, in a call that is unique.

    Raises:
        InvalidOptionError: A call would have two rules for the same thing.
    """
    if action == TaskSchedule.SCHEDULE and not removes:
        return
    what = "remove_existing_tasks" if removes else "an action of TaskSchedule"
    raise InvalidOptionError(
        f"unique and {what} both say what becomes of a waiting task; use unique with "
        "on_conflict='skip', 'replace', 'raise' or 'extend' alone"
    )


@lru_cache(maxsize=256)
def keeping(options: str | None) -> str:
    """Return a row's ``options`` with the mark that it keeps its key while it runs."""
    stored = {} if options is None else dict(parse_overrides(options))
    stored["unique"] = "finish"
    return json.dumps(stored, separators=(",", ":"))


def _own_key(
    make: Callable[..., Key], of: Parameters, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> str:
    key = make(*args, **kwargs)
    if not isinstance(key, str | int | tuple):
        raise InvalidOptionTypeError(
            f"unique of {of.name} returned a value of type {type(key).__name__}; "
            "return a str, an int, or a tuple"
        )
    try:
        return payload.encode((key,), {})
    except InvalidOptionTypeError as error:
        raise InvalidOptionTypeError(
            f"unique of {of.name} returned a value of type {type(key).__name__}, which has no "
            "stored form; return a tuple of what a task takes as arguments"
        ) from error


def _check_by(unique: Any, of: Parameters) -> tuple[str, ...] | Callable[..., Key]:
    if unique is True:
        return ()
    if not isinstance(unique, str):
        if callable(unique):
            return cast("Callable[..., Key]", unique)
        raise InvalidOptionTypeError(
            f"unique {brief(unique)} is of type {type(unique).__name__}; {REMEDY}"
        )
    names = tuple(dict.fromkeys(name.strip() for name in unique.split(",")))
    if of.names is None:
        raise InvalidOptionError(
            f"unique {brief(unique)} names parameters, but {of.name} does not tell which it has; "
            "use True or a function"
        )
    if unknown := [name for name in names if name not in of.names]:
        raise InvalidOptionError(
            f"unique {brief(unique)} names {', '.join(map(repr, unknown))}, which "
            f"{of.name} does not take; it takes {', '.join(of.names) or 'nothing'}; {REMEDY}"
        )
    return names


def _one_of(kind: Any, value: Any, *, what: str) -> Any:
    allowed = get_args(kind)
    if isinstance(value, str) and value in allowed:
        return value
    error = InvalidOptionError if isinstance(value, str) else InvalidOptionTypeError
    raise error(f"{what} {brief(value)} is unknown; use {', '.join(map(repr, allowed))}")
