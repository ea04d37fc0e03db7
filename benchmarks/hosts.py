"""Where databases are made: a PostgreSQL, a MariaDB, or a folder of SQLite files."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.servers import UnavailableError, start_mariadb
from tests.servers.base import DURABLE, Server
from tests.servers.postgresql import PostgreSQL, postgresql_binaries

from .peers.base import Place, Table


class Host(ABC):
    """Makes, copies and drops databases of one kind."""

    kind: str
    description: str
    #: The process whose tree is the server; None: it lives in the workers.
    pid: int | None = None

    @abstractmethod
    def create(self, name: str) -> Place:
        """Make an empty database."""

    @abstractmethod
    def copy(self, place: Place, name: str) -> Place:
        """Make a database like another that nobody uses at the moment."""

    @abstractmethod
    def drop(self, place: Place) -> None:
        """Delete a database."""

    @abstractmethod
    def connect(self, place: Place) -> contextlib.closing[Any]:
        """Open a DB-API connection that commits each statement."""

    @abstractmethod
    def numbers(self, count: int) -> str:
        """Return a table expression of so many rows."""

    def uuid(self) -> str:
        """Return an expression for a new UUID."""
        raise NotImplementedError

    def settle(self, place: Place) -> None:
        """Let the planner know what is there, so that no worker pays for it."""

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
            changes = dict.fromkeys(table.uuids, self.uuid())
            changes |= table.finish if finished else {}
            values = ", ".join(changes.get(name, f"seed.{quoted(name)}") for name in columns)
            names = ", ".join(quoted(name) for name in columns)
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

    def copy(self, place: Place, name: str) -> Place:
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

    def settle(self, place: Place) -> None:
        with self.connect(place) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


class StatisticsServer(PostgreSQL):
    """Counts statements, in the databases that ask for it."""

    #: Loaded for everybody, because loading costs a little; counting is switched on by database.
    is_counting = True

    def command(self) -> list[str]:
        if not self.is_counting:
            return super().command()
        counting = {
            "shared_preload_libraries": "pg_stat_statements",
            "pg_stat_statements.track": "none",
        }
        return super().command() + [
            part for key, value in counting.items() for part in ("-c", f"{key}={value}")
        ]


class PostgreSQLHost(Host):
    """PostgreSQL with the defaults of initdb, durable."""

    kind = "postgresql"

    def __init__(self) -> None:
        self.server = start_best_postgresql()
        self.description = self.server.description
        self.pid = process_id(self.server)
        self.counts_statements = self.server.is_counting
        self._postgres = Place("postgresql", "postgres", self.server.port, self.server.user)

    def _execute(self, sql: str) -> None:
        with self.connect(self._postgres) as connection:
            connection.execute(sql)

    def create(self, name: str) -> Place:
        self._execute(f"CREATE DATABASE {name}")
        return Place("postgresql", name, self.server.port, self.server.user)

    def copy(self, place: Place, name: str) -> Place:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._execute(f"CREATE DATABASE {name} TEMPLATE {place.name} STRATEGY file_copy")
        return Place("postgresql", name, self.server.port, self.server.user)

    def drop(self, place: Place) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {place.name} WITH (FORCE)")

    def connect(self, place: Place) -> contextlib.closing[Any]:
        import psycopg

        return contextlib.closing(psycopg.connect(place.url(), autocommit=True))

    def numbers(self, count: int) -> str:
        return f"generate_series(1, {count})"

    def uuid(self) -> str:
        return "gen_random_uuid()"

    def settle(self, place: Place) -> None:
        with self.connect(place) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def count_statements(self, place: Place) -> None:
        """Count in this database, in connections made from now on."""
        if self.counts_statements:
            self._execute(f"ALTER DATABASE {place.name} SET pg_stat_statements.track = 'top'")

    def statements(self, place: Place) -> int:
        """Return how many statements, or else transactions, this database has seen."""
        counted = (
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements JOIN pg_database "
            "ON oid = dbid WHERE datname = "
            if self.counts_statements
            else "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = "
        )
        return int(self.value(self._postgres, f"{counted}'{place.name}'"))

    def close(self) -> None:
        self.server.remove()


class MariaDBHost(Host):
    """MariaDB or MySQL."""

    kind = "mariadb"

    def __init__(self) -> None:
        self.server = start_mariadb()
        self.description = self.server.description
        self.pid = process_id(self.server)
        self._none = Place("mariadb", "mysql", self.server.port, self.server.user)

    def _execute(self, sql: str) -> None:
        with self.connect(self._none) as connection:
            connection.cursor().execute(sql)

    def create(self, name: str) -> Place:
        self._execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return Place("mariadb", name, self.server.port, self.server.user)

    def copy(self, place: Place, name: str) -> Place:
        raise NotImplementedError("nothing that is measured here needs a copy")

    def drop(self, place: Place) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {place.name}")

    def connect(self, place: Place) -> contextlib.closing[Any]:
        import pymysql

        return contextlib.closing(
            pymysql.connect(
                host="127.0.0.1",
                port=place.port,
                user=place.user,
                database=place.name,
                autocommit=True,
            )
        )

    def numbers(self, count: int) -> str:
        return f"seq_1_to_{count}"

    def value(self, place: Place, sql: str) -> Any:
        with self.connect(place) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def close(self) -> None:
        self.server.remove()


def start_best_postgresql() -> StatisticsServer:
    """Start the machine's PostgreSQL if it has one, else the wheel's."""
    os.environ[DURABLE] = "1"
    reasons = []
    found = sorted(postgresql_binaries(), key=lambda found: "wheel" in found[1])
    for binaries, origin in found:
        for is_counting in (True, False):
            server = StatisticsServer(binaries, origin)
            server.is_counting = is_counting
            try:
                server.start()
                if is_counting:
                    with connected(server) as connection:
                        connection.execute("CREATE EXTENSION pg_stat_statements")
            except Exception as error:  # whatever it is, the next one may do
                server.remove()
                reasons.append(f"{binaries}: {error}")
            else:
                return server
    raise UnavailableError("; ".join(reasons) or "no PostgreSQL on this machine, and no wheel")


@contextlib.contextmanager
def connected(server: StatisticsServer) -> Iterator[Any]:
    import psycopg

    url = Place("postgresql", "postgres", server.port, server.user).url()
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def process_id(server: Server) -> int | None:
    process = server._process
    return process.pid if process else None


HOSTS: dict[str, type[Host]] = {host.kind: host for host in (PostgreSQLHost, Files, MariaDBHost)}
