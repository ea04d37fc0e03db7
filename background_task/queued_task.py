"""The task function of a row that a backend of ``django.tasks`` has queued, found by its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.utils.module_loading import import_string

from .call import Parameters
from .limiter import of_function
from .policy import ONCE, Policy
from .policy_task import PolicyTask, parameters_of
from .task_backend import QueueBackend
from .task_framework import Task, task_backends


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task function, as the worker looks at it; see ``registry.Registered``.

    Attributes:
        task: What is queued.
        backend: Which backend has queued it; None if it is none of ours any more.
        policy: On which terms it is run.
    """

    task: Task[..., Any]
    backend: QueueBackend | None
    policy: Policy

    @property
    def task_function(self) -> Callable[..., Any]:
        """The undecorated function."""
        return self.task.func

    @property
    def parameters(self) -> Parameters:
        """What a call takes."""
        return parameters_of(self.task)

    def limit_text(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
        """Return what a call's limit is shared by, as people read it."""
        rule = self.task.limit_key() if isinstance(self.task, PolicyTask) else None
        if rule is None:
            return of_function(self.task.module_path)
        return rule.text(parameters_of(self.task), args, kwargs)


def import_task(path: str, *, uid: object) -> Task[..., Any]:
    """Return the task to which a row points.

    Raises:
        ImportError: Nothing is there.
        SuspiciousOperation: Something else is there, which is not to be called.
    """
    try:
        task = import_string(path)
    except SystemExit as error:  # of a script without a guard; no worker is to end for it
        raise ImportError(f"the module of {path} ended with SystemExit({error.code!r})") from error
    if not isinstance(task, Task):
        raise SuspiciousOperation(f"Task {uid} does not point to a Task ({path})")
    return task


def find_queued(path: str, alias: str) -> QueuedTask | None:
    """Return the function of a row; None if it cannot be found. Never raises."""
    try:
        task = import_task(path, uid=path)
        backend = task_backends[alias] if alias in task_backends.settings else None
    except Exception:  # noqa: BLE001 - the project's module, of which the run itself will tell
        return None
    own = backend if isinstance(backend, QueueBackend) else None
    known = _known.get((path, alias))
    if known is not None and known.task is task and _nature_of(known.backend) == _nature_of(own):
        return known
    policy = ONCE if own is None else own.policy_of(task)
    found = _known[path, alias] = QueuedTask(task, own, policy)
    return found


def _nature_of(backend: QueueBackend | None) -> Any:
    """Return what all threads have in common, each of which has a backend of its own."""
    return None if backend is None else (type(backend), backend.options)


_known: dict[tuple[str, str], QueuedTask] = {}
