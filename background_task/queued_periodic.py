"""Periodic tasks of ``django.tasks``, as ``OPTIONS["periodic"]`` of a backend declares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .call import Parameters
from .declaration import Declaration
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .policy_task import parameters_of
from .queued_task import import_task
from .task_backend import Periodic, QueueBackend
from .task_framework import Task

#: The alias whose schedules go by the path alone.
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class QueuedCallee:
    """A task of ``django.tasks``, as far as its ticks are concerned; see ``declaration.Callee``.

    Attributes:
        task: The task, on the backend that is to queue it.
        schedules: None that it knows of itself.
    """

    task: Task[..., Any]
    schedules: list[Declaration] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The path under which rows refer to it."""
        return self.task.module_path

    @property
    def parameters(self) -> Parameters:
        """What a call takes."""
        return parameters_of(self.task)

    def using(self, *, schedule: datetime, **alone: Any) -> Callable[..., Any]:
        """Return what stores a call for a time."""
        return self.task.using(run_after=schedule).enqueue


def queued_declarations(backends: Mapping[str, QueueBackend]) -> dict[str, Declaration]:
    """Return the schedules of the ``OPTIONS`` of backends, by name: the path of the task.

    Those of other backends than the default one have the alias in their name, too.

    Raises:
        InvalidOptionError: A value that cannot work, or a path that leads to no task.
        InvalidOptionTypeError: A type that cannot work.
    """
    found: dict[str, Declaration] = {}
    for alias, backend in backends.items():
        for path, periodic in backend.periodic.items():
            name = path if alias == DEFAULT else f"{path} ({alias})"
            found[name] = _declaration(path, periodic, name=name, backend=backend)
    return found


def _declaration(path: str, periodic: Periodic, *, name: str, backend: QueueBackend) -> Declaration:
    where = f"{backend.name}['periodic'][{path!r}]"
    if backend.is_immediate:
        raise InvalidOptionError(
            f"{where}: this backend is immediate and keeps nothing for workers; leave one of them "
            "out"
        )
    try:
        task = import_task(path, uid=path).using(backend=backend.alias)
    except Exception as error:
        raise InvalidOptionError(
            f"{where} cannot be used: {error}; give the path of a task"
        ) from error
    try:
        return Declaration.of(
            QueuedCallee(task),  # type: ignore[arg-type]
            name=name,
            schedule=periodic.spec,
            args=periodic.args,
            kwargs=periodic.kwargs,
        )
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        raise type(error)(f"{where}: {error}") from error
