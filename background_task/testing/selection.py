"""Which tasks a test speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from ..exceptions import InvalidOptionTypeError, brief
from ..models import TaskQuerySet
from ..option import check_queue
from ..task_proxy import TaskProxy


class _Any:
    """The type of ``ANY``."""

    def __repr__(self) -> str:
        return "ANY"


#: Where None has a meaning of its own: whatever it is.
ANY: Final = _Any()

Queue: TypeAlias = "str | _Any | None"


def name_of(function: Any) -> str:
    """Return the name under which rows refer to a function, or raise.

    Args:
        function: What ``@background`` or ``django.tasks.task`` returned, or the name itself.

    Raises:
        InvalidOptionTypeError: It is nothing of the kind.
    """
    if isinstance(function, TaskProxy):
        return function.name
    name = function if isinstance(function, str) else getattr(function, "module_path", None)
    if not isinstance(name, str):
        raise InvalidOptionTypeError(
            f"{brief(function)} is no task function; give what @background or @task returned, or "
            "its name"
        )
    return name


def selected(rows: TaskQuerySet, functions: Sequence[Any], queue: Queue) -> TaskQuerySet:
    """Return the rows of these functions (none means all) in this queue."""
    if functions:
        rows = rows.named([name_of(function) for function in functions])
    if isinstance(queue, _Any):
        return rows
    return rows.filter(queue=check_queue(queue))
