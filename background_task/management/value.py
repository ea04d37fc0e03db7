"""What the values of options may be. Refusals give the value, the rule and the remedy.

The same functions read the texts of a command line and check what ``call_command`` was given.
"""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from typing import Any

from ..exceptions import InvalidOptionError
from ..option import check_worker_id

#: What a process may return.
LARGEST_EXIT_CODE = 255
LARGEST_PORT = 65_535
#: Nobody reads faster than that.
SHORTEST_INTERVAL = 0.1


def time(given: Any) -> float:
    """Read a number of seconds, also below 0."""
    seconds = _number(given)
    if seconds is None or not math.isfinite(seconds):
        raise ArgumentTypeError(f"{given} is not a time; use seconds, 0 for ever")
    return int(seconds) if seconds == int(seconds) else seconds


def pause(given: Any) -> float:
    """Read the longest pause between two looks."""
    seconds = _number(given)
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        raise ArgumentTypeError(f"{given} is not a pause; use 0 or more seconds")
    return seconds


def interval(given: Any) -> float:
    """Read the pause between two looks of a person."""
    seconds = _number(given)
    if seconds is None or not SHORTEST_INTERVAL <= seconds < math.inf:
        raise ArgumentTypeError(f"{given} is no pause; use {SHORTEST_INTERVAL} or more seconds")
    return seconds


def patience(given: Any) -> float:
    """Read for how long running tasks are waited for; 0 becomes infinite."""
    seconds = _number(given)
    if seconds is None or math.isnan(seconds) or seconds < 0:
        raise ArgumentTypeError(
            f"{given} is not a time; use seconds above 0, or 0 to wait as long as it takes"
        )
    return seconds or math.inf


def count(given: Any) -> int:
    """Read how many there are to be."""
    number = _whole(given)
    if number is None:
        raise ArgumentTypeError(f"{given!r} is no whole number; use 1 or more")
    if number < 1:
        raise ArgumentTypeError(f"{given} would run nothing; use 1 or more")
    return number


def mebibytes(given: Any) -> float:
    """Read a limit of memory."""
    return _limit(given, "MiB")


def age(given: Any) -> float:
    """Read a limit of time."""
    return _limit(given, "seconds")


def exit_code(given: Any) -> int:
    """Read what a process is to return."""
    number = _whole(given)
    if number is None or not 0 <= number <= LARGEST_EXIT_CODE:
        raise ArgumentTypeError(
            f"{given} is no exit code; use a whole number from 0 to {LARGEST_EXIT_CODE}"
        )
    return number


def port(given: Any) -> int:
    """Read where to listen."""
    number = _whole(given)
    if number is None or not 1 <= number <= LARGEST_PORT:
        raise ArgumentTypeError(f"{given} is no port; use a whole number from 1 to {LARGEST_PORT}")
    return number


def worker_id(given: Any) -> str:
    """Read the name of a worker."""
    try:
        return check_worker_id(given)
    except InvalidOptionError as error:
        raise ArgumentTypeError(str(error)) from None


def _limit(given: Any, unit: str) -> float:
    limit = _number(given)
    if limit is None or not 0 < limit < math.inf:
        raise ArgumentTypeError(f"{given} is no limit; use {unit} above 0")
    return limit


def _number(given: Any) -> float | None:
    try:
        return float(given)
    except (TypeError, ValueError, OverflowError):
        return None


def _whole(given: Any) -> int | None:
    if isinstance(given, float) and not given.is_integer():
        return None
    try:
        return int(given)
    except (TypeError, ValueError, OverflowError):
        return None
