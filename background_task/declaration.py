"""Periodic tasks, as code declares them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from . import option, payload
from .call import RESERVED, Parameters
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .recurrence import CATCH_UPS, CatchUp, RepeatLike, Rule, make_rule, next_occurrence, upcoming
from .recurrence.zone import TICK, UTC, zone_called

Arguments: TypeAlias = "Sequence[Any] | Callable[[], Sequence[Any]]"
KeywordArguments: TypeAlias = "Mapping[str, Any] | Callable[[], Mapping[str, Any]] | None"
Target = TypeVar("Target")

#: What seconds and steps are counted from, the same for all workers: midnight of a Monday.
EPOCH = datetime(2001, 1, 1, tzinfo=UTC)
#: An ``rrule`` without a start begins when it is made: that is, when the module was imported.
JUST_NOW = timedelta(minutes=1)
#: Where ``periodic`` leaves word on a function that ``background`` has yet to decorate.
PENDING = "_background_task_periodic"
#: What an entry of ``BACKGROUND_TASK_PERIODIC`` may say beside ``task``.
PARTS = ("schedule", "args", "kwargs", "zone", "catch_up")


@runtime_checkable
class Callee(Protocol):
    """A decorated function, as far as its ticks are concerned."""

    name: str
    schedules: list[Declaration]

    @property
    def parameters(self) -> Parameters:
        """What a call takes."""
        ...

    @property
    def using(self) -> Callable[..., Callable[..., Any]]:
        """Return a copy whose calls have other options."""
        ...


@dataclass(frozen=True, slots=True)
class Declaration:
    """One schedule of a task function.

    Make it with `Declaration.of`.

    Attributes:
        name: What people call it, the same in every version of the code.
        callee: The decorated function, with its options.
        rule: When it ticks; holds its own start where it needs one.
        args: Positional arguments, or a function that returns them at each tick.
        kwargs: Keyword arguments, likewise.
        catch_up: What becomes of ticks that came while no worker was running.
    """

    name: str
    callee: Callee
    rule: Rule
    args: Arguments = field(repr=False)
    kwargs: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = field(repr=False)
    catch_up: CatchUp

    @classmethod
    def of(cls, callee: Callee, *, name: str, **written: Any) -> Declaration:
        """Return the declaration that was written for a function.

        Args:
            callee: The decorated function.
            name: The schedule's name.
            **written: What ``periodic`` takes.

        Raises:
            InvalidOptionError: A value that cannot work.
            InvalidOptionTypeError: A type that cannot work, or arguments that the function does
                not take.
        """
        declaration = cls(name, callee, **_checked(name=name, **written))
        args = () if callable(declaration.args) else declaration.args
        kwargs = {} if callable(declaration.kwargs) else declaration.kwargs
        is_whole = not callable(declaration.args) and not callable(declaration.kwargs)
        try:
            payload.encode(args, kwargs)
            if is_whole:
                callee.parameters.check(args, kwargs)
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise type(error)(f"periodic {name!r}: {error}") from error
        return declaration

    @property
    def key(self) -> str:
        """The name as every database compares it alike, with capitals, accents and spaces."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def digest(self) -> str:
        """What tells this declaration from another of the same name."""
        parts = [
            payload.encode([argument], {}) if not callable(argument) else _called(argument)
            for argument in (list(self.args) if not callable(self.args) else self.args, self.kwargs)
        ]
        text = json.dumps([self.callee.name, str(self.rule), self.catch_up, *parts])
        return hashlib.sha256(text.encode()).hexdigest()

    def arguments(self) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return the arguments of one tick; what is to be called is called."""
        args = self.args() if callable(self.args) else self.args
        kwargs = self.kwargs() if callable(self.kwargs) else self.kwargs
        _check_arguments(args, kwargs)
        return args, kwargs

    def call(self, run_at: datetime, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Store a call for one tick; all but its time is as the function's own options say."""
        alone = self.callee.using(schedule=run_at, repeat=None, repeat_count=None, catch_up=None)
        return alone(*args, **kwargs)

    def after(self, moment: datetime) -> datetime | None:
        """Return the first tick later than a moment, in UTC; None if there is no other."""
        return self.rule.after(moment, start=EPOCH)

    def upcoming(self, now: datetime, *, count: int = 5) -> list[datetime]:
        """Return the next ticks, in UTC."""
        return upcoming(self.rule, start=EPOCH, after=now, count=count)

    def step(
        self,
        due_at: datetime,
        *,
        now: datetime,
        grace: timedelta,
        was_watched: Callable[[datetime], bool],
    ) -> tuple[datetime | None, datetime | None]:
        """Return which tick to put into the queue now, None for none, and which one is next.

        Args:
            due_at: The tick that is due; those before it have been seen to.
            now: The current time, not before it.
            grace: How late a tick is put in any case.
            was_watched: Tells whether a worker was running at a time: one that was kept busy is
                late, but has missed nothing.
        """
        tick = due_at
        if self.catch_up != "all" and due_at < now - grace:
            recent = self.after(now - grace - TICK)
            if recent is not None and recent <= now:
                return recent, self.after(recent)
            tick = self._latest(due_at, now=now)
            if self.catch_up == "skip" and not was_watched(tick):
                return None, self.after(now)
        return tick, self.after(tick)

    def _latest(self, due_at: datetime, *, now: datetime) -> datetime:
        before = due_at - TICK
        found = next_occurrence(
            self.rule, scheduled_at=before, now=now, catch_up="one", start=EPOCH
        )
        return due_at if found is None else found


