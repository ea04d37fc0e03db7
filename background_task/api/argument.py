"""What the functions for code have in common: their arguments, checked, and what they return."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import option
from ..exceptions import InvalidOptionError, InvalidOptionTypeError, brief, number_of
from ..identity import MAX_OWNER_CHARS
from ..models import CompletedTask, Task
from ..payload import is_storable
from ..registry import Registry
from ..store.selection import NO_BACKEND, BackendLike, Selection
from ..tasks import autodiscover, tasks

if TYPE_CHECKING:
    from ..task_framework import TaskResult

Row: TypeAlias = Task | CompletedTask
#: What the functions return of a task: its row, or what ``django.tasks`` calls its result.
Standing: TypeAlias = "Task | CompletedTask | TaskResult[..., Any]"
#: A length of time: a ``timedelta``, seconds, or text such as "30d" or "1h30m".
SpanLike: TypeAlias = timedelta | float | str

LARGEST_COUNT = 2**31 - 1


def as_result(row: Row) -> Standing:
    """Return what stands for a task outside.

    Of one that a backend of ``django.tasks`` has queued, a result; or still the row, if its path
    leads nowhere, as no result can be made then.
    """
    if row.backend is None:
        return row
    from ..task_result import result_of  # not every project has that framework

    try:
        return result_of(row)
    except Exception:  # noqa: BLE001 - the project's module, or a broken payload
        return row


def registry() -> Registry:
    """Return the functions by name, those of all installed apps."""
    autodiscover()
    return tasks._tasks


def owner_of(worker_id: Any) -> str:
    """Return the name under which to claim, or raise.

    Raises:
        InvalidOptionError: It has no characters, or too many.
        InvalidOptionTypeError: It is no text.
    """
    if worker_id is None:
        return tasks._runner.worker_name
    if not isinstance(worker_id, str):
        raise InvalidOptionTypeError(
            f"worker_id {brief(worker_id)} is of type {type(worker_id).__name__}; use a str"
        )
    if not 1 <= len(worker_id) <= MAX_OWNER_CHARS or not is_storable(worker_id):
        raise InvalidOptionError(
            f"worker_id {brief(worker_id)} cannot be stored as a name; use 1 to {MAX_OWNER_CHARS} "
            "ordinary characters"
        )
    return worker_id


def selection_of(queue: Any, backend: BackendLike = None, names: Collection[str] = ()) -> Selection:
    """Return which rows are meant, or raise.

    Raises:
        InvalidOptionError: A name that cannot be.
        InvalidOptionTypeError: A name of a wrong type.
    """
    if isinstance(names, str):
        raise InvalidOptionTypeError(
            f"names {brief(names)} is a text; use a list of names of task functions"
        )
    if backend not in (None, NO_BACKEND) and not isinstance(backend, str):
        raise InvalidOptionTypeError(
            f"backend {brief(backend)} is of type {type(backend).__name__}; use an alias of TASKS, "
            "NO_BACKEND for the tasks of @background, or None for all"
        )
    checked = tuple(map(option.check_name, names))
    return Selection(names=checked, queue=option.check_queue(queue), backend=backend)


def count_of(value: Any, *, what: str) -> int:
    """Return a whole number from 1 on, or raise.

    Raises:
        InvalidOptionError: It is below 1.
        InvalidOptionTypeError: It is no whole number.
    """
    return number_of(value, what=what, most=LARGEST_COUNT, remedy=f"use 1 to {LARGEST_COUNT}")
