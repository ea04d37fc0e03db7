"""What to do about a database that cannot be used."""

from __future__ import annotations

import threading
import time

from .. import telemetry

#: Pieces of database messages (lower case), and the remedy.
REMEDIES = (
    (
        ("no such table", "no such column", "does not exist", "doesn't exist", "unknown column"),
        "the tables are missing or old: run `python manage.py migrate`",
    ),
    (("readonly", "read-only", "read only"), "make the database (and its folder) writable"),
    (("disk is full", "disk full", "no space left", "' is full"), "free some disk space"),
    (("database is locked",), "another program holds SQLite's write lock"),
    (("too many connections", "too many clients"), "raise the server's connection limit"),
)


def remedy_for(error: BaseException) -> str:
    """Return what would help, or that it is enough to wait."""
    text = str(error).lower()
    for pieces, remedy in REMEDIES:
        if any(piece in text for piece in pieces):
            return remedy
    return "waiting until it answers again"


#: The longest wait between tries while the database is away.
LONGEST_OUTAGE_SECONDS = 5.0


class Outage:
    """Says once that the database cannot be used, and once that it is back.

    One for all threads of a worker: whichever notices first says it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether the database could not be used when it was last needed."""
        return self._since is not None

    def begin(self, error: BaseException) -> None:
        """The database failed more than once in a row."""
        with self._lock:
            if self._since is not None:
                return
            self._since = time.monotonic()
        telemetry.event("outage", exception=error, hint=None)

    def end(self) -> None:
        """The database has answered."""
        with self._lock:
            since, self._since = self._since, None
        if since is not None:
            telemetry.event("reconnect", seconds=time.monotonic() - since)
