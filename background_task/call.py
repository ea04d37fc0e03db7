"""What a call of a task function may be: arguments that the function takes, and options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from typing import Any, TypedDict

from django.db import models

from . import payload
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .recurrence import RepeatLike
from .schedule import ScheduleLike

#: How many forms of a call are remembered as accepted; a function may take any keyword.
MOST_FORMS = 100


class CallOptions(TypedDict, total=False):
    """Keywords of a call that are options, and never reach the function."""

    schedule: ScheduleLike
    priority: int | None
    queue: str | None
    verbose_name: str | None
    creator: models.Model | None
    repeat: RepeatLike
    repeat_until: datetime | None
    remove_existing_tasks: bool


RESERVED = tuple(CallOptions.__annotations__)


class Parameters:
    """What a function takes.

    Args:
        name: The name of the task; kept as ``.name``.
        function: Its own signature counts, not that of one it wraps; it may have none.
        skips_first: Whether the first argument is none of the call's.
        options: The keywords that a call takes beside those of the function.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        *,
        skips_first: bool = False,
        options: Sequence[str] = RESERVED,
    ) -> None:
        self.name = name
        self._options = options
        self._signature = _signature_of(function)
        if skips_first and self._signature is not None:
            own = list(self._signature.parameters.values())[1:]
            self._signature = self._signature.replace(parameters=own)
        self._accepted: set[tuple[Any, ...]] = set()

    @property
    def names(self) -> tuple[str, ...] | None:
        """The names of the parameters; None if the function does not tell them."""
        return None if self._signature is None else tuple(self._signature.parameters)

    @property
    def rest(self) -> str | None:
        """The name of the parameter that takes all other keywords; None if there is none."""
        for name, parameter in self._signature.parameters.items() if self._signature else ():
            if parameter.kind is parameter.VAR_KEYWORD:
                return name
        return None

    def positions(self, count: int) -> list[str | None]:
        """Return the names of so many positional arguments, None for one that has no name."""
        names: list[str | None] = []
        for name, parameter in self._signature.parameters.items() if self._signature else ():
            if parameter.kind is parameter.VAR_POSITIONAL:
                names += [name] * (count - len(names))
            elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(name)
        return [*names[:count], *[None] * (count - len(names))]

    def named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments of a call by name, defaults included as far as a row can hold them.

        None if the function does not tell its parameters.

        Raises:
            TypeError: The function does not take these arguments.
        """
        if self._signature is None:
            return None
        return {**self._defaults, **self._signature.bind(*args, **kwargs).arguments}

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        """Read late: translated texts and the like may have none before the apps are loaded."""
        defaults = {}
        for name, parameter in self._signature.parameters.items() if self._signature else ():
            if parameter.default is not parameter.empty:
                with suppress(InvalidOptionError, InvalidOptionTypeError):
                    payload.encode((parameter.default,), {})
                    defaults[name] = parameter.default
        return defaults

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse what the function would refuse, such as a misspelt option, before it is stored.

        Raises:
            InvalidOptionTypeError: The function does not take these arguments.
        """
        form = (len(args), *kwargs)  # whether a call fits does not depend on the values
        if self._signature is None or form in self._accepted:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            options = f", and the options {', '.join(self._options)}" if self._options else ""
            raise InvalidOptionTypeError(
                f"{self.name} cannot be called so: {error}; it takes {self._signature}{options}"
            ) from None
        if len(self._accepted) < MOST_FORMS:
            self._accepted.add(form)

    def check_each(self, calls: Iterable[Any]) -> Iterator[tuple[Sequence[Any], dict[str, Any]]]:
        """Check calls as they come; an error tells the number of the call, from 0.

        Raises:
            InvalidOptionTypeError: The function does not take such arguments, or it is no
                ``(args, kwargs)`` at all.
        """
        for number, call in enumerate(_iterate(calls)):
            try:
                args, kwargs = _read(call)
                self.check(args, kwargs)
            except InvalidOptionTypeError as error:
                raise InvalidOptionTypeError(f"item {number}: {error}") from None
            yield args, kwargs


def check_atomic(is_atomic: bool, function: Callable[..., Any]) -> None:
    """Refuse a coroutine function in a transaction: Django has none that outlasts an ``await``.

    Raises:
        InvalidOptionTypeError: It is one.
    """
    if is_atomic and inspect.iscoroutinefunction(function):
        raise InvalidOptionTypeError(
            f"atomic=True needs a plain function, and {function!r} is a coroutine function; "
            "make it a plain one, or leave atomic out"
        )


def _signature_of(function: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _iterate(calls: Any) -> Iterator[Any]:
    if not isinstance(calls, Iterable) or isinstance(calls, str | bytes | Mapping):
        raise InvalidOptionTypeError(
            f"a value of type {type(calls).__name__} holds no calls; "
            "give an iterable of (args, kwargs), such as [((7,), {})]"
        )
    return iter(calls)


def _read(call: Any) -> tuple[Sequence[Any], dict[str, Any]]:
    match call:
        case (list() | tuple() as args, dict() | Mapping() as kwargs):
            options = [name for name in RESERVED if name in kwargs] if kwargs else ()
            if options:
                raise InvalidOptionTypeError(
                    f"{', '.join(options)} cannot differ from item to item; give options to the "
                    "whole call, or call the task for each"
                )
            return args, dict(kwargs)
    raise InvalidOptionTypeError(
        f"a value of type {type(call).__name__} is not (args, kwargs); "
        "give a pair, such as ((7,), {}) or ((), {'text': 'Hello'})"
    )
