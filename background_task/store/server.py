"""What a database tells of itself: its state and settings, read by its own statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections, transaction

LONGEST_TEXT = 200


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction of another session.

    Attributes:
        session: What the server calls the session, to end it by.
        seconds: How long it has been open.
        text: Who it is and what it does, for people.
    """

    session: str
    seconds: float
    text: str


@dataclass(frozen=True)
class Vacuum:
    """PostgreSQL: the dead rows of a table.

    Attributes:
        table: Its name.
        dead: How many there are, by the server's statistics.
        threshold: At how many autovacuum begins.
        vacuumed_at: When the table was last vacuumed, by whomever.
        is_automatic: Whether autovacuum is on for it.
    """

    table: str
    dead: int
    threshold: int
    vacuumed_at: datetime | None
    is_automatic: bool


#: Sessions of other users show no details to those who may not see them.
POSTGRESQL_TRANSACTIONS = """
SELECT pid::text, extract(epoch FROM clock_timestamp() - xact_start)::float8,
       concat_ws(', ', usename, nullif(application_name, ''), host(client_addr), state,
                 left(query, %s))
FROM pg_stat_activity
WHERE xact_start < clock_timestamp() - %s * interval '1 second' AND pid <> pg_backend_pid()
    AND backend_type = 'client backend' AND datname = current_database()
ORDER BY xact_start LIMIT 5
"""

MYSQL_TRANSACTIONS = """
SELECT CAST(trx_mysql_thread_id AS CHAR), TIMESTAMPDIFF(SECOND, trx_started, NOW()),
       CONCAT_WS(', ', trx_state, CONCAT(trx_rows_locked, ' rows locked'), LEFT(trx_query, %s))
FROM information_schema.innodb_trx
WHERE trx_started <= NOW() - INTERVAL %s SECOND AND trx_mysql_thread_id <> CONNECTION_ID()
ORDER BY trx_started LIMIT 5
"""

VACUUM = """
SELECT c.relname, s.n_dead_tup,
       (COALESCE(o.threshold, current_setting('autovacuum_vacuum_threshold'))::float8
        + COALESCE(o.factor, current_setting('autovacuum_vacuum_scale_factor'))::float8
          * greatest(c.reltuples, 0))::bigint,
       greatest(s.last_vacuum, s.last_autovacuum),
       COALESCE(o.enabled, 'on')::boolean AND current_setting('autovacuum')::boolean
           AND current_setting('track_counts')::boolean
FROM pg_class c JOIN pg_stat_user_tables s ON s.relid = c.oid
CROSS JOIN LATERAL (
    SELECT max(option_value) FILTER (WHERE option_name = 'autovacuum_enabled') AS enabled,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold')
               AS threshold,
           max(option_value) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor')
               AS factor
    FROM pg_options_to_table(c.reloptions)
) o
WHERE c.oid IN (to_regclass(%s), to_regclass(%s))
"""

INVALID_INDEXES = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass(%s) AND NOT (i.indisvalid AND i.indisready)
"""


class Server:
    """Asks one database about itself; what its vendor does not have is empty.

    Args:
        using: The alias of the database.
    """

    def __init__(self, using: str) -> None:
        self.connection = connections[using]
        self.vendor = self.connection.vendor

    def isolation(self) -> str:
        """Return the isolation level of transactions begun now, in capitals; empty if unknown."""
        if self.vendor == "postgresql":  # the driver sets it when it begins a transaction
            with transaction.atomic(using=self.connection.alias):
                return str(self._value("SHOW transaction_isolation")).upper()
        if self.vendor == "mysql":  # MariaDB up to 11.0 only has the older name
            rows = self._rows(
                "SHOW SESSION VARIABLES"
                " WHERE variable_name IN ('transaction_isolation', 'tx_isolation')"
            )
            return str(rows[0][1]).replace("-", " ").upper()
        return ""

    def transactions(self, *, older_than_seconds: float) -> list[OpenTransaction]:
        """Return the transactions of others that have been open for so long, the oldest first.

        Raises:
            django.db.DatabaseError: The user of this connection may not see them.
        """
        statements = {"postgresql": POSTGRESQL_TRANSACTIONS, "mysql": MYSQL_TRANSACTIONS}
        if self.vendor not in statements:
            return []
        rows = self._rows(statements[self.vendor], [LONGEST_TEXT, older_than_seconds])
        return [OpenTransaction(*row) for row in rows]

    def vacuums(self, tables: tuple[str, str]) -> list[Vacuum]:
        """Return what PostgreSQL knows of the dead rows of these tables."""
        if self.vendor != "postgresql":
            return []
        quoted = [self.connection.ops.quote_name(table) for table in tables]
        return [Vacuum(*row) for row in self._rows(VACUUM, quoted)]

    def unusable_indexes(self, table: str) -> list[str]:
        """Return indexes of a table that are there, but not used."""
        quoted = self.connection.ops.quote_name(table)
        if self.vendor == "postgresql":
            return [name for (name,) in self._rows(INVALID_INDEXES, [quoted])]
        if self.vendor != "mysql":
            return []
        with self.connection.cursor() as cursor:
            cursor.execute(f"SHOW INDEX FROM {quoted}")
            columns = [column[0].lower() for column in cursor.description]
            rows = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
        unused = {"ignored": "YES", "visible": "NO"}  # MariaDB's word, and MySQL's
        return sorted(
            {
                row["key_name"]
                for row in rows
                if any(row.get(column) == value for column, value in unused.items())
            }
        )

    def sessions(self, *, asked: int = 5) -> tuple[int, bool]:
        """Return how many sessions answered several statements, and whether by the port named.

        One connection of PostgreSQL is one session. Behind a pooler of transactions it is not.
        """
        if self.vendor != "postgresql" or self.connection.in_atomic_block:
            return 1, True
        answers = {
            self._rows("SELECT pg_backend_pid(), inet_server_port()")[0] for _ in range(asked)
        }
        actual = {port for _, port in answers}
        named = self.connection.connection.info.port
        return len(answers), actual in ({None}, {named})

    def pragma(self, name: str) -> Any:
        """Return the value of a pragma of SQLite."""
        return self._value(f"PRAGMA {name}")

    def _value(self, statement: str) -> Any:
        return self._rows(statement)[0][0]

    def _rows(self, statement: str, params: list[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return list(cursor.fetchall())
