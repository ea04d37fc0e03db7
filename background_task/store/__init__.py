"""Every verb on rows: add, claim, finish, release, recover."""

from __future__ import annotations

from typing import Any

from django.db import connections, router

from ..models import Task
from .base import Store, is_outage
from .fleet import Fleet
from .levels import LevelStore
from .mysql import MySQLStore
from .postgresql import PostgreSQLStore
from .result import Due, Finish
from .sqlite import SQLiteStore

__all__ = ["Due", "Finish", "Fleet", "Store", "get_store", "is_outage", "task_database"]

#: By vendor, not by feature flags: asking MySQL for those needs a server that answers.
STORES: dict[str, type[Store]] = {
    "postgresql": PostgreSQLStore,
    "mysql": MySQLStore,
    "sqlite": SQLiteStore,
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
    connection: Any = connections[using]
    if connection.vendor == "sqlite" and connection.Database.sqlite_version_info < (3, 35):
        return LevelStore(using)  # it has no RETURNING
    return STORES.get(connection.vendor, Store)(using)
