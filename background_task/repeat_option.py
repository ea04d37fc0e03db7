"""How often a chain runs, and what becomes of runs that it has missed: options of one call.

They stand in the row, beside those of its policy, and each run hands them on to the next one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, cast

from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, number_of
from .option import LARGEST_REPEAT
from .policy_option import parse_overrides
from .recurrence import CATCH_UPS, CatchUp
from .recurrence.rule import like
from .recurrence.zone import instant

#: Keys in ``options``: the runs that are left, this one included; what was missed; and the time
#: for which this run was scheduled, if a retry has moved it.
RUNS, MISSED, TICK = "runs", "catch_up", "tick"
#: What a row's ``options`` hold if its chain makes up for what it has missed.
MAKING_UP = f'"{MISSED}":'
#: Key under which that time stands once a caller has moved the run, whose chain goes on from there.
#: It counts no more; renamed, because the statement that moves the row can do that.
LEFT = "left"
TICK_TEXT, LEFT_TEXT = f'"{TICK}":', f'"{LEFT}":'


class RepeatOptions(TypedDict, total=False):
    """The options as people write them. None leaves one open."""

    repeat_count: int | None
    catch_up: CatchUp | None


REPEAT_OPTIONS = tuple(RepeatOptions.__annotations__)


@dataclass(frozen=True, slots=True)
class Chain:
    """What a row says about the chain that it is a run of.

    Attributes:
        runs_left: How many runs there are to be, this one included; None for no end.
        catch_up: What becomes of occurrences that pass while no worker runs the chain.
        tick: The time for which the run was scheduled, if that is not the row's any more.
        problem: What could not be read, and was left out.
    """

    runs_left: int | None = None
    catch_up: CatchUp = "skip"
    tick: datetime | None = None
    problem: str | None = None

    @classmethod
    def read(cls, options: str | Mapping[str, Any] | None) -> Chain:
        """Return what a row's options say; those that are no options at all say nothing.

        Raises:
            InvalidOptionError: How many runs are left cannot be read. To go on without an end is
                not what was asked for.
            InvalidOptionTypeError: Likewise.
        """
        values = _parsed(options)
        runs_left = values.get(RUNS)
        if runs_left is not None:
            runs_left = check_repeat_count(runs_left)
        try:
            catch_up = check_catch_up(values.get(MISSED))
            tick = None if values.get(TICK) is None else datetime.fromisoformat(values[TICK])
        except (TypeError, ValueError) as error:
            return cls(runs_left, problem=f"catch_up is ignored: {error}")
        return cls(runs_left, catch_up, tick)

    @property
    def is_last(self) -> bool:
        """Whether no other run is to follow."""
        return self.runs_left is not None and self.runs_left <= 1

    def scheduled_at(self, run_at: datetime) -> datetime:
        """Return the time from which the next one is counted, aware or naive as ``run_at``."""
        return run_at if self.tick is None else like(run_at, instant(self.tick))


def check_repeat_count(value: Any) -> int:
    """Return how many runs a chain is to have, or raise.

    Raises:
        InvalidOptionError: There would be none.
        InvalidOptionTypeError: It is no whole number.
    """
    remedy = f"use 1 (once) to {LARGEST_REPEAT}, or None for no end"
    return number_of(value, what="repeat_count", most=LARGEST_REPEAT, remedy=remedy)


def check_catch_up(value: Any) -> CatchUp:
    """Return what is to become of missed runs, or raise; None means "skip".

    Raises:
        InvalidOptionError: It is unknown.
        InvalidOptionTypeError: It is no text.
    """
    if value is None:
        return "skip"
    if value in CATCH_UPS:
        return cast("CatchUp", value)
    error = InvalidOptionError if isinstance(value, str) else InvalidOptionTypeError
    raise error(f'catch_up {brief(value)} is unknown; use "skip", "one" or "all"')


def check_effect(given: Mapping[str, Any]) -> None:
    """Refuse options of a chain in a call that begins none.

    Raises:
        InvalidOptionError: One of them is not None.
    """
    if idle := [name for name in REPEAT_OPTIONS if given.get(name) is not None]:
        raise InvalidOptionError(
            f"{' and '.join(f'{name} {brief(given[name])}' for name in idle)} has no effect "
            "without repeat; give the call a repeat, or leave it out"
        )


def begun(options: str | None, *, repeat_count: Any, catch_up: Any) -> str | None:
    """Return what to store with the first run of a chain.

    Args:
        options: What is stored with it anyway.
        repeat_count: As people write it.
        catch_up: Likewise.

    Raises:
        InvalidOptionError: A value that cannot work.
        InvalidOptionTypeError: A type that cannot work.
    """
    if repeat_count is None and catch_up is None:
        return options
    runs = None if repeat_count is None else check_repeat_count(repeat_count)
    missed = check_catch_up(catch_up)
    return _changed(options, {RUNS: runs, MISSED: None if missed == "skip" else missed})


def handed_on(options: str | None, chain: Chain) -> str | None:
    """Return what to store with the run that follows one with these options."""
    changes: dict[str, Any] = {}
    if chain.runs_left is not None:
        changes[RUNS] = chain.runs_left - 1
    if chain.tick is not None:
        changes[TICK] = None
    if options is not None and LEFT_TEXT in options:
        changes[LEFT] = None
    return _changed(options, changes)


def put_off(options: str | None, *, run_at: datetime) -> str | None:
    """Return the options of a run that is to be run again at another time than ``run_at``.

    A chain that makes up for what it has missed would else take for seen to what lies between.
    """
    if options is None or MAKING_UP not in options or TICK in _parsed(options):
        return options
    return _changed(options, {TICK: instant(run_at).isoformat()})


def problem_of(options: str | Mapping[str, Any] | None) -> str | None:
    """Return what is wrong with the options of a row's chain; never raises."""
    try:
        return Chain.read(options).problem
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        return f"the chain ends: {error}"


def _changed(options: str | None, changes: Mapping[str, Any]) -> str | None:
    """Return options with other values; None takes one out."""
    if not changes:
        return options
    stored = {**_parsed(options), **changes}
    kept = {key: value for key, value in stored.items() if value is not None or key not in changes}
    return json.dumps(kept, separators=(",", ":")) if kept else None


def _parsed(options: str | Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not options:
        return {}
    try:
        return parse_overrides(options)
    except (TypeError, ValueError, RecursionError):
        return {}
