"""A connection to PostgreSQL that hears notifications, with psycopg 3 and psycopg2."""

from __future__ import annotations

import contextlib
from typing import Any

from django.db import Error, connections

#: The channel. Databases have their own ones; schemas share it, which costs a look at most.
CHANNEL = "background_task"
#: What the connection needs in order to be there when a notification comes after hours: firewalls
#: forget silent connections, and nothing may wait for minutes for a server that is gone. Options
#: of the project's own win.
OPTIONS = {
    "application_name": "background_task wake-up",
    "connect_timeout": 5,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


class Listener:
    """Opened when it is made. For one thread.

    Args:
        using: The alias of the database.

    Raises:
        Error: It cannot be opened. So do all other methods when it is lost.
    """

    def __init__(self, using: str) -> None:
        self._wrapper = connections[using].copy()
        settings = self._wrapper.settings_dict
        settings["AUTOCOMMIT"] = True
        options = settings["OPTIONS"] = {**OPTIONS, **settings["OPTIONS"]}
        options.pop("pool", None)  # it would be one less for everybody else, for ever
        self._payloads: list[str] = []
        self._wrapper.inc_thread_sharing()  # the thread that closes may be another one
        self._wrapper.connect()
        self._driver: Any = self._wrapper.connection
        self._is_psycopg2 = not hasattr(self._driver, "pgconn")
        if not self._is_psycopg2:  # what comes along with the answer to a statement
            self._driver.add_notify_handler(lambda notice: self._payloads.append(notice.payload))
        try:
            self.execute(f"LISTEN {CHANNEL}")
        except Error:
            self.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor on which news arrive."""
        with self._wrapper.wrap_database_errors:
            return int(self._driver.fileno())

    def execute(self, statement: str) -> Any:
        """Run a statement; return the first value of its answer, if it has one."""
        with self._wrapper.wrap_database_errors, self._driver.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0] if cursor.description else None

    def heard(self) -> list[str]:
        """Return the payloads that have arrived since the last time, without waiting."""
        with self._wrapper.wrap_database_errors:
            if self._is_psycopg2:
                self._driver.poll()
                self._payloads += [notice.payload for notice in self._driver.notifies]
                self._driver.notifies.clear()
            else:
                self._driver.pgconn.consume_input()
                while notice := self._driver.pgconn.notifies():
                    self._payloads.append(notice.extra.decode(errors="replace"))
        payloads, self._payloads[:] = self._payloads[:], []
        return payloads

    def close(self) -> None:
        """Close the connection, and with it end its subscription and its lock."""
        with contextlib.suppress(Error):
            self._wrapper.close()
