"""Whose tasks a worker runs: which backends of ``django.tasks`` are ours, and are to be served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from django.conf import settings

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
