"""The database itself: its clock, its transactions, its settings."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import DatabaseError, connections
from django.utils import timezone

from ..models import CompletedTask, Task, Worker
from ..store.clock import read_clock
from ..store.server import Server
from .finding import ADVICE, Finding, Limits

TABLES = (Task._meta.db_table, CompletedTask._meta.db_table)


def examine_clock(using: str, *, limits: Limits) -> Iterator[Finding]:
    """Find a host whose clock differs from the database's."""
    before = timezone.now()
    there = read_clock(using)
    after = timezone.now()
    apart = max(before - there, there - after)  # whatever time the question has taken
    if apart > limits.clock:
        yield Finding(
            "clock",
            f"This host's clock and the database's are {apart} apart "
            f"(here {after.isoformat()}, there {there.isoformat()}).",
            "The database's clock decides what is due. A task scheduled here for now is due "
            "there earlier or later by as much.",
            "Let both hosts keep their clocks by NTP (timedatectl set-ntp true).",
        )


def examine_time_zone(using: str) -> Iterator[Finding]:
    """Find times that are stored as a clock on the wall shows them, which goes back in autumn."""
    connection = connections[using]
    name = connection.settings_dict.get("TIME_ZONE")
    if name and settings.USE_TZ and not connection.features.supports_timezones:
        if _changes_clocks(ZoneInfo(name)):
            yield Finding(
                "time-zone",
                f"DATABASES[{using!r}] stores times in {name}, where clocks are changed.",
                "Once a year an hour comes twice and another is left out; tasks due then run an "
                "hour early or late, and a lease may look expired.",
                "Stop everything, convert the stored times to UTC, and remove TIME_ZONE from "
                f"DATABASES[{using!r}].",
            )
    elif not settings.USE_TZ and _changes_clocks(timezone.get_default_timezone()):
        yield Finding(
            "time-zone",
            f"USE_TZ is off, and clocks are changed in {settings.TIME_ZONE}.",
            "Once a year an hour comes twice and another is left out; tasks due then run an "
            "hour early or late.",
            'Set USE_TZ = True, or TIME_ZONE = "UTC".',
            level=ADVICE,
        )


def _changes_clocks(zone: Any) -> bool:
    year = timezone.now().year
    return datetime(year, 1, 1, tzinfo=zone).utcoffset() != (
        datetime(year, 7, 1, tzinfo=zone).utcoffset()
    )


def examine_isolation(using: str) -> Iterator[Finding]:
    """Find isolation levels at which workers get into each other's way."""
    level = Server(using).isolation()
    if level and level != "READ COMMITTED":
        yield Finding(
            "isolation",
            f"Transactions of this project run at {level}.",
            "At higher levels workers that claim at the same time fail with serialization errors "
            "or deadlocks, and wait for locks on rows that nobody has. At lower ones they see "
            "what is not yet true.",
            f'In DATABASES[{using!r}]["OPTIONS"] set "isolation_level" to READ COMMITTED (for '
            "MySQL and MariaDB \"read committed\", Django's default), or correct the server's "
            "own default.",
        )


def examine_transactions(using: str, *, limits: Limits) -> Iterator[Finding]:
    """Find transactions that somebody forgot to end."""
    server = Server(using)
    seconds = limits.transaction.total_seconds()
    try:
        found = server.transactions(older_than_seconds=seconds)
    except DatabaseError as error:
        yield Finding(
            "transactions-hidden",
            f"The open transactions cannot be seen: {error}.",
            "A forgotten one makes the tables grow, and holds locks that workers wait for.",
            "For MySQL and MariaDB: GRANT PROCESS ON *.* TO the user of this connection.",
            level=ADVICE,
        )
        return
    for one in found:
        end = f"KILL {one.session};"
        if server.vendor == "postgresql":
            end = f"SELECT pg_terminate_backend({one.session}); and let the server do it by itself:"
            end += " idle_in_transaction_session_timeout = '5min'"
        yield Finding(
            "long-transaction",
            f"A transaction of another session has been open for {_duration(one.seconds)}: "
            f"{one.session} ({one.text}).",
            "As long as it is open the database keeps every row that is deleted or changed "
            "meanwhile. A queue deletes all its rows, so each claim has more and more to step "
            "over. It may also hold locks.",
            f"Find the program that forgot to commit. To end it now: {end}",
        )


