"""Which functions this process can run, by the name that is stored in the rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeAlias

from django.apps import apps
from django.utils.module_loading import module_has_submodule


class Called(Protocol):
    """What tells which function a row or a claim calls."""

    @property
    def task_name(self) -> str:
        """The name of the function."""
        ...

    @property
    def backend(self) -> str | None:
        """The alias of the backend that queued it."""
        ...


class Registered(Protocol):
    """What the worker needs to know of a decorated function."""

    @property
    def task_function(self) -> Callable[..., Any]:
        """The undecorated function."""
        ...


Registry: TypeAlias = Mapping[str, Registered]


def find(registry: Registry, claim: Called) -> Registered | None:
    """Return the function of a row; None if this process does not have it.

    That of ``@background`` stands in the registry. The path of a task that a backend of
    ``django.tasks`` has queued is looked up, which imports its module.
    """
    if claim.backend is None:
        return registry.get(claim.task_name)
    from .queued_task import find_queued  # not every project has that framework

    return find_queued(claim.task_name, claim.backend)


def import_task_modules() -> list[str]:
    """Import the ``tasks`` module of every installed app and return the names of those found.

    An app without such a module is fine. An error inside one is not: it is raised, because its
    tasks would otherwise silently never run.
    """
    found = []
    for config in apps.get_app_configs():
        if config.module is None or config.label == "background_task":
            continue
        if module_has_submodule(config.module, "tasks"):
            name = f"{config.module.__name__}.tasks"
            importlib.import_module(name)
            found.append(name)
    return found
