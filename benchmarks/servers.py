"""The servers that a run starts for itself, on free ports of 127.0.0.1."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from tests.servers import UnavailableError, start_mariadb
from tests.servers.base import DURABLE, Server, find_program
from tests.servers.postgresql import PostgreSQL, postgresql_binaries

from .hosts import Files, Host
from .peers.base import Place


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
    before_cloning = "SET session_replication_role = replica"

    def __init__(self) -> None:
        self.server = start_best_postgresql()
        self.description = " ".join(self.server.description.split()[:2])
        self.pid = process_id(self.server)
        self.counts_statements = self.server.is_counting
        self._postgres = Place("postgresql", "postgres", self.server.port, self.server.user)
        version = self.value(self._postgres, "SHOW server_version_num")
        self._can_choose_how_to_copy = int(version) >= 150000

    def _execute(self, sql: str) -> None:
        with self.connect(self._postgres) as connection:
            connection.execute(sql)

    def create(self, name: str) -> Place:
        self._execute(f"CREATE DATABASE {name}")
        return Place("postgresql", name, self.server.port, self.server.user)

    def copy(self, place: Place, name: str, *, is_large: bool = False) -> Place:
        by_files = is_large and self._can_choose_how_to_copy
        strategy = "STRATEGY file_copy" if by_files else ""
        self._execute(f"CREATE DATABASE {name} TEMPLATE {place.name} {strategy}")
        return Place("postgresql", name, self.server.port, self.server.user)

    def drop(self, place: Place) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {place.name} WITH (FORCE)")

    def connect(self, place: Place) -> contextlib.closing[Any]:
        import psycopg

        return contextlib.closing(psycopg.connect(place.url(), autocommit=True))

    def numbers(self, count: int) -> str:
        return f"generate_series(1, {count}) AS numbers(i)"

    def uuid(self) -> str:
        return "gen_random_uuid()"

    def ordered_uuid(self, first: int) -> str:
        random = "substr(md5(random()::text), 1, {})"
        return (
            f"(lpad(to_hex({first} + i / 20), 12, '0') || '7' || {random.format(3)} || '8' || "
            f"{random.format(15)})::uuid"
        )

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


class Executing:
    """A connection that executes without a cursor, as the other drivers' do."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql)
        return cursor

    def close(self) -> None:
        self._connection.close()


class MariaDBHost(Host):
    """MariaDB or MySQL."""

    kind = "mariadb"

    def __init__(self) -> None:
        self.server = start_mariadb()
        self.description = " ".join(self.server.description.split()[:2])
        self.pid = process_id(self.server)
        self._none = Place("mariadb", "mysql", self.server.port, self.server.user)

    def _execute(self, sql: str) -> None:
        with self.connect(self._none) as connection:
            connection.execute(sql)

    def create(self, name: str) -> Place:
        self._execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return Place("mariadb", name, self.server.port, self.server.user)

    def copy(self, place: Place, name: str, *, is_large: bool = False) -> Place:
        raise NotImplementedError("nothing that is measured here needs a copy")

    def drop(self, place: Place) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {place.name}")

    def connect(self, place: Place) -> contextlib.closing[Any]:
        import pymysql

        connection = pymysql.connect(
            host="127.0.0.1",
            port=place.port,
            user=place.user,
            database=place.name,
            autocommit=True,
        )
        return contextlib.closing(Executing(connection))

    def settle(self, place: Place) -> None:
        """Do nothing: what is measured here begins with an empty table."""

    def numbers(self, count: int) -> str:
        return f"seq_1_to_{count}"

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
            except Exception as error:  # noqa: BLE001 - whatever it is, the next one may do
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


class RedisServer(Server):
    """Redis with its defaults, which save a snapshot now and then."""

    name = "redis"

    def prepare(self) -> None:
        self.program = find_program("redis-server")
        if self.program is None:
            raise UnavailableError("no redis-server on this machine")
        words = self.run(self.program, "--version").split()
        version = next(word[2:] for word in words if word.startswith("v="))
        self.description = f"Redis {version}"

    def command(self) -> list[str]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        return [str(self.program), *options]

    def is_ready(self) -> bool:
        import redis

        try:
            with contextlib.closing(redis.Redis(port=self.port)) as connection:
                return bool(connection.ping())
        except redis.ConnectionError:
            return False


class RedisHost(Host):
    """Redis; its databases have numbers."""

    kind = "redis"

    def __init__(self) -> None:
        self.server = RedisServer()
        try:
            self.server.start()
        except (OSError, UnavailableError):
            self.server.remove()
            raise
        self.description = self.server.description
        self.pid = process_id(self.server)
        self._next = 0

    def create(self, name: str) -> Place:
        self._next = (self._next + 1) % 16
        place = Place("redis", str(self._next), self.server.port)
        self.drop(place)
        return place

    def copy(self, place: Place, name: str, *, is_large: bool = False) -> Place:
        return self.create(name)

    def drop(self, place: Place) -> None:
        with self.connect(place) as connection:
            connection.flushdb()

    def connect(self, place: Place) -> contextlib.closing[Any]:
        import redis

        return contextlib.closing(redis.Redis(port=place.port, db=int(place.name)))

    def settle(self, place: Place) -> None:
        """Do nothing: there is no planner."""

    def numbers(self, count: int) -> str:
        raise NotImplementedError("Redis has no rows to clone")

    def close(self) -> None:
        self.server.remove()


HOSTS: dict[str, type[Host]] = {
    host.kind: host for host in (PostgreSQLHost, Files, MariaDBHost, RedisHost)
}