def periodic(
    schedule: RepeatLike,
    *,
    args: Arguments = (),
    kwargs: KeywordArguments = None,
    zone: Any = None,
    name: str | None = None,
    catch_up: CatchUp = "skip",
) -> Callable[[Target], Target]:
    """Let workers call a task again and again; above or below ``@background``, any number of times.

    Args:
        schedule: Whatever ``repeat`` takes (see ``recurrence.make_rule``): a crontab line, seconds,
            a ``timedelta``, a ``relativedelta``, an ``rrule``. Seconds and steps are counted from
            Monday, 1 January 2001, 0:00, so that all workers agree: 3600 is each full hour.
        args: Positional arguments of each call, or a function without parameters that returns them.
            It is called once for each tick, or by several workers, of which one wins.
        kwargs: Keyword arguments, likewise.
        zone: The time zone whose clock is meant; None is the project's.
        name: The schedule's name; by default the task's, from the second on with a number.
        catch_up: What becomes of ticks that came while no worker was running: ``"skip"`` drops
            them, ``"one"`` puts the latest into the queue, ``"all"`` puts each.

    Raises:
        InvalidOptionError: A value that cannot work (a ``ValueError``).
        InvalidOptionTypeError: A wrong type, or arguments that the function does not take (a
            ``TypeError``).
    """
    parts = {"schedule": schedule, "args": args, "kwargs": kwargs, "zone": zone}
    written = {**parts, "catch_up": catch_up}
    _checked(name=name or "", **written)
    if name is not None:
        option.check_name(name)

    def declare(target: Target) -> Target:
        if isinstance(target, Callee):
            _add(target, name=name, written=written)
        else:
            _leave_word(target, (name, written))
        return target

    return declare


def adopt(function: Any, callee: Callee) -> None:
    """Give a decorated function the schedules that were declared below ``@background``."""
    for name, written in getattr(function, PENDING, ()):
        _add(callee, name=name, written=written)


def declared(registry: Mapping[str, Any], settings: Any) -> dict[str, Declaration]:
    """Return all schedules of the functions that this process has, by name.

    Args:
        registry: The decorated functions by name.
        settings: ``BACKGROUND_TASK_PERIODIC``. It wins over the decorator; None switches off.
            Entries for functions that are not here are left to other workers.

    Raises:
        InvalidOptionError: A value that cannot work, or two schedules of one name.
        InvalidOptionTypeError: A type that cannot work.
    """
    found: dict[str, Declaration] = {}
    for callee in registry.values():
        for declaration in getattr(callee, "schedules", ()):
            if (other := found.setdefault(declaration.name, declaration)) is not declaration:
                raise InvalidOptionError(
                    f"periodic {declaration.name!r} is declared twice, for {other.callee.name} and "
                    f"{declaration.callee.name}; give one of them another name="
                )
    for name, (task, written) in read_setting(settings).items():
        found.pop(name, None)
        if written and isinstance(callee := registry.get(task), Callee):
            found[name] = Declaration.of(callee, name=name, **written)
    return found


