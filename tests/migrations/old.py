"""Databases as 1.x left them: how to make one, fill it by plain SQL, and read it again."""

import copy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from django.db import connections

ALIAS = "scratch"
NAME = "background_task_scratch"
LAST_OF_1X = "0002_auto_20170927_1109"

NOW = datetime.now(timezone.utc).replace(microsecond=0)
HOUR = timedelta(hours=1)

COLUMNS = (
    "task_name",
    "task_params",
    "task_hash",
    "verbose_name",
    "priority",
    "run_at",
    "repeat",
    "repeat_until",
    "queue",
    "attempts",
    "failed_at",
    "last_error",
    "locked_by",
    "locked_at",
    "creator_object_id",
    "creator_content_type_id",
)
BLANK = {
    "task_name": "tests.app.tasks.record",
    "task_params": '[["x"], {}]',
    "task_hash": "0" * 40,
    "verbose_name": None,
    "priority": 0,
    "run_at": NOW - HOUR,
    "repeat": 0,
    "repeat_until": None,
    "queue": None,
    "attempts": 0,
    "failed_at": None,
    "last_error": "",
    "locked_by": None,
    "locked_at": None,
    "creator_object_id": None,
    "creator_content_type_id": None,
}
TABLES = ("background_task", "background_task_completedtask")


def create_database(folder: Path) -> None:
    """Make an empty database and the alias for it."""
    default = connections["default"]
    settings = copy.deepcopy(default.settings_dict)
    settings["TEST"] = {}
    if default.vendor == "sqlite":
        settings["NAME"] = str(folder / "scratch.sqlite3")
    else:
        settings["NAME"] = NAME
        with default._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {NAME}")
            cursor.execute(f"CREATE DATABASE {NAME}")
    connections.databases[ALIAS] = settings


def drop_database() -> None:
    """Remove the database and its alias."""
    connections[ALIAS].close()
    del connections[ALIAS]
    del connections.databases[ALIAS]
    default = connections["default"]
    if default.vendor != "sqlite":
        with default._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {NAME}")


def insert(connection: Any, table: str, **values: Any) -> int:
    """Insert a row of exactly the columns that 1.x knows; return its id."""
    unknown = set(values) - set(COLUMNS)
    assert not unknown, unknown
    row = BLANK | values
    quote = connection.ops.quote_name
    names = ", ".join(quote(name) for name in COLUMNS)
    places = ", ".join(["%s"] * len(COLUMNS))
    adapt = connection.ops.adapt_datetimefield_value
    params = [
        adapt(value) if isinstance(value, datetime) else value
        for value in (row[name] for name in COLUMNS)
    ]
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(table)} ({names}) VALUES ({places})", params)
        cursor.execute(f"SELECT MAX(id) FROM {quote(table)}")
        return int(cursor.fetchone()[0])


def dump(connection: Any, table: str) -> dict[int, dict[str, Any]]:
    """Return all rows by id, in the columns that 1.x knows; numbers of creators as numbers."""
    quote = connection.ops.quote_name
    names = ("id", *COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(map(quote, names))} FROM {quote(table)} ORDER BY id")
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    for row in rows:
        if row["creator_object_id"] is not None:
            row["creator_object_id"] = int(row["creator_object_id"])
    return {row["id"]: row for row in rows}


def fill(connection: Any) -> None:
    """Insert rows of all kinds, live and archived."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM django_content_type WHERE app_label = 'auth' AND model = 'user'"
        )
        users = cursor.fetchone()[0]
    golden = "314da1b7b38f21806954bed8deafc7ad877e770d"
    live = TABLES[0]
    insert(connection, live, task_params='[["waiting"], {}]')
    insert(connection, live, task_name="myapp.tasks.f", task_params="[[1], {}]", task_hash=golden)
    insert(connection, live, task_params='[["later"], {}]', run_at=NOW + HOUR)
    insert(connection, live, task_params='[["mail"], {}]', queue="mail", priority=7)
    insert(connection, live, task_params='[["h\\u00e9"], {}]', verbose_name="héé ✓", queue="wärme")
    insert(
        connection,
        live,
        task_params='[["creator"], {}]',
        creator_object_id=2**31 - 1,
        creator_content_type_id=users,
    )
    insert(connection, live, task_params='[["retry"], {}]', attempts=3, last_error="Traceback ✗")
    insert(
        connection,
        live,
        task_params='[["dead"], {}]',
        locked_by="4242",
        locked_at=NOW - 2 * HOUR,
        attempts=1,
    )
    insert(connection, live, task_params='[["held"], {}]', locked_by="4243", locked_at=NOW)
    insert(
        connection, live, task_params='[["hourly"], {}]', repeat=3600, repeat_until=NOW + 5 * HOUR
    )
    archive = TABLES[1]
    insert(connection, archive, attempts=1, locked_by="77", locked_at=NOW - HOUR)
    insert(
        connection,
        archive,
        attempts=25,
        failed_at=NOW - HOUR,
        last_error="no ✗",
        creator_object_id=5,
        creator_content_type_id=users,
        verbose_name="gone",
    )
