"""What the worker needs to know of our backend of ``django.tasks``: its options.

The part that queues tasks is ``backends.DatabaseBackend``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cached_property
from inspect import iscoroutinefunction
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from . import option
from .declaration import Arguments, KeywordArguments
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief, duration_of
from .option import check_name, check_queue
from .policy import Policy
from .policy_option import check_policy
from .policy_task import PolicyTask, policy_options
from .recurrence import RepeatLike
from .retention import TEXT, Retention, span_of
from .task_framework import BaseTaskBackend, InvalidTask, Task, task_backends

#: What the column holds.
MOST_ALIAS_CHARS = 64

#: The options of a policy that make sense for all tasks of a backend.
POLICY = (
    *("max_attempts", "backoff", "retry_on", "discard_on"),
    *("timeout", "expires", "keep_result", "atomic"),
)
OPTIONS = (*POLICY, "immediate", "signals", "lease", "id_function", "retain", "periodic")


@dataclass(frozen=True, slots=True)
class Periodic:
    """When workers put a task into the queue by themselves.

    Attributes:
        spec: A crontab line, seconds, a ``timedelta``, a length of time such as ``"1h30m"``, or
            whatever else ``periodic`` takes.
        args: Positional arguments of each call, or a function that returns them.
        kwargs: Keyword arguments, likewise.
        retain: How long its finished tasks are kept; None as the backend says.
    """

    spec: RepeatLike
    args: Arguments = field(default=(), repr=False)
    kwargs: KeywordArguments = field(default=None, repr=False)
    retain: Any = None

    @classmethod
    def of(cls, value: Any, *, what: str) -> Periodic:
        """Return what a value of ``OPTIONS["periodic"]`` stands for.

        Raises:
            InvalidOptionError: Its text or number is no length of time.
            InvalidOptionTypeError: It is nothing of the kind.
        """
        own = value if isinstance(value, Periodic) else cls(value)
        is_span = isinstance(own.spec, str) and TEXT.fullmatch(own.spec) and own.spec.strip()
        return replace(own, spec=span_of(own.spec, what=what)) if is_span else own


class QueueBackend(BaseTaskBackend):
    """The options of an alias in ``TASKS``.

    They are read as they are needed: a backend is made when the first task is decorated, before
    the models are there.

    Args:
        alias: Its name in ``TASKS``.
        params: What stands there: ``QUEUES`` and ``OPTIONS``.

    Raises:
        ImproperlyConfigured: An option is unknown, or its value cannot work.
    """

    task_class = PolicyTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    def __init__(self, alias: str, params: dict[str, Any]) -> None:
        self._check_params(alias, params)
        super().__init__(alias, params)
        self.name = f"TASKS[{alias!r}]['OPTIONS']"
        if len(alias) > MOST_ALIAS_CHARS:
            raise ImproperlyConfigured(
                f"TASKS has the alias {brief(alias)} of {len(alias)} characters; "
                f"use at most {MOST_ALIAS_CHARS}"
            )
        if unknown := [name for name in self.options if name not in OPTIONS]:
            raise ImproperlyConfigured(
                f"{self.name} has no option {', '.join(map(str, unknown))}; "
                f"it takes {', '.join(OPTIONS)}"
            )
        for name in ("immediate", "signals"):
            if not isinstance(self.options.get(name, False), bool):
                raise ImproperlyConfigured(
                    f"{self.name}[{name!r}] is {brief(self.options[name])}; use True or False"
                )
        self.has_signals = bool(self.options.get("signals", True))
        self.is_immediate = bool(self.options.get("immediate", False))
        given = {name: self.options.get(name) for name in POLICY}
        given = {name: value for name, value in given.items() if value is not None}
        try:
            check_policy(given)
            #: Retries are on only where they are asked for.
            self.policy_options: Mapping[str, Any] = {"max_attempts": 1, **given}
            self.periodic = self._periodic()
            self.retention = self._retention()
            lease = self.options.get("lease")
            self.lease = None if lease is None else duration_of(lease, what="lease")
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise ImproperlyConfigured(f"{self.name}: {error}") from error
        if self.lease is not None and not timedelta(seconds=1) <= self.lease <= timedelta(days=1):
            raise ImproperlyConfigured(
                f"{self.name}['lease'] is {brief(lease)}; use from 1 to 86400 seconds"
            )

    def _periodic(self) -> Mapping[str, Periodic]:
        given = self.options.get("periodic") or {}
        if not isinstance(given, Mapping):
            raise InvalidOptionTypeError(
                f"periodic {brief(given)} is of type {type(given).__name__}; use a dict from paths "
                "of tasks to crontab lines, lengths of time, or Periodic(...)"
            )
        return {
            option.check_name(path): Periodic.of(value, what=f"periodic[{path!r}]")
            for path, value in given.items()
        }

    def _retention(self) -> Retention | None:
        """Return how long finished tasks are kept; None if that is left to the setting."""
        own = {
            path: span_of(periodic.retain, what=f"periodic[{path!r}] retain")
            for path, periodic in self.periodic.items()
            if periodic.retain is not None
        }
        given = self.options.get("retain")
        if given is None and not own:
            return None
        retention = Retention.make(given)
        return replace(retention, by_name={**retention.by_name, **own})

    @staticmethod
    def _check_params(alias: str, params: Mapping[str, Any]) -> None:
        """Refuse what the framework would stumble over, or take for something else."""
        queues, options = params.get("QUEUES", ()), params.get("OPTIONS", {})
        if isinstance(queues, str) or not isinstance(queues, Iterable):
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]['QUEUES'] is {brief(queues)}; use a list of names, "
                "or [] to allow all"
            )
        if not isinstance(options, Mapping):
            raise ImproperlyConfigured(
                f"TASKS[{alias!r}]['OPTIONS'] is {brief(options)}; use a dictionary of options"
            )

    def policy_of(self, task: Task[..., Any]) -> Policy:
        """Return the options of a task function: its own, and for the rest those given here."""
        return Policy.make(**{**self.policy_options, **policy_options(task)})

    @property
    def may_wait(self) -> bool:
        """Whether tasks may be claimed before they can run: one lost then is an attempt lost."""
        return bool(self.policy_options["max_attempts"] > 1)

    @cached_property
    def new_id(self) -> Callable[[], Any] | None:
        """What makes the ids of results; None for our own.

        Raises:
            ImportError: The path leads nowhere.
            ImproperlyConfigured: It is no function.
        """
        given = self.options.get("id_function")
        function = import_string(given) if isinstance(given, str) else given
        if function is not None and not callable(function):
            raise ImproperlyConfigured(
                f"{self.name}['id_function'] is {brief(given)}; use a function, or the path of "
                "one, that returns a UUID"
            )
        return function

    def validate_task(self, task: Task[..., Any]) -> None:
        """Refuse a task that could not be stored, or not be run.

        Raises:
            InvalidTask: Says what is wrong.
        """
        super().validate_task(task)
        if self.is_immediate and task.run_after is not None:
            raise InvalidTask("Backend does not support run_after in immediate mode.")
        is_atomic = self.policy_options.get("atomic") and "atomic" not in policy_options(task)
        if is_atomic and iscoroutinefunction(task.func):
            raise InvalidTask(
                f"the backend has each task be one transaction, and {task.module_path} is a "
                "coroutine function, which cannot be; use atomic=False for it"
            )
        try:
            check_queue(task.queue_name)
            check_name(task.module_path)
        except (InvalidOptionError, InvalidOptionTypeError) as error:
            raise InvalidTask(str(error)) from error


def own_backends() -> dict[str, QueueBackend]:
    """Return our backends in ``TASKS`` by their aliases."""
    found = ((alias, task_backends[alias]) for alias in task_backends)
    return {alias: backend for alias, backend in found if isinstance(backend, QueueBackend)}
