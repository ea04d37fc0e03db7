"""Whose tasks a worker runs: which backends of ``django.tasks`` are ours, and are to be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ..declaration import Declaration, declared
from ..exceptions import InvalidOptionError
from ..registry import Registry
from ..settings import app_settings

if TYPE_CHECKING:
    from ..task_backend import QueueBackend


def own_backends() -> Mapping[str, QueueBackend]:
    """Return our backends in ``TASKS`` by their aliases; none without the framework."""
    if not hasattr(settings, "TASKS"):
        return {}
    try:
        from ..task_backend import own_backends
    except ImportError:
        return {}
    return own_backends()


def all_declared(registry: Registry) -> dict[str, Declaration]:
    """Return all schedules by name: of functions, of the setting, and of backends.

    Raises:
        InvalidOptionError: A value that cannot work, or two schedules of one name.
        InvalidOptionTypeError: A type that cannot work.
    """
    found = declared(registry, app_settings.BACKGROUND_TASK_PERIODIC)
    own = own_backends()
    if not any(backend.periodic for backend in own.values()):
        return found
    from ..queued_periodic import queued_declarations  # not every project has that framework

    for name, declaration in queued_declarations(own).items():
        if name in found:
            raise InvalidOptionError(
                f"periodic {name!r} is declared twice, in TASKS, too; leave one of them out"
            )
        found[name] = declaration
    return found


def served(aliases: Sequence[str] | None) -> dict[str, bool]:
    """Return the aliases that a worker serves, and of each whether its tasks may wait in hand.

    Args:
        aliases: Those it is to serve; None for all of ours.
    """
    own = own_backends()
    return {
        alias: backend.may_wait
        for alias, backend in own.items()
        if aliases is None or alias in aliases
    }


def check_aliases(given: str | Sequence[str] | None, *, what: str) -> list[str] | None:
    """Return the aliases to serve; None for all, and ``@background``.

    Args:
        given: One alias, several, or None.
        what: What gives them, for the message.

    Raises:
        ImproperlyConfigured: One is not ours.
    """
    if given is None:
        return None
    aliases, own = [given] if isinstance(given, str) else list(given), own_backends()
    for alias in aliases:
        if alias not in own:
            known = ", ".join(map(repr, own)) or "none"
            raise ImproperlyConfigured(
                f"{what} {alias}: TASKS has no DatabaseBackend of background_task under that name; "
                f"it has {known}"
            )
    return aliases


def lease_of(aliases: Sequence[str] | None) -> timedelta:
    """Return the shortest lease that the setting or a backend that is served asks for."""
    own = own_backends().items()
    asked = [each.lease for alias, each in own if aliases is None or alias in aliases]
    setting = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    return min([setting, *(lease for lease in asked if lease is not None)])
