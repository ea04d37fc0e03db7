"""Whose tasks a worker is to run: what ``--backend`` makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.core.management.base import CommandError

from ..settings import app_settings
from ..worker.served import own_backends


def check_backends(given: str | Sequence[str] | None) -> list[str] | None:
    """Return the aliases to serve; None for all, and ``@background``.

    Raises:
        CommandError: One is not ours.
    """
    if given is None:
        return None
    aliases, own = [given] if isinstance(given, str) else list(given), own_backends()
    for alias in aliases:
        if alias not in own:
            known = ", ".join(map(repr, own)) or "none"
            raise CommandError(
                f"--backend {alias}: TASKS has no DatabaseBackend of background_task under that "
                f"name; it has {known}"
            )
    return aliases


def lease_of(aliases: Sequence[str] | None) -> timedelta:
    """Return the shortest lease that the setting or a backend that is served asks for."""
    own = own_backends().items()
    asked = [each.lease for alias, each in own if aliases is None or alias in aliases]
    setting = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    return min([setting, *(lease for lease in asked if lease is not None)])
