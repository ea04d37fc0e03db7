"""The public API: the decorator, what it returns, and running tasks from code."""

from __future__ import annotations

import logging
from collections.abc import Callable
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast, overload

from django.db import OperationalError
from django.utils import timezone

from . import option, producer, signals, task_log, telemetry
from .call import check_atomic
from .exceptions import BackgroundTaskError, InvalidOptionTypeError
from .immediate import runs_at_once
from .limiter import LIMIT_OPTIONS, LimitKey
from .models import Task
from .policy import Policy
from .policy_option import overrides
from .registry import import_task_modules
from .runner import DBTaskRunner, PoolRunner, bg_runner
from .schedule import ScheduleLike, TaskSchedule
from .settings import app_settings
from .store import get_store
from .task_proxy import TaskProxy
from .uniqueness import UNIQUE_OPTIONS, Uniqueness

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .task_proxy import DeclaredOptions

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
        *,
        priority: int | None = None,
        **declared: Unpack[DeclaredOptions],
    ) -> Callable[[Callable[P, R]], TaskProxy[P, R]]: ...

    def background(
        self,
        name: Any = None,
        schedule: ScheduleLike = None,
        queue: str | None = None,
        remove_existing_tasks: bool = False,
        *,
        priority: int | None = None,
        **declared: Unpack[DeclaredOptions],
    ) -> Any:
        """Decorate a function, so that calling it stores a task. With or without parentheses.

        Args:
            name: The name that rows carry; by default ``module.function``. Give one to be free to
                move or rename the function while rows wait.
            schedule: The default schedule: seconds, timedelta, datetime, mapping, TaskSchedule.
            queue: The default queue, at most 190 characters; None is the unnamed one.
            remove_existing_tasks: Delete waiting rows of the same call before adding one.
            priority: The default priority; the schedule's, if that names one, comes first.
            **declared: What becomes of a run that fails, takes too long, or comes too late:
                ``max_attempts``, ``backoff``, ``retry_on``, ``discard_on``, ``timeout``,
                ``expires``, ``keep_result``, ``repeat_on_failure``, ``sensitive``. See ``Policy``.
                Which tasks there may be one of at a time: ``unique``, ``unique_until``,
                ``on_conflict``. See ``Uniqueness``. And how many may run, or start within a
                period: ``max_concurrency``, ``rate_limit``, ``concurrency_key``.
                See ``RateLimit`` and ``LimitKey``.

        Raises:
            InvalidOptionError: A value that cannot work (a ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an option that there is not (a ``TypeError``).
        """
        function = None
        if callable(name):
            function, name = name, None
        if name is not None:
            option.check_name(name)
        option.check_queue(queue)
        schedule = TaskSchedule.create(schedule)
        if priority is not None:
            schedule = schedule.merge(TaskSchedule(priority=option.check_priority(priority)))
        options: dict[str, Any] = {**declared}
        unique = {name: options.pop(name) for name in UNIQUE_OPTIONS if name in options}
        limit = {name: options.pop(name) for name in LIMIT_OPTIONS if name in options}
        policy = Policy.make(**options)

        def decorate(function: Callable[P, R]) -> TaskProxy[P, R]:
            check_atomic(policy.atomic, function)
            proxy = self._task_proxy_class(
                name or _default_name(function),
                function,
                schedule,
                queue,
                remove_existing_tasks,
                self._runner,
            )
            proxy.policy = policy
            if policy.sensitive:  # whoever does not know the function has to know, too
                proxy._overrides = overrides({"sensitive": True})
            proxy.uniqueness = Uniqueness.make(unique, of=proxy._parameters)
            proxy.limit_key = LimitKey.make(
                limit.get("concurrency_key"), of=proxy._parameters, is_limited=policy.is_limited
            )
            proxy._take_options({})
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


def _log(name: str, fields: dict[str, Any]) -> None:
    """Write what happens to tasks to this module's logger, whatever that is at the moment."""
    task_log.write(logger, name, fields)


telemetry.subscribe(_log, to=task_log.MESSAGES)
producer.followers.append(runs_at_once(tasks._tasks))
