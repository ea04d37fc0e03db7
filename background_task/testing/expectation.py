"""What a test expects of the queue."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar
from uuid import UUID

from django.utils import timezone

from .. import payload
from ..exceptions import InvalidOptionTypeError, duration_of
from ..models import CompletedTask, Task
from ..store import get_store
from .clock import moment
from .selection import ANY, Queue, name_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

#: How many rows a message shows.
MOST_SHOWN = 20
#: Between reading the clock and storing the row, a busy machine may stand still for a while.
TOLERANCE = timedelta(seconds=5)

Row = Task | CompletedTask
R = TypeVar("R", Task, Row)


class Details(TypedDict, total=False):
    """What may be said of a task."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    queue: Queue
    run_at: datetime | timedelta
    within: timedelta | float


def assert_enqueued(
    function: Any = None, *, count: int | None = None, **details: Unpack[Details]
) -> list[Task]:
    """Check that such a task is in the queue: that it waits there to be run, now or later.

    Args:
        function: The task function, or its name; None is any.
        count: How many of them there are; None is one or more.
        **details: ``args``, all its positional arguments; ``kwargs``, all its keyword arguments;
            ``queue``, None for the unnamed one; ``run_at``, when it is due: a time, or the time
            from the call until then; ``within``, by how much that may be off, in seconds or as a
            ``timedelta``: by default 5 seconds if ``run_at`` is a ``timedelta``, else not at all.

    Returns:
        Those tasks, in the order in which they were queued.

    Raises:
        AssertionError: There are none, or not so many; it shows what is there.
    """
    return _checked(_expectation(function, details), _waiting(), count=count, where="in the queue")


def assert_not_enqueued(function: Any = None, **details: Unpack[Details]) -> None:
    """Check that no such task is in the queue; see ``assert_enqueued``.

    Without arguments, that nothing is.
    """
    _checked(_expectation(function, details), _waiting(), count=0, where="in the queue")


@contextmanager
def assert_enqueues(
    function: Any = None, *, count: int | None = None, **details: Unpack[Details]
) -> Iterator[list[Row]]:
    """Check, at the end of the ``with`` block, that such a task was queued within it.

    Also one that has ended since, as in eager mode; but not one that was rolled back. Gives a
    list, into which these tasks are put at the end of the block. See ``assert_enqueued``.
    """
    expected = _expectation(function, details)
    before, found = _uids(), list[Row]()
    yield found
    found += _checked(expected, _since(before), count=count, where="queued in this block")


@contextmanager
def assert_enqueues_nothing(function: Any = None, **details: Unpack[Details]) -> Iterator[None]:
    """Check, at the end of the ``with`` block, that no such task was queued within it.

    See ``assert_enqueues``.
    """
    expected = _expectation(function, details)
    before = _uids()
    yield
    _checked(expected, _since(before), count=0, where="queued in this block")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a task is to be like; of what is not in ``details`` nothing is said."""

    name: str | None
    details: Details

    def is_met_by(self, row: Row) -> bool:
        """Tell whether a row is like that."""
        if self.name is not None and row.task_name != self.name:
            return False
        queue = self.details.get("queue", ANY)
        if queue is not ANY and row.queue != queue:
            return False
        return self._has_arguments(row) and self._is_in_time(row)

    def _has_arguments(self, row: Row) -> bool:
        try:
            args, kwargs = json.loads(row.task_params)
        except ValueError:
            return False
        # In their stored form: no instance is read, and a tuple is a list.
        if "args" in self.details and _stored(self.details["args"], {})[0] != args:
            return False
        return "kwargs" not in self.details or _stored((), self.details["kwargs"])[1] == kwargs

    def _is_in_time(self, row: Row) -> bool:
        if "run_at" not in self.details:
            return True
        if isinstance(row, CompletedTask):  # its time is that of its end
            return False
        run_at = self.details["run_at"]
        wanted = moment(run_at, what="run_at", since=row.enqueued_at or timezone.now())
        usual = TOLERANCE if isinstance(run_at, timedelta) else timedelta(0)
        within = duration_of(self.details.get("within", usual), what="within")
        return abs(row.run_at - wanted) <= within

    def __str__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self.details.items() if value is not ANY]
        what = self.name or "a task"
        return f"{what} with {', '.join(given)}" if given else what


def _expectation(function: Any, details: Details) -> Expectation:
    unknown = [name for name in details if name not in Details.__annotations__]
    if unknown:
        raise InvalidOptionTypeError(
            f"nothing is known of {', '.join(unknown)}; use {', '.join(Details.__annotations__)}"
        )
    return Expectation(None if function is None else name_of(function), details)


def _stored(args: Any, kwargs: Any) -> Any:
    return json.loads(payload.encode(args, kwargs))


def _waiting() -> list[Task]:
    return list(get_store().tasks.filter(failed_at=None, locked_by=None).order_by("pk"))


def _uids() -> set[UUID | None]:
    store = get_store()
    archive = CompletedTask.objects.using(store.using)
    return {
        *store.tasks.values_list("uid", flat=True),
        *archive.values_list("uid", flat=True),
    }


def _since(before: Collection[UUID | None]) -> list[Row]:
    """Return the tasks that were queued since there were only those with these uids."""
    store = get_store()
    archive = CompletedTask.objects.using(store.using)
    rows: list[Row] = [*archive.order_by("pk"), *store.tasks.order_by("pk")]
    return [row for row in rows if row.uid not in before]


def _checked(expected: Expectation, rows: Iterable[R], *, count: int | None, where: str) -> list[R]:
    """Return the rows that are as expected, or raise if there are not so many."""
    rows = list(rows)
    found = [row for row in rows if expected.is_met_by(row)]
    if len(found) == count or (count is None and found):
        return found
    wanted = "at least 1" if count is None else str(count)
    shown = [f"  {place}. {_line(row)}" for place, row in enumerate(rows[:MOST_SHOWN], 1)]
    if len(rows) > MOST_SHOWN:
        shown.append(f"  ... and {len(rows) - MOST_SHOWN} more")
    there = "\n".join(shown) or "  nothing"
    raise AssertionError(
        f"{expected}: {len(found)} {where}, not {wanted}.\nWhat is {where}:\n{there}"
    )


def _line(row: Row) -> str:
    """Show a task as a call, with what else tells it from others."""
    try:
        args, kwargs = row.params()
        given = [repr(value) for value in args]
        given += [f"{name}={value!r}" for name, value in kwargs.items()]
        call = f"{row.task_name}({', '.join(given)})"
    except Exception as error:  # noqa: BLE001 - broken arguments; they are to be shown, too
        call = f"{row.task_name} with unreadable arguments ({error})"
    if isinstance(row, CompletedTask):
        return f"{call} queue={row.queue!r}, ended at {row.run_at}"
    return f"{call} queue={row.queue!r}, priority={row.priority}, due at {row.run_at}"