def read_setting(settings: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the name of each schedule of the setting, with its task and what is written of it.

    Raises:
        InvalidOptionError: A value that cannot work.
        InvalidOptionTypeError: A type that cannot work.
    """
    if not isinstance(settings, Mapping):
        raise InvalidOptionTypeError(
            f"BACKGROUND_TASK_PERIODIC is of type {type(settings).__name__}; use a dict of names "
            'and entries, such as {"nightly": {"task": "shop.report", "schedule": "@daily"}}'
        )
    return {option.check_name(name): _entry(name, entry) for name, entry in settings.items()}


def _entry(name: str, entry: Any) -> tuple[str, dict[str, Any]]:
    if entry is None:
        return "", {}
    known = {"task", *PARTS}
    if not isinstance(entry, Mapping) or not {"task", "schedule"} <= set(entry) <= known:
        raise InvalidOptionError(
            f"periodic {name!r} is {payload.text.brief(entry)}; use None, or a dict with task and "
            f"schedule, and {', '.join(PARTS[1:])} if needed"
        )
    written = {part: entry[part] for part in PARTS if part in entry}
    _checked(name=name, **written)
    return option.check_name(entry["task"]), written


def _add(callee: Callee, *, name: str | None, written: dict[str, Any]) -> None:
    taken = {declaration.name for declaration in callee.schedules}
    if name is None:
        number = len(callee.schedules) + 1
        name = callee.name if number == 1 else f"{callee.name} {number}"
    if name in taken:
        raise InvalidOptionError(
            f"periodic {name!r} is declared twice for {callee.name}; give one of them another name="
        )
    callee.schedules.append(Declaration.of(callee, name=option.check_name(name), **written))


def _leave_word(function: Any, word: tuple[str | None, dict[str, Any]]) -> None:
    if not callable(function):
        raise InvalidOptionTypeError(
            f"periodic was given {payload.text.brief(function)}; put it on a function that has "
            "@background"
        )
    try:
        setattr(function, PENDING, [*getattr(function, PENDING, ()), word])
    except AttributeError as error:
        raise InvalidOptionTypeError(
            f"periodic cannot be below @background on {function!r}; put it above"
        ) from error


def _checked(
    *,
    name: str,
    schedule: RepeatLike,
    args: Arguments = (),
    kwargs: KeywordArguments = None,
    zone: Any = None,
    catch_up: CatchUp = "skip",
) -> dict[str, Any]:
    """Return what a declaration is made of, as far as it does not depend on the function."""
    whose = f"periodic {name!r}" if name else "periodic"
    try:
        rule = _rule(schedule, zone=zone, key=name)
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        text = str(error).removeprefix("repeat ")
        raise type(error)(f"{whose}: schedule {text}") from error
    if catch_up not in CATCH_UPS:
        raise InvalidOptionError(
            f'{whose}: catch_up {catch_up!r} is unknown; use "skip", "one" or "all"'
        )
    kwargs = {} if kwargs is None else kwargs
    _check_arguments(() if callable(args) else args, {} if callable(kwargs) else kwargs)
    return {"rule": rule, "args": args, "kwargs": kwargs, "catch_up": catch_up}


def _rule(schedule: RepeatLike, *, zone: Any, key: str) -> Rule:
    rule = make_rule(schedule, zone=zone, key=key)
    if rule is None:
        raise InvalidOptionError(
            f"{schedule!r} never comes; use seconds above 0, a timedelta or a crontab line"
        )
    if _begins_now(schedule):
        raise InvalidOptionError(
            f"{str(rule)[:100]!r} begins when it is made, at another time in each worker; "
            "give the rrule a dtstart"
        )
    where = zone_called(getattr(rule, "zone", "UTC"))
    return rule.anchored(EPOCH.replace(tzinfo=where))


def _begins_now(schedule: Any) -> bool:
    """Tell whether dateutil has chosen the start of a rule, which it does not remember."""
    for rule in (schedule, *getattr(schedule, "_rrule", ())):
        start = getattr(rule, "_dtstart", None)
        with suppress(TypeError):
            if start and timedelta(0) <= datetime.now(start.tzinfo) - start < JUST_NOW:
                return True
    return False


def _check_arguments(args: Any, kwargs: Any) -> None:
    if not isinstance(args, list | tuple):
        raise InvalidOptionTypeError(
            f"args is of type {type(args).__name__}; use a list, or a function that returns one"
        )
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidOptionTypeError(
            f"kwargs, of type {type(kwargs).__name__}, is no dict with names as keys; use one, or "
            "a function that returns one"
        )
    if options := [name for name in RESERVED if name in kwargs]:
        raise InvalidOptionTypeError(
            f"kwargs has {', '.join(options)}, which no call passes on to the function; put "
            "@periodic on task.using(...) to give options"
        )


def _called(function: Any) -> str:
    """Return what a function is called, the same in each process."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
