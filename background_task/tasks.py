"""The public API: the decorator, what it returns, and running tasks from code."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from multiprocessing.pool import ThreadPool
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from django.db import OperationalError, models as django_models
from django.utils import timezone

from . import option, signals, task_log, telemetry
from .call import RESERVED, CallOptions, Parameters, check_atomic
from .declaration import Declaration, adopt
from .exceptions import BackgroundTaskError, InvalidOptionTypeError
from .models import Task
from .policy import Policy
from .policy_option import POLICY_OPTIONS, PolicyOptions, overrides
from .producer import TaskSpec, check_options, enqueue_many
from .recurrence import RepeatLike
from .registry import import_task_modules
from .runner import DBTaskRunner, PoolRunner, bg_runner
from .schedule import ScheduleLike, TaskSchedule
from .settings import app_settings
from .store import get_store
from .uniqueness import UNIQUE_OPTIONS, Uniqueness, UniqueOptions, check_alone, keyed

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    class DeclaredOptions(PolicyOptions, UniqueOptions, total=False):
        """What ``background`` takes besides the options of 1.x."""

    class UsingOptions(CallOptions, DeclaredOptions, total=False):
        """What ``TaskProxy.using`` takes."""


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
        policy: What becomes of a run that fails, takes too long, or comes too late.
        schedules: When workers call it by themselves; see ``periodic``.
        uniqueness: Which calls may have one task at a time only; None lets all have any number.
    """

    policy = Policy()
    uniqueness: Uniqueness | None = None
    #: What ``using`` was given: options of the call, and what the rows are to say of the policy.
    _given: Mapping[str, Any] = {}
    _overrides: str | None = None

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
        self.schedules: list[Declaration] = []
        adopt(task_function, self)

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
    def __call__(self, *args: Any, repeat: RepeatLike, **kwargs: Any) -> Task | None: ...
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
                instance), ``repeat`` (seconds, or a rule: see
                ``recurrence.make_rule``), ``repeat_until``, ``remove_existing_tasks``.

        Returns:
            The saved task; None when an existing one was kept or moved instead.

        Raises:
            AlreadyScheduledError: It is unique, and another task has its key.
            InvalidOptionError: A value that cannot be stored (a ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an argument without a JSON form (a
                ``TypeError``).
        """
        options = self._take_options(kwargs)
        self._parameters.check(args, kwargs)
        if self.uniqueness is not None:
            options["unique"] = self.uniqueness.key(self._parameters, args, kwargs)
        return self.runner.schedule(self.name, args, kwargs, **options)

    def using(self, **options: Unpack[UsingOptions]) -> Self:
        """Return a copy of this whose calls have other options; the rows carry them.

        They take no name from the function's parameters, as the reserved keywords of a call do:

            fetch.using(timeout=30, queue="slow")(url, timeout=5)  # fetch gets its timeout of 5

        Args:
            **options: The reserved keywords of a call (see ``__call__``), and those of
                ``background`` that make up its policy: ``max_attempts``, ``backoff``,
                ``retry_on``, ``discard_on``, ``timeout``, ``expires``, ``keep_result``,
                ``repeat_on_failure``; and ``unique``, ``unique_until``, ``on_conflict``.

        Raises:
            InvalidOptionError: A value that cannot work, or cannot be stored in a row (a
                ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an option that there is not (a ``TypeError``).
        """
        given: dict[str, Any] = {**options}
        policy = {name: given.pop(name) for name in POLICY_OPTIONS if name in given}
        unique = {name: given.pop(name) for name in UNIQUE_OPTIONS if name in given}
        unknown = [name for name in given if name not in RESERVED]
        if unknown:
            raise InvalidOptionTypeError(
                f"using has no option {', '.join(unknown)}; it takes "
                f"{', '.join((*RESERVED, *POLICY_OPTIONS, *UNIQUE_OPTIONS))}"
            )
        other = copy(self)
        other.schedule = TaskSchedule.create(given.pop("schedule", None)).merge(self.schedule)
        if (priority := given.pop("priority", None)) is not None:
            # Not with the others: a later schedule that names one must win over it.
            urgency = TaskSchedule(priority=option.check_priority(priority))
            other.schedule = urgency.merge(other.schedule)
        other.queue = given.pop("queue", self.queue)
        other.remove_existing_tasks = given.pop("remove_existing_tasks", self.remove_existing_tasks)
        other._given = {**self._given, **given}
        if policy:
            other._overrides = overrides(policy, earlier=self._overrides)
        other.uniqueness = Uniqueness.make(unique, of=self._parameters, earlier=self.uniqueness)
        check_atomic(bool(policy.get("atomic")), self.task_function)
        check_options(TaskSpec(task_name=self.name, **other._take_options({})))
        return other

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
            AlreadyScheduledError: As for a call.
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
        each = keyed(self.uniqueness, of=self._parameters, calls=calls)
        specs = (spec.called_with(args, kwargs, unique=key) for args, kwargs, key in each)
        return enqueue_many(specs, sender=type(self.runner))

    def _take_options(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """Take the options of a call out of its keywords."""
        given = dict(self._given)
        for name in RESERVED:
            if name in kwargs:
                given[name] = kwargs.pop(name)
        schedule = self.schedule
        if (own := given.pop("schedule", None)) is not None:
            schedule = TaskSchedule.create(own).merge(schedule)
        options = {
            "queue": self.queue,
            "remove_existing_tasks": self.remove_existing_tasks,
            "action": schedule.action,
            **given,
        }
        has_rule = not isinstance(options.get("repeat") or 0, int)
        options["run_at"] = None if has_rule and schedule.is_open else schedule.run_at
        if options.get("priority") is None:
            options["priority"] = schedule.priority
        if self._overrides is not None:
            options["options"] = self._overrides
        if self.uniqueness is not None:
            check_alone(action=options["action"], removes=options["remove_existing_tasks"])
        return options

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
                ``expires``, ``keep_result``, ``repeat_on_failure``. See ``Policy``.
                And which tasks there may be one of at a time: ``unique``, ``unique_until``,
                ``on_conflict``. See ``Uniqueness``.

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
            proxy.uniqueness = Uniqueness.make(unique, of=proxy._parameters)
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
