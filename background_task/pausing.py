"""Pauses a queue or a function while workers run, and lets it go on."""

from __future__ import annotations

from enum import Enum
from typing import Any

from .exceptions import InvalidOptionTypeError
from .models import Pause
from .option import check_name, check_queue
from .store import task_database
from .store.pause import Paused, Pauses
from .task_proxy import TaskProxy

__all__ = ["Paused", "pause", "paused", "resume"]


class Left(Enum):
    """What an argument is that was left out: None is a queue."""

    OUT = "left out"


def pause(*, queue: str | Left | None = Left.OUT, function: Any = Left.OUT) -> bool:
    """Let no worker begin a task of a queue, or of a function, until ``resume`` is called.

    It holds for every claim that begins after the commit, in any process. Tasks that run go on to
    their end, and so may those that a worker has in hand, some 50 milliseconds of work. Calls go on
    saving rows, periodic tasks go on ticking, and a task can still be run by hand.

    Belongs to the caller's transaction if there is one. May be called by any thread.

    Args:
        queue: The name of a queue; None is the unnamed one. Either this or ``function``.
        function: A task function, or the name of one, which need not exist here.

    Returns:
        Whether that has changed anything: False if it is paused already.

    Raises:
        InvalidOptionTypeError: Neither or both were given, or something that is neither a name nor
            a task function.
        InvalidOptionError: A name that no queue or function can have.
    """
    return Pauses(task_database()).pause(*_what(queue, function))


def resume(*, queue: str | Left | None = Left.OUT, function: Any = Left.OUT) -> bool:
    """Let workers go on with a queue or a function, and wake those that are idle.

    Belongs to the caller's transaction if there is one. May be called by any thread.

    Args:
        queue: As for ``pause``.
        function: As for ``pause``.

    Returns:
        Whether that has changed anything: False if it is not paused.

    Raises:
        InvalidOptionTypeError: As for ``pause``.
        InvalidOptionError: As for ``pause``.
    """
    return Pauses(task_database()).resume(*_what(queue, function))


def paused() -> list[Paused]:
    """Return what is paused, the oldest pause first."""
    return Pauses(task_database()).all()


def _what(queue: Any, function: Any) -> tuple[str, str | None]:
    """Return the kind and the name of what is meant, or raise."""
    if (queue is Left.OUT) == (function is Left.OUT):
        both = "neither a queue nor a function" if queue is Left.OUT else "a queue and a function"
        raise InvalidOptionTypeError(
            f"{both} was named; name one: queue='mail' (queue=None is the unnamed queue) "
            "or function='shop.tasks.send'"
        )
    if queue is not Left.OUT:
        return Pause.QUEUE, check_queue(queue) or None
    if isinstance(function, TaskProxy):
        return Pause.FUNCTION, function.name
    if not isinstance(function, str):
        raise InvalidOptionTypeError(
            f"function {function!r} is of type {type(function).__name__}; "
            "use a function with @background, or its name"
        )
    return Pause.FUNCTION, check_name(function)
