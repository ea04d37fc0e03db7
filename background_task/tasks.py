"""The public API: the decorator, what it returns, and running tasks from code."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from django.db import OperationalError, models as django_models
from django.utils import timezone

from . import option, signals, telemetry
from .attempt import Claim
from .call import RESERVED, CallOptions, Parameters
from .exceptions import BackgroundTaskError, InvalidOptionTypeError
from .models import Task
from .producer import TaskSpec, check_options, enqueue_many
from .registry import import_task_modules
from .runner import DBTaskRunner, PoolRunner, bg_runner
from .schedule import ScheduleLike, TaskSchedule, as_local
from .settings import app_settings
from .store import get_store

if TYPE_CHECKING:
    from typing_extensions import Unpack

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
        self._parameters = Parameters(self.name, task_function)
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
        options = self._take_options(kwargs)
        self._parameters.check(args, kwargs)
        return self.runner.schedule(self.name, args, kwargs, **options)

    def bulk(
        self,
        calls: Iterable[tuple[Sequence[Any], Mapping[str, Any]]],
        /,
        **options: Unpack[CallOptions],
    ) -> list[Task]:
        """Store many calls with few statements: all of them, or none.

        The rows are inserted in the caller's transaction, if there is one, else in one of their
        own. Django's ``pre_save`` and ``post_save`` are not sent; ``task_created`` is, for each
        task, once all are stored.

        Args:
            calls: An ``(args, kwargs)`` for each call. Any iterable of any length: it is read as
                the rows are sent.
            **options: The reserved keywords of a call, here for all calls alike.

        Returns:
            The saved tasks, in order, without those for which an existing one was kept or moved.

        Raises:
            InvalidOptionError: As for a call; the message begins with the number of the item.
            InvalidOptionTypeError: As for a call, likewise; or something that is no
                ``(args, kwargs)``.
        """
        given: dict[str, Any] = {**options}
        spec = TaskSpec(task_name=self.name, **self._take_options(given))
        if given:
            raise InvalidOptionTypeError(
                f"bulk has no option {', '.join(given)}; it takes {', '.join(RESERVED)}, and the "
                "function's arguments in the items"
            )
        check_options(spec)  # here and now: it is no item's fault
        each = self._parameters.check_each(calls)
        specs = (spec.called_with(args, kwargs) for args, kwargs in each)
        return enqueue_many(specs, sender=type(self.runner))

    def _take_options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Take the options of a call out of its keywords."""
        schedule, given = self.schedule, kwargs.pop("schedule", None)
        if given is not None:
            schedule = TaskSchedule.create(given).merge(schedule)
        priority = kwargs.pop("priority", None)
        return {
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
    "blocked": (
        "warning",
        (
            "%(claim)s has kept the event loop from all other tasks for %(seconds).1f s, at "
            "%(where)s; call what waits by asyncio.to_thread, or make it a plain function"
        ),
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
LEVELS = {method: getattr(logging, method.upper()) for method, _ in MESSAGES.values()}
#: Events whose exception is worth its traceback.
WITH_TRACEBACK = ("error", "reduced", "defect", "broken", "error_without_row")


def _log(name: str, fields: dict[str, Any]) -> None:
    """Write what happens to tasks to this module's logger, with fields for structured logging."""
    method, message = MESSAGES[name]
    if not logger.isEnabledFor(LEVELS[method]):
        return
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


telemetry.subscribe(_log, to=MESSAGES)
