"""The decorator ``task`` with our options, on every version of the framework, and with types."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeVar, overload

from .exceptions import InvalidOptionTypeError
from .policy_task import OPTIONS, PolicyTask
from .task_framework import task_backends

if TYPE_CHECKING:
    from datetime import datetime

    from typing_extensions import Unpack

    from .limiter import LimitOptions
    from .policy_option import PolicyOptions
    from .recurrence import RepeatLike
    from .repeat_option import RepeatOptions
    from .task_framework import TaskContext
    from .uniqueness import UniqueOptions

    class TaskOptions(PolicyOptions, UniqueOptions, LimitOptions, RepeatOptions, total=False):
        """What ``task`` takes besides what that of the framework does."""

        repeat: RepeatLike
        repeat_until: datetime | None


P = ParamSpec("P")
R = TypeVar("R")


@overload
def task(function: Callable[P, R]) -> PolicyTask[P, R]: ...
@overload
def task(
    *,
    priority: int = 0,
    queue_name: str = "default",
    backend: str = "default",
    takes_context: Literal[False] = False,
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[P, R]], PolicyTask[P, R]]: ...
@overload
def task(
    *,
    priority: int = 0,
    queue_name: str = "default",
    backend: str = "default",
    takes_context: Literal[True],
    **options: Unpack[TaskOptions],
) -> Callable[[Callable[Concatenate[TaskContext[..., Any], P], R]], PolicyTask[P, R]]: ...


def task(
    function: Any = None,
    *,
    priority: int = 0,
    queue_name: str = "default",
    backend: str = "default",
    takes_context: bool = False,
    **options: Any,
) -> Any:
    """Decorate a function of a module, so that it can be queued. With or without parentheses.

    Where the alias leads to a backend that is not ours, as it may in a project's tests, the options
    are kept and have no effect.

    Args:
        function: What to decorate.
        priority: From -100 to 100; higher runs first.
        queue_name: The name of the queue.
        backend: The alias of the backend.
        takes_context: Whether the function's first argument is a ``TaskContext``.
        **options: See ``PolicyTask``.

    Raises:
        InvalidTask: The backend does not take it.
        InvalidOptionError: An option has a value that cannot work (a ``ValueError``).
        InvalidOptionTypeError: One is unknown or of a wrong type (a ``TypeError``).
    """
    if "run_after" in options:
        raise InvalidOptionTypeError(
            "a decorator cannot say when each of its tasks is to run; "
            "use .using(run_after=...).enqueue(...)"
        )
    if unknown := [name for name in options if name not in OPTIONS]:
        raise InvalidOptionTypeError(
            f"task has no option {', '.join(unknown)}; it takes priority, queue_name, backend, "
            f"takes_context, {', '.join(OPTIONS)}"
        )

    def decorate(function: Callable[..., Any]) -> PolicyTask[..., Any]:
        kind = task_backends[backend].task_class
        if not issubclass(kind, PolicyTask):
            kind = PolicyTask
        return kind(
            func=function,
            priority=priority,
            queue_name=queue_name,
            backend=backend,
            run_after=None,
            takes_context=takes_context,
            **options,
        )

    return decorate if function is None else decorate(function)
