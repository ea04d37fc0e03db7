"""One adapter per queue: how it is configured, filled, run and counted."""

from __future__ import annotations

from importlib import import_module

from .base import Peer, Place

#: In the order of the tables. Each is a module of this package, imported when it is used.
NAMES = (
    "ours",
    "ox",
    "tasks_db",
    "dbtasks",
    "database_task",
    "background_tasks",
    "q2",
    "procrastinate",
    "huey",
    "celery",
)


def load(name: str) -> Peer:
    """Return the adapter of this name."""
    adapter: Peer = import_module(f"{__name__}.{name}").ADAPTER
    return adapter


__all__ = ["NAMES", "Peer", "Place", "load"]
