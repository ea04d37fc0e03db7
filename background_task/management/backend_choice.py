"""Whose tasks a worker is to run: what ``--backend`` makes of it."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from ..worker.served import check_aliases, own_backends


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
