"""Every verb on rows: add, claim, finish, release, recover."""

from __future__ import annotations

from django.db import connections, router

from ..models import Task
from .base import Store, is_outage
from .fleet import Fleet
from .levels import LevelStore
from .mysql import MySQLStore
from .result import Due, Finish
from .skip_locked import SkipLockedStore

__all__ = ["Due", "Finish", "Fleet", "Store", "get_store", "is_outage", "task_database"]

#: By vendor, not by feature flags: asking MySQL for those needs a server that answers.
STORES: dict[str, type[Store]] = {
    "postgresql": SkipLockedStore,
    "mysql": MySQLStore,
    "sqlite": LevelStore,
}


def task_database() -> str:
    """Return the alias of the database to which tasks are written."""
    return router.db_for_write(Task)


def get_store(using: str | None = None) -> Store:
    """Return the store that suits a database.

    Args:
        using: The alias of the database; None lets the project's routers decide.
    """
    using = task_database() if using is None else using
    return STORES.get(connections[using].vendor, Store)(using)
