"""Putting in order what a task left behind, before anything else uses it."""

from __future__ import annotations

import logging
import os
import select
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal

from .. import signals

logger = logging.getLogger(__name__)


@dataclass
class Mess:
    """What had to be mended after a task."""

    found: list[str] = field(default_factory=list)


class orderly:  # noqa: N801 - it reads as what it does
    """Runs a task's code so that the next one finds the process as this one did.

    Checked: the working directory (a relative SQLite path depends on it), the standard streams,
    and this thread's connections. Inside a caller's transaction, as in a ``TestCase``, the
    transaction stays as deep and as usable as it was.

    A class rather than a generator, because each task pays for it.

    Args:
        surroundings: How the process is to be left; None means as it was found.
    """

    __slots__ = ("_depths", "_mess", "_savepoints", "_surroundings")

    def __init__(self, surroundings: Surroundings | None = None) -> None:
        self._surroundings = surroundings

    def __enter__(self) -> Mess:
        """Remember how things are."""
        self._mess = Mess()
        self._depths: dict[str, int] = {}
        self._savepoints: list[tuple[BaseDatabaseWrapper, str | None]] = []
        for connection in _connections():
            if connection.in_atomic_block:
                self._depths[connection.alias] = _depth(connection)
                if not connection.needs_rollback:
                    # To here a task's database error goes back.
                    self._savepoints.append((connection, connection.savepoint()))
            elif connection.errors_occurred and connection.connection is not None:
                _check(connection)
        if self._surroundings is None:
            self._surroundings = Surroundings()
        return self._mess

    def __exit__(self, *exception: object) -> None:
        """Put things in order again."""
        mess = self._mess
        for connection in _connections():
            _restore(connection, self._depths.get(connection.alias, 0), mess)
        if self._savepoints:
            _close_savepoints(self._savepoints)
        assert self._surroundings is not None  # __enter__ has seen to it
        self._surroundings.restore(mess)


class Surroundings:
    """What all tasks of a process share: everything but their connections."""

    def __init__(self) -> None:
        self._directory = _directory()
        self._streams = (sys.stdout, sys.stderr)

    def restore(self, mess: Mess) -> None:
        """Put things in order again."""
        _restore_process(self._directory, self._streams, mess)


def has_leftovers() -> bool:
    """Tell whether this thread's connections have been left in a transaction, or worse."""
    return any(
        connection.in_atomic_block
        or (
            connection.connection is not None
            and not _is_closed(connection)
            and _left_in(connection) is not None
        )
        for connection in _connections()
    )


def put_in_order(mess: Mess) -> None:
    """Take this thread's connections out of whatever they have been left in."""
    for connection in _connections():
        _restore(connection, 0, mess)


def announce(signal: Signal, *, sender: type, **kwargs: Any) -> None:
    """Send a signal; its receivers are user code and may leave as much behind as a task."""
    if not signal.receivers or not signal.has_listeners(sender):
        return
    with orderly() as mess:
        signals.announce(signal, sender=sender, **kwargs)
    for what in mess.found:
        logger.warning("After the receivers of a signal: %s", what)


def refresh_connections(*, idle_beside: str | None = None) -> None:
    """Check connections on which an error occurred, and close those that are broken.

    Unlike Django's ``close_old_connections`` it keeps good ones, whatever ``CONN_MAX_AGE`` says
    about web requests: a worker that reconnected for each task would spend its time on that.

    Args:
        idle_beside: Given by an idle worker, which only uses this database. Connections to others
            are closed at their age: nothing would keep a server or firewall from closing them.
    """
    for connection in _connections():
        if connection.in_atomic_block or connection.connection is None:
            continue
        if idle_beside not in (None, connection.alias):
            connection.close_if_unusable_or_obsolete()
            continue
        if connection.errors_occurred:
            _check(connection)


def _check(connection: BaseDatabaseWrapper) -> None:
    """Keep a connection on which an error occurred only if it still works."""
    if answers(connection):
        connection.errors_occurred = False
    else:
        with suppress(Error):  # drivers refuse to close what the task closed already
            connection.close()


def close_connections() -> None:
    """Close this thread's connections; for threads that end or have nothing to do."""
    for connection in _connections():
        if not connection.in_atomic_block:
            with suppress(Error):
                connection.close()


def _connections() -> list[BaseDatabaseWrapper]:
    return list(connections.all(initialized_only=True))


def _depth(connection: BaseDatabaseWrapper) -> int:
    return len(connection.savepoint_ids) + 1 if connection.in_atomic_block else 0


