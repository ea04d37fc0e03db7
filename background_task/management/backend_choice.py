"""Whose tasks a worker is to run: what ``--backend`` makes of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from ..worker.served import check_aliases, own_backends, served


def check_task_settings() -> None:
    """Read ``TASKS``, before a module of tasks is imported and stumbles over it.

    Raises:
        CommandError: It cannot work.
    """
    try:
        own_backends()
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error


def check_backends(given: str | Sequence[str] | None) -> list[str] | None:
    """Return the aliases to serve; None for all, and ``@background``.

    Raises:
        CommandError: One is not ours.
    """
    try:
        return check_aliases(given, what="--backend")
    except ImproperlyConfigured as error:
        raise CommandError(str(error)) from error


def in_words(
    registry: Collection[str], modules: Sequence[str], aliases: Sequence[str] | None
) -> str:
    """Return what a worker runs, for people.

    Args:
        registry: The functions of ``@background``.
        modules: Where they are.
        aliases: The backends that it was told to serve; None for all, and ``@background``.
    """
    backends = ", ".join(map(repr, served(aliases)))
    if aliases is not None:
        return f"only what {backends} of TASKS has queued"
    places = ", ".join(modules) or "no tasks.py of any installed app"
    functions = f"{len(registry)} task functions in {places}"
    return f"{functions}; and what {backends} of TASKS has queued" if backends else functions


def allowed_queues() -> set[str]:
    """Return the names of queues in ``TASKS``: what is there was meant, even if it is empty yet."""
    return {name for backend in own_backends().values() for name in backend.queues}
