"""What the decorator returns: a call of it stores a task."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from django.db import models

from . import option
from .call import RESERVED, CallOptions, Parameters, check_atomic
from .declaration import Declaration, adopt
from .exceptions import InvalidOptionTypeError
from .limiter import LIMIT_OPTIONS, LimitKey, LimitOptions
from .models import Task
from .policy import Policy
from .policy_option import POLICY_OPTIONS, PolicyOptions, overrides
from .producer import TaskSpec, check_options, enqueue_many
from .recurrence import RepeatLike
from .repeat_option import REPEAT_OPTIONS, RepeatOptions
from .runner import DBTaskRunner
from .schedule import ScheduleLike, TaskSchedule
from .uniqueness import UNIQUE_OPTIONS, Uniqueness, UniqueOptions, check_alone, keyed

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    class DeclaredOptions(PolicyOptions, UniqueOptions, LimitOptions, total=False):
        """What ``background`` takes besides the options of 1.x."""

    class UsingOptions(CallOptions, RepeatOptions, DeclaredOptions, total=False):
        """What ``TaskProxy.using`` takes."""


P = ParamSpec("P")
R = TypeVar("R")


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
        limit_key: Which runs share the function's limit; None if it has none.
    """

    policy = Policy()
    uniqueness: Uniqueness | None = None
    limit_key: LimitKey | None = None
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
    def __call__(self, *args: Any, creator: models.Model | None, **kwargs: Any) -> Task | None: ...
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
            *args: Positional arguments of the function: what JSON can hold, dates, times,
                decimals, UUIDs, bytes, enum members and saved model instances, also nested.
            **kwargs: Keyword arguments of the function, likewise, and these reserved ones, which
                the function never sees: ``schedule`` (see ``TaskSchedule.create``), ``priority``,
                ``queue`` (None for the unnamed one), ``verbose_name``, ``creator`` (a saved model
                instance), ``repeat`` (seconds, or a rule: see
                ``recurrence.make_rule``), ``repeat_until``, ``remove_existing_tasks``.

        Returns:
            The saved task; None when an existing one was kept or moved instead.

        Raises:
            AlreadyScheduledError: It is unique, and another task has its key.
            InvalidOptionError: A value that cannot be stored (a ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an argument without a stored form (a
                ``TypeError``).
        """
        options = self._take_options(kwargs)
        self._parameters.check(args, kwargs)
        if self.uniqueness is not None:
            options["unique"] = self.uniqueness.key(self._parameters, args, kwargs)
        if self.limit_key is not None:
            options["limit_key"] = self.limit_key.key(self._parameters, args, kwargs)
        return self.runner.schedule(self.name, args, kwargs, **options)

    def using(self, **options: Unpack[UsingOptions]) -> Self:
        """Return a copy of this whose calls have other options; the rows carry them.

        They take no name from the function's parameters, as the reserved keywords of a call do:

            fetch.using(timeout=30, queue="slow")(url, timeout=5)  # fetch gets its timeout of 5

        Args:
            **options: The reserved keywords of a call (see ``__call__``), and those of
                ``background`` that make up its policy: ``max_attempts``, ``backoff``,
                ``retry_on``, ``discard_on``, ``timeout``, ``expires``, ``keep_result``,
                ``atomic``, ``repeat_on_failure``, ``max_concurrency``, ``rate_limit``; ``unique``,
                ``unique_until``, ``on_conflict``; ``concurrency_key``; and with a ``repeat``,
                which the call may bring: ``repeat_count`` (how many runs there are to be in all,
                whatever their outcome; None for no end) and ``catch_up`` (of the runs missed while
                no worker was there, ``"skip"`` drops all, ``"one"`` makes the latest at once,
                ``"all"`` makes each).

        Raises:
            InvalidOptionError: A value that cannot work, or cannot be stored in a row (a
                ``ValueError``).
            InvalidOptionTypeError: A wrong type, or an option that there is not (a ``TypeError``).
        """
        given: dict[str, Any] = {**options}
        policy = {name: given.pop(name) for name in POLICY_OPTIONS if name in given}
        unique = {name: given.pop(name) for name in UNIQUE_OPTIONS if name in given}
        limit = {name: given.pop(name) for name in LIMIT_OPTIONS if name in given}
        unknown = [name for name in given if name not in (*RESERVED, *REPEAT_OPTIONS)]
        if unknown:
            allowed = (
                *(*RESERVED, *REPEAT_OPTIONS, *POLICY_OPTIONS),
                *(*UNIQUE_OPTIONS, *LIMIT_OPTIONS),
            )
            raise InvalidOptionTypeError(
                f"using has no option {', '.join(unknown)}; it takes {', '.join(allowed)}"
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
        if "sensitive" in policy and policy["sensitive"] is None:
            policy["sensitive"] = self.policy.sensitive or None
        if policy:
            other._overrides = overrides(policy, earlier=self._overrides)
        other.uniqueness = Uniqueness.make(unique, of=self._parameters, earlier=self.uniqueness)
        other.limit_key = LimitKey.make(
            limit.get("concurrency_key"),
            of=self._parameters,
            is_limited=self.policy.merged(other._overrides).is_limited,
            earlier=self.limit_key,
        )
        check_atomic(bool(policy.get("atomic")), self.task_function)
        check_options(TaskSpec(task_name=self.name, **other._take_options({})), is_call=False)
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
        each = keyed(self.uniqueness, self.limit_key, of=self._parameters, calls=calls)
        specs = (
            spec.called_with(args, kwargs, unique=key, limit_key=limit_key)
            for args, kwargs, key, limit_key in each
        )
        return enqueue_many(specs, sender=type(self.runner))

    @property
    def parameters(self) -> Parameters:
        """What a call takes."""
        return self._parameters

    def limit_text(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """Return what a call's limit is shared by, as people read it; None if it has no limit."""
        rule = self.limit_key
        return None if rule is None else rule.text(self._parameters, args, kwargs)

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
