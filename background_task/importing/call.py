"""What a row of another system asks for, in the words of this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from ..exceptions import InvalidOptionError
from ..recurrence import Rule

#: The alias that a project has if it names none.
DEFAULT_BACKEND = "default"


@dataclass(frozen=True, slots=True)
class Call:
    """A waiting task, or a schedule, as its reader found it.

    Attributes:
        key: The primary key of the row.
        uid: What the task is known by, there and here: the same each time the row is read.
        path: The function, as the other system calls it.
        args: Positional arguments.
        kwargs: Keyword arguments.
        queue: None leaves it to the function.
        priority: Likewise.
        run_at: When it is due; of a schedule its next time; None means now.
        enqueued_at: Since when it has been waiting.
        backend: The alias in ``TASKS`` under which it was queued.
        name: What people call the schedule.
        rule: When it is to be run again; None for once.
        until: No run is due after it.
        runs: How many runs are left; None for no end.
        expires: After how many seconds a run is too late.
        dropped: What the row says that nothing here corresponds to, and that can be done without.
    """

    key: Any
    uid: UUID
    path: str
    args: Sequence[Any] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    queue: str | None = None
    priority: int | None = None
    run_at: datetime | None = None
    enqueued_at: datetime | None = None
    backend: str | None = None
    name: str | None = None
    rule: Rule | None = None
    until: datetime | None = None
    runs: int | None = None
    expires: float | None = None
    dropped: tuple[str, ...] = ()


def checked_arguments(args: Any, kwargs: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Return arguments of a row, if they have the form of arguments.

    Raises:
        InvalidOptionError: They do not.
    """
    if not isinstance(args, list | tuple):
        raise InvalidOptionError(
            f"its arguments, of type {type(args).__name__}, are no list; correct the row"
        )
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidOptionError("its keyword arguments are no object with names; correct the row")
    return args, kwargs


def uid_of(table: str, key: Any) -> UUID:
    """Return a uid for a row that has none of its own, always the same."""
    return uuid5(NAMESPACE_URL, f"{table}/{key}")
