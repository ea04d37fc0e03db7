"""The public API: the decorator, what it returns, and running tasks from code."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from datetime import datetime
from multiprocessing.pool import ThreadPool
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from django.db import OperationalError, models as django_models
from django.utils import timezone

from . import option, signals, telemetry
from .attempt import Claim
from .exceptions import BackgroundTaskError, InvalidOptionTypeError
from .models import Task
from .registry import import_task_modules
from .runner import DBTaskRunner, PoolRunner, bg_runner
from .schedule import ScheduleLike, TaskSchedule, as_local
from .settings import app_settings
from .store import get_store

__all__ = [
    "BackgroundTaskError",
    "DBTaskRunner",
    "OperationalError",
    "PoolRunner",
    "Task",
    "TaskProxy",
    "TaskSchedule",
    "Tasks",
    "ThreadPool",
    "app_settings",
    "autodiscover",
    "background",
    "bg_runner",
    "logger",
    "signals",
    "tasks",
    "timezone",
]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

autodiscover = import_task_modules


#: Keywords of a call that are options, and never reach the function.
RESERVED = (
    "schedule",
    "priority",
    "queue",
    "verbose_name",
    "creator",
    "repeat",
    "repeat_until",
    "remove_existing_tasks",
)


class TaskProxy(Generic[P, R]):
    """What the decorator returns: calling it stores a task.

    Attributes:
        name: The name under which rows refer to the function.
        task_function: The undecorated function.
        now: The same; ``proxy.now(...)`` reads as "run it now, here".
        schedule: The default schedule.
        queue: The default queue.
        remove_existing_tasks: Whether waiting rows of the same call are deleted first.
    """

    def __init__(
        self,
        name: str,
        task_function: Callable[P, R],
        schedule: ScheduleLike,
        queue: str | None,
        remove_existing_tasks: bool,
        runner: DBTaskRunner,
    ) -> None:
        functools.update_wrapper(self, task_function, updated=())
        self.name = option.check_name(name)
        self.now = self.task_function = task_function
        self._signature = _signature_of(task_function)
        self.runner = runner
        self.schedule = TaskSchedule.create(schedule)
        self.queue = option.check_queue(queue)
        self.remove_existing_tasks = remove_existing_tasks

    # A call with none of the reserved keywords is checked against the function's own parameters.
    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, schedule: ScheduleLike, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, priority: int, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, queue: str | None, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, verbose_name: str | None, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(
        self, *args: Any, creator: django_models.Model | None, **kwargs: Any
    ) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, repeat: int | None, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, repeat_until: datetime | None, **kwargs: Any) -> Task | None: ...
    @overload
    def __call__(self, *args: Any, remove_existing_tasks: bool, **kwargs: Any) -> Task | None: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Task | None:
        """Store a call, to be run by a worker.

        The row is inserted in the caller's transaction, if there is one, and rolls back with it.

        Args:
            *args: Positional arguments of the function, JSON only.
            **kwargs: Keyword arguments of the function, JSON only, and these reserved ones, which
                the function never sees: ``schedule`` (see ``TaskSchedule.create``), ``priority``,
                ``queue`` (None for the unnamed one), ``verbose_name``, ``creator`` (a saved model
                instance), ``repeat`` (seconds), ``repeat_until``, ``remove_existing_tasks``.

        Returns:
            The saved task; None when the schedule's action kept or moved an existing one.

        Raises:
            InvalidOptionError: A value that cannot be stored (a ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an argument without a JSON form (a
                ``TypeError``).
        """
        schedule = TaskSchedule.create(kwargs.pop("schedule", None)).merge(self.schedule)
        priority = kwargs.pop("priority", None)
        options = {
            "run_at": schedule.run_at,
            "priority": schedule.priority if priority is None else priority,
            "action": schedule.action,
            "queue": kwargs.pop("queue", self.queue),
            "verbose_name": kwargs.pop("verbose_name", None),
            "creator": kwargs.pop("creator", None),
            "repeat": kwargs.pop("repeat", None),
            "repeat_until": kwargs.pop("repeat_until", None),
            "remove_existing_tasks": kwargs.pop(
                "remove_existing_tasks", self.remove_existing_tasks
            ),
        }
        self._check_arguments(args, kwargs)
        return self.runner.schedule(self.name, args, kwargs, **options)

    def _check_arguments(self, args: Any, kwargs: Any) -> None:
        """Refuse what the function would refuse, such as a misspelt option, before it is stored."""
        if self._signature is None:
            return
        try:
            self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidOptionTypeError(
                f"{self.name} cannot be called so: {error}; it takes {self._signature}, and the "
                f"options {', '.join(RESERVED)}"
            ) from None

    def __str__(self) -> str:
        return f"TaskProxy({self.name})"


class Tasks:
    """A registry of task functions with everything needed to schedule and run them."""

    def __init__(self) -> None:
        self._tasks: dict[str, TaskProxy[..., Any]] = {}
        self._runner = DBTaskRunner()
        self._task_proxy_class = TaskProxy
        self._bg_runner = bg_runner
        self._pool_runner = PoolRunner(bg_runner)

    @overload
    def background(self, name: Callable[P, R]) -> TaskProxy[P, R]: ...
    @overload
    def background(
        self,
        name: str | None = None,
        schedule: ScheduleLike = None,
        queue: str | None = None,
        remove_existing_tasks: bool = False,
    ) -> Callable[[Callable[P, R]], TaskProxy[P, R]]: ...

    def background(
        self,
        name: Any = None,
        schedule: ScheduleLike = None,
        queue: str | None = None,
        remove_existing_tasks: bool = False,
    ) -> Any:
        """Decorate a function, so that calling it stores a task. With or without parentheses.

        Args:
            name: The name that rows carry; by default ``module.function``. Give one to be free to
                move or rename the function while rows wait.
            schedule: The default schedule: seconds, timedelta, datetime, mapping, TaskSchedule.
            queue: The default queue, at most 190 characters; None is the unnamed one.
            remove_existing_tasks: Delete waiting rows of the same call before adding one.

        Raises:
            InvalidOptionError: A value that cannot work (a ``ValueError``).
            InvalidOptionTypeError: A wrong type (a ``TypeError``).
        """
        function = None
        if callable(name):
            function, name = name, None
        if name is not None:
            option.check_name(name)
        option.check_queue(queue)
        schedule = TaskSchedule.create(schedule)

        def decorate(function: Callable[P, R]) -> TaskProxy[P, R]:
            proxy = self._task_proxy_class(
                name or _default_name(function),
                function,
                schedule,
                queue,
                remove_existing_tasks,
                self._runner,
            )
            self._tasks[proxy.name] = proxy
            return proxy

        return decorate(function) if function is not None else decorate

    def run_task(self, task_name: Task | str, args: Any = None, kwargs: Any = None) -> None:
        """Run a row, or a registered function by name; on the pool if the settings say so.

        Args:
            task_name: The row, whose own arguments count; or a name.
            args: Positional arguments, with a name.
            kwargs: Keyword arguments, with a name.

        Raises:
            KeyError: No function is registered under the name.
        """
        task = task_name if isinstance(task_name, Task) else None
        proxy = self._tasks[task.task_name if task is not None else cast("str", task_name)]
        is_pooled = app_settings.BACKGROUND_TASK_RUN_ASYNC and not get_store().in_transaction()
        run = self._pool_runner if is_pooled else self._bg_runner
        run(proxy, task, *(args or ()), **(kwargs or {}))

    def run_next_task(self, queue: str | None = None) -> bool:
        """Run the first due row of the queue, or of any; False if there was none."""
        return self._runner.run_next_task(self, queue)


def _signature_of(function: Any) -> inspect.Signature | None:
    """Return the function's own signature, not that of one it wraps; None if it has none."""
    try:
        return inspect.signature(function, follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _default_name(function: Callable[..., Any]) -> str:
    try:
        return f"{function.__module__}.{function.__name__}"
    except AttributeError:
        raise InvalidOptionTypeError(
            f"{function!r} cannot be named by itself; use @background(name='...') on a callable "
            "that has no __name__"
        ) from None


tasks = Tasks()
background = tasks.background


#: Event -> method of the logger, and message; fields of the event fill it.
MESSAGES = {
    "start": ("info", "Running %(claim)s (attempt %(attempt)d)"),
    "success": (
        "info",
        "Ran task and deleting %(claim)s (attempt %(attempt)d, %(seconds).3f s)%(next)s",
    ),
    "error": ("error", "Rescheduling %(claim)s (attempt %(attempt)d)"),
    "release": ("info", "Released %(claim)s: %(reason)s"),
    "late": ("warning", "Dropped the outcome of %(claim)s: others had already taken it over"),
    "reduced": (
        "error",
        "The database refused the outcome of %(claim)s; storing it in a simpler form",
    ),
    "overrun": (
        "warning",
        "%(claim)s has been running for %(seconds).0f s, longer than BACKGROUND_TASK_MAX_RUN_TIME",
    ),
    "mess": ("warning", "After %(claim)s: %(what)s"),
    "defect": (
        "critical",
        (
            "The outcome of %(claim)s could not be handled; its row stays locked until this worker "
            "ends"
        ),
    ),
    "unreachable": ("warning", "Failed to retrieve tasks. Database unreachable."),
    "not_ours": ("warning", "Not running %(task)s: it is gone, or somebody else is running it"),
    "broken": ("error", "Running %(proxy)s on the pool failed"),
    "error_without_row": ("error", "%(proxy)s failed; it has no row, so it is not tried again"),
}
#: Events whose exception is worth its traceback.
WITH_TRACEBACK = ("error", "reduced", "defect", "broken", "error_without_row")


@telemetry.subscribe
def _log(name: str, fields: dict[str, Any]) -> None:
    """Write what happens to tasks to this module's logger, with fields for structured logging."""
    if name not in MESSAGES:
        return
    method, message = MESSAGES[name]
    extra: dict[str, Any] = {"event": name}
    claim = fields.get("claim")
    if isinstance(claim, Claim):
        extra |= {
            "task_id": claim.task_id,
            "task_uid": str(claim.uid),
            "task_name": claim.task_name,
            "queue": claim.queue,
            "attempt": claim.attempt,
            "seconds": fields.get("seconds"),
        }
    repeats_at = fields.get("repeats_at")
    following = f"; next run at {as_local(repeats_at)}" if repeats_at else ""
    exception = fields.get("exception") if name in WITH_TRACEBACK else None
    write = getattr(logger, method)
    write(message, {**fields, **extra, "next": following}, exc_info=exception, extra=extra)