def _restore(connection: BaseDatabaseWrapper, depth: int, mess: Mess) -> None:
    if _depth(connection) > depth:
        mess.found.append("a transaction was left open; it was rolled back")
        if depth == 0:
            discard(connection)
        while _depth(connection) > depth:
            sid = connection.savepoint_ids.pop()
            if sid is not None:
                connection.savepoint_rollback(sid)
        del connection.atomic_blocks[depth:]
    elif depth == 0 and connection.connection is not None:
        if _is_closed(connection):
            discard(connection)  # or the next task's first query would fail
            return
        what = _left_in(connection)
        if what is not None:
            mess.found.append(what)
            discard(connection)


def _left_in(connection: BaseDatabaseWrapper) -> str | None:
    """Say in what an open connection has been left, although Django knows of no transaction."""
    autocommit = connection.settings_dict["AUTOCOMMIT"]
    if connection.autocommit != autocommit:  # get_autocommit() would see that it is open, first
        return "autocommit was left off; what was not committed was rolled back"
    if autocommit and _has_own_transaction(connection):
        return "a BEGIN had no COMMIT; it was rolled back"
    return None


def _is_closed(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the task has closed the driver's connection, of which Django does not know."""
    driver: Any = connection.connection
    if connection.vendor == "sqlite":
        try:
            return driver.in_transaction is None
        except driver.ProgrammingError:
            return True
    is_open = getattr(driver, "open", True)  # MySQL's drivers
    return bool(getattr(driver, "closed", False)) or not is_open


def _has_own_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the driver is in a transaction of which Django does not know.

    Answered without a statement. ``mysqlclient`` does not tell; there the finish commits it.
    """
    driver: Any = connection.connection
    if connection.vendor == "sqlite":
        return bool(driver.in_transaction)
    if connection.vendor == "postgresql":  # libpq's numbers: 0 is idle, 4 unknown
        # What psycopg's ``info`` asks, too; it makes an enum of the answer.
        libpq = getattr(driver, "pgconn", None) or driver.info
        return libpq.transaction_status not in (0, 4)
    status = getattr(driver, "server_status", 0)  # PyMySQL's; the lowest bit is "in transaction"
    return bool(isinstance(status, int) and status & 1)


def discard(connection: BaseDatabaseWrapper) -> None:
    """Throw a connection away, whatever state it claims to be in."""
    connection.in_atomic_block = False
    connection.savepoint_ids = []
    connection.atomic_blocks = []
    connection.run_on_commit = []
    connection.needs_rollback = False
    connection.closed_in_transaction = False
    with suppress(Error):
        connection.close()
    connection.connection = None


def _close_savepoints(savepoints: list[tuple[BaseDatabaseWrapper, str | None]]) -> None:
    for connection, sid in savepoints:
        if sid is None:  # the database has none
            continue
        if connection.closed_in_transaction or connection.connection is None:
            continue
        if connection.needs_rollback or not answers(connection):
            connection.needs_rollback = False
            connection.savepoint_rollback(sid)
        else:
            connection.savepoint_commit(sid)


def answers(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a connection, or the transaction it is in, takes statements.

    Not ``is_usable``, which believes in SQLite's connections whatever happened to them.
    """
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _restore_process(directory: str | None, streams: tuple[Any, Any], mess: Mess) -> None:
    if directory is not None and _directory() != directory:
        with suppress(OSError):
            os.chdir(directory)
        mess.found.append("the working directory was changed")
    out, err = streams
    is_closed = (out is not None and out.closed) or (err is not None and err.closed)
    if is_closed or not _are_descriptors_open():
        _reopen_descriptors()
        _replace_closed_streams()
        mess.found.append("a standard stream was closed")


def _directory() -> str | None:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return None


def _are_descriptors_open() -> bool:
    if not hasattr(select, "poll"):
        return _is_open(0) and _is_open(1) and _is_open(2)
    standard = select.poll()  # one call of the system for all three
    for number in (0, 1, 2):
        standard.register(number, 0)
    # Mostly there are no events. Each task pays for this: no generator where a list will do.
    return not [event for _, event in standard.poll(0) if event & select.POLLNVAL]


def _reopen_descriptors() -> None:
    """Open closed standard descriptors: the next file or socket would get the number of one.

    What is printed would then be written into it, be it the connection to the database. Output
    goes on where the other output goes, so that nothing happens silently.
    """
    for number in [number for number in (0, 1, 2) if not _is_open(number)]:
        other = {1: 2, 2: 1}.get(number)
        if other is not None and _is_open(other):
            os.dup2(other, number)
        else:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _replace_closed_streams() -> None:
    """Give print() somewhere to go; the file descriptor itself cannot be brought back."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is not None and getattr(sys, name).closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


def is_in_memory(using: str) -> bool:
    """Tell whether no other process can see the database, nor another thread without trouble."""
    connection = connections[using]
    return connection.vendor == "sqlite" and connection.is_in_memory_db()  # type: ignore[attr-defined]
