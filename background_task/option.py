"""The rules for what a task's options may be; broken ones are refused before anything is stored."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime
from typing import Any

from django.utils.dateparse import parse_date, parse_datetime

from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .identity import MAX_OWNER_CHARS
from .payload import is_storable

MAX_NAME_CHARS = 190
MAX_QUEUE_CHARS = 190
MAX_VERBOSE_NAME_CHARS = 255
SMALLEST_PRIORITY, LARGEST_PRIORITY = -(2**31), 2**31 - 1
LARGEST_REPEAT = 2**63 - 1


def check_name(name: Any) -> str:
    """Return a task's name, or raise."""
    return _text(name, what="task name", longest=MAX_NAME_CHARS, shortest=1)


def check_queue(queue: Any) -> str | None:
    """Return a queue's name, or raise; None is the unnamed queue."""
    return None if queue is None else _text(queue, what="queue", longest=MAX_QUEUE_CHARS)


def check_worker_id(worker_id: Any) -> str:
    """Return the id of a worker, or raise; it stands in lines and lists, so it is one word."""
    is_word = isinstance(worker_id, str) and worker_id.isascii() and worker_id.isprintable()
    if not is_word or not 1 <= len(worker_id) <= MAX_OWNER_CHARS or " " in worker_id:
        raise InvalidOptionError(
            f"{worker_id!r} is no id of a worker; use 1 to {MAX_OWNER_CHARS} ASCII letters, digits "
            "and signs, without spaces"
        )
    return str(worker_id)


def check_whole(value: Any, *, what: str) -> int:
    """Return a whole number, or raise."""
    return _integer(value, what=what)


def check_verbose_name(verbose_name: Any) -> str | None:
    """Return a verbose name, or raise; translated texts are accepted."""
    if verbose_name is None:
        return None
    return _text(str(verbose_name), what="verbose_name", longest=MAX_VERBOSE_NAME_CHARS)


def check_priority(priority: Any) -> int:
    """Return a priority, or raise."""
    number = _integer(priority, what="priority")
    if not SMALLEST_PRIORITY <= number <= LARGEST_PRIORITY:
        raise InvalidOptionError(
            f"priority {priority!r} does not fit into the column; "
            f"use {SMALLEST_PRIORITY} to {LARGEST_PRIORITY}"
        )
    return number


def check_repeat(repeat: Any) -> int:
    """Return a period in whole seconds, or raise; None means 0, never."""
    number = 0 if repeat is None else _integer(repeat, what="repeat")
    if abs(number) > LARGEST_REPEAT:
        raise InvalidOptionError(f"repeat {repeat!r} is out of range; give a period in seconds")
    return number


def check_moment(value: Any, *, what: str) -> datetime | None:
    """Return a point in time, or raise; a date and ISO 8601 text are read as such."""
    if isinstance(value, str):
        with suppress(ValueError):  # of the right form, but no such day
            value = parse_datetime(value) or parse_date(value) or value
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)  # noqa: DTZ001 - as the field does
    if value is None or isinstance(value, datetime):
        return value
    raise InvalidOptionTypeError(
        f"{what} {value!r} is of type {type(value).__name__}; use a datetime or None"
    )


def _text(value: Any, *, what: str, longest: int, shortest: int = 0) -> str:
    if not isinstance(value, str):
        raise InvalidOptionTypeError(
            f"{what} {value!r} is of type {type(value).__name__}; use a str"
        )
    if not shortest <= len(value) <= longest:
        raise InvalidOptionError(
            f"{what} {value[:100]!r} has {len(value)} characters; use {shortest} to {longest}"
        )
    if not is_storable(value):
        raise InvalidOptionError(
            f"{what} {value!r} holds a NUL or half of a surrogate pair, "
            "which databases refuse; use ordinary text"
        )
    return value


def _integer(value: Any, *, what: str) -> int:
    try:
        number = int(value)
        is_whole = isinstance(value, str) or number == value
    except (TypeError, ValueError, OverflowError):
        is_whole = False
    if not is_whole:
        raise InvalidOptionTypeError(
            f"{what} {value!r} is of type {type(value).__name__}; use a whole number"
        )
    return number