def examine_vacuum(using: str, *, limits: Limits) -> Iterator[Finding]:
    """Find tables that PostgreSQL does not clean up."""
    for table in Server(using).vacuums(TABLES):
        if not table.is_automatic:
            yield Finding(
                "autovacuum-off",
                f"Autovacuum is off for the table {table.table}.",
                "Rows that are deleted or changed stay in it as dead ones, for each claim to step "
                "over, and it grows without end.",
                f"ALTER TABLE {table.table} RESET (autovacuum_enabled); and in postgresql.conf: "
                "autovacuum = on, track_counts = on",
            )
        if table.dead > max(limits.dead_rows, 2 * table.threshold):
            last = f"last on {table.vacuumed_at:%Y-%m-%d %H:%M}" if table.vacuumed_at else "never"
            yield Finding(
                "dead-rows",
                f"The table {table.table} has {table.dead} dead rows (vacuumed: {last}).",
                f"Autovacuum should have begun at {table.threshold}. It is off, cannot keep up, or "
                "an open transaction keeps it from removing them. Each claim steps over them.",
                f"Mend the other findings, then: VACUUM (ANALYZE) {table.table}; If it comes back: "
                f"ALTER TABLE {table.table} SET (autovacuum_vacuum_scale_factor = 0.01, "
                "autovacuum_vacuum_cost_delay = 0);",
            )


def examine_pooler(using: str) -> Iterator[Finding]:
    """Find what stands between this project and PostgreSQL."""
    sessions, is_direct = Server(using).sessions()
    if sessions > 1 or not is_direct:
        certain = sessions > 1
        yield Finding(
            "pooler",
            "Statements of one connection are answered by several sessions of PostgreSQL."
            if certain
            else "PostgreSQL answers on another port than the one this project connects to.",
            "Between them is a pooler of transactions, it seems. Workers are not woken by NOTIFY "
            "through it, and look for tasks at intervals instead; server-side cursors fail.",
            "Give workers an alias of DATABASES that connects directly, and set "
            f"DISABLE_SERVER_SIDE_CURSORS = True in DATABASES[{using!r}] for the rest. If it only "
            "forwards connections, all is well.",
            level=ADVICE,
        )


def examine_pool(using: str, workers: list[Worker]) -> Iterator[Finding]:
    """Find a pool of Django's that is too small."""
    pool = (connections[using].settings_dict.get("OPTIONS") or {}).get("pool")
    if not pool:
        return
    options = pool if isinstance(pool, dict) else {}
    size = options.get("max_size") or options.get("min_size", 4)
    needed = max((worker.capacity for worker in workers), default=1) + 2
    if size < needed:
        yield Finding(
            "pool-small",
            f"The pool of connections has {size}, a worker needs up to {needed}.",
            "Each slot may use one, the worker another, and its heartbeat one more. Waiting for "
            "one, a heartbeat may come too late.",
            f'In DATABASES[{using!r}]["OPTIONS"]["pool"] set "max_size" to {needed} or more.',
            level=ADVICE,
        )


def examine_sqlite(using: str, *, limits: Limits) -> Iterator[Finding]:
    """Find a SQLite on which readers and writers keep each other waiting."""
    connection: Any = connections[using]
    if connection.vendor != "sqlite" or connection.is_in_memory_db():
        return
    server = Server(using)
    options = f'DATABASES[{using!r}]["OPTIONS"]'
    mode = str(server.pragma("journal_mode")).upper()
    if mode != "WAL":
        yield Finding(
            "sqlite-journal",
            f"The journal mode of the database is {mode}.",
            "Whoever reads keeps workers from writing, and a worker that writes keeps the site "
            "from reading. WAL does neither.",
            f'In {options} set "init_command": "PRAGMA journal_mode=WAL;" (Django 5.1), or once: '
            f"sqlite3 {connection.settings_dict['NAME']} 'PRAGMA journal_mode=WAL'",
        )
    waits = timedelta(milliseconds=int(server.pragma("busy_timeout")))
    if waits < limits.sqlite_timeout:
        yield Finding(
            "sqlite-timeout",
            f"SQLite waits for its lock for {waits.total_seconds():g} s only.",
            "Then the call of a task, or what a task writes, fails with 'database is locked'.",
            f'In {options} set "timeout": 20',
        )


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
