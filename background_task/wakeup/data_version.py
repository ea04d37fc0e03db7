"""SQLite: an idle worker asks the file, many times a second, whether somebody has committed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from django.db import Error, connections

from .base import Patience, Wakeup
from .polling import Polling

#: The time between two questions; each costs some 50 microseconds, mostly for waking up. Where
#: nobody has committed for a while they come a little slower.
TICK_SECONDS, SLOW_TICK_SECONDS = 0.01, 0.015
SLOW_AFTER_SECONDS = 5.0


class DataVersion(Wakeup):
    """Waits until ``PRAGMA data_version`` changes.

    It does so with each commit of any other connection, those of this process included, whatever
    was written. Asking takes a read lock for some microseconds and never a write lock, on a
    connection of its own that could not write: it has no transaction that anybody might wait for.
    """

    def __init__(self, using: str, polling: Polling) -> None:
        super().__init__(using, polling)
        self._reader: Reader | None = None
        self._seen: int | None = None
        self._changed_at = time.monotonic()
        self._patience = Patience()

    def arm(self) -> None:
        """Remember the present version; the look that follows is at least as new."""
        self._open()
        self._seen = self._version()

    def disarm(self) -> None:
        """Forget that former news were none for this worker."""
        self._patience.reset()
        self._changed_at = time.monotonic()

    def wait(self, seconds: float) -> None:
        """Wait until the version is another one than before the last look."""
        until = time.monotonic() + seconds
        is_slow = time.monotonic() - self._changed_at > SLOW_AFTER_SECONDS
        tick = SLOW_TICK_SECONDS if is_slow else TICK_SECONDS
        self._open()
        while (left := until - time.monotonic()) > 0:
            if self._reader is None:
                self.polling.wait(left)
                break
            version = self._version()
            if version is not None and version != self._seen:
                self._rest()
                self._changed_at = time.monotonic()
                break
            if self.polling.wait(min(left, tick)):
                break
        self._seen = self._version()

    def longest_pause(self, idle_seconds: float, sleep: float) -> float:
        """Return ``sleep`` where changes are noticed, otherwise the pause of plain polling."""
        return super().longest_pause(idle_seconds, sleep) if self._reader is None else sleep

    def close(self) -> None:
        """Close the connection."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _rest(self) -> None:
        if rest := self._patience.rest(time.monotonic()):
            self.polling.wait(rest)
        self._patience.count(time.monotonic())

    def _version(self) -> int | None:
        """Return the version; None if it cannot be told at the moment."""
        if self._reader is None:
            return None
        try:
            return self._reader.version()
        except self._reader.error as error:
            # Somebody who writes without WAL has the file to himself for a moment. Everything else
            # is a file that cannot be read any more.
            if "locked" not in str(error):
                self.close()
            return None

    def _open(self) -> None:
        """Open the file if it is not open, or if it is not the same file any more."""
        if self._reader is not None and self._reader.is_current():
            return
        self.close()
        connection: Any = connections[self.using]
        try:
            connection.ensure_connection()
            self._reader = Reader(connection.Database, _path_of(connection))
        except (Error, connection.Database.Error, OSError):
            return  # the loop meets the same trouble, and says so


class Reader:
    """A connection that only reads.

    Args:
        driver: The module of SQLite.
        path: The file; it is not made if it is not there.

    Raises:
        OSError: There is no such file.
        driver.Error: It cannot be opened.
    """

    def __init__(self, driver: Any, path: Path) -> None:
        self.error: type[Exception] = driver.Error
        self._path = path
        self._file = self._identity()
        self._connection = driver.connect(
            f"{path.as_uri()}?mode=ro",
            uri=True,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,  # the thread that closes may be another one
        )

    def version(self) -> int:
        """Return a number that changes with each commit of others."""
        # All rows, although there is one: only an exhausted statement gives back its lock.
        ((version,),) = self._connection.execute("PRAGMA data_version").fetchall()
        return int(version)

    def is_current(self) -> bool:
        """Tell whether this is still the file of that name."""
        try:
            return self._identity() == self._file
        except OSError:
            return False

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _identity(self) -> tuple[int, int]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino


def _path_of(connection: Any) -> Path:
    """Ask SQLite itself: the name may be a URI, or relative to a directory of the past."""
    for _, name, path in connection.connection.execute("PRAGMA database_list").fetchall():
        if name == "main" and path:
            return Path(path)
    raise FileNotFoundError("the database is not a file")
