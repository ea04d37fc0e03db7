"""Where databases are made, and how rows are cloned in them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from .peers.base import Place, Table


class Host(ABC):
    """Makes, copies and drops databases of one kind."""

    kind: str
    description: str
    #: The process whose tree is the server; None: it lives in the workers.
    pid: int | None = None
    #: A statement that lets rows be cloned without triggers for each of them.
    before_cloning: str | None = None

    @abstractmethod
    def create(self, name: str) -> Place:
        """Make an empty database."""

    @abstractmethod
    def copy(self, place: Place, name: str, *, is_large: bool = False) -> Place:
        """Make a database like another that nobody uses at the moment."""

    @abstractmethod
    def drop(self, place: Place) -> None:
        """Delete a database."""

    @abstractmethod
    def connect(self, place: Place) -> contextlib.closing[Any]:
        """Open a DB-API connection that commits each statement."""

    @abstractmethod
    def numbers(self, count: int) -> str:
        """Return a table expression of so many rows, with the column ``i``."""

    def uuid(self) -> str:
        """Return an expression for a new UUID."""
        raise NotImplementedError

    def ordered_uuid(self, first: int) -> str:
        """Return an expression for a UUID of version 7, for the row ``i`` of ``numbers``.

        Rows of real use were made one after another, so their keys lie beside each other.

        Args:
            first: The milliseconds since 1970 of the first one; twenty share a millisecond.
        """
        raise NotImplementedError

    @abstractmethod
    def settle(self, place: Place) -> None:
        """Let the planner know what is there, so that no worker pays for it."""

    @abstractmethod
    def close(self) -> None:
        """Stop what was started and delete it."""

    def value(self, place: Place, sql: str) -> Any:
        """Return the one value of a query."""
        with self.connect(place) as connection:
            return connection.execute(sql).fetchone()[0]

    def clone(self, place: Place, table: Table, count: int, *, finished: bool = False) -> None:
        """Add copies of the first pending row, or of what becomes of it when it is finished."""
        target = (table.finished if finished else None) or table.name
        with self.connect(place) as connection:
            there = [column[0] for column in cursor_of(connection, table.name)]
            common = {column[0] for column in cursor_of(connection, target)}
            columns = [name for name in there if name in common and name not in table.serial]
            first = int(time.time() * 1000) - count // 20
            uuid = self.ordered_uuid(first) if table.are_uuids_ordered else self.uuid()
            changes = dict.fromkeys(table.uuids, uuid)
            changes |= table.finish if finished else {}
            values = ", ".join(changes.get(name, f"seed.{quoted(name)}") for name in columns)
            names = ", ".join(quoted(name) for name in columns)
            if self.before_cloning:
                connection.execute(self.before_cloning)
            seed = f"(SELECT * FROM {table.name} WHERE {table.unfinished} LIMIT 1) AS seed"
            connection.execute(
                f"INSERT INTO {target} ({names}) "
                f"SELECT {values} FROM {seed} CROSS JOIN {self.numbers(count)}"
            )


def cursor_of(connection: Any, table: str) -> Any:
    """Return the description of a table's columns."""
    return connection.execute(f"SELECT * FROM {table} LIMIT 0").description


def quoted(name: str) -> str:
    return f'"{name}"'


class Files(Host):
    """SQLite."""

    kind = "sqlite"

    def __init__(self) -> None:
        self.description = f"SQLite {sqlite3.sqlite_version}"
        self.folder = Path(tempfile.mkdtemp(prefix="background_task_benchmark_"))

    def create(self, name: str) -> Place:
        place = Place("sqlite", str(self.folder / f"{name}.sqlite3"))
        with self.connect(place) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        return place

    def copy(self, place: Place, name: str, *, is_large: bool = False) -> Place:
        with self.connect(place) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copied = Place("sqlite", str(self.folder / f"{name}.sqlite3"))
        self.drop(copied)
        shutil.copyfile(place.name, copied.name)
        return copied

    def drop(self, place: Place) -> None:
        for ending in ("", "-wal", "-shm", "-journal"):
            Path(place.name + ending).unlink(missing_ok=True)

    def connect(self, place: Place) -> contextlib.closing[Any]:
        return contextlib.closing(sqlite3.connect(place.name, timeout=20, isolation_level=None))

    def numbers(self, count: int) -> str:
        return (
            "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
            f"LIMIT {count}) SELECT i FROM n)"
        )

    def uuid(self) -> str:
        return "lower(hex(randomblob(16)))"

    def ordered_uuid(self, first: int) -> str:
        random = "substr(lower(hex(randomblob(8))), 1, {})"
        return (
            f"printf('%012x', {first} + i / 20) || '7' || {random.format(3)} || '8' || "
            f"{random.format(15)}"
        )

    def settle(self, place: Place) -> None:
        with self.connect(place) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
