"""Looks at a database and says what keeps tasks from being run, or will.

Everything is read only, and costs as much as a few claims, however large the tables are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.checks import INFO, CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, Error, connections

from ..checks import check_apps, check_settings, check_sqlite
from ..store import task_database
from ..store.clock import read_clock
from ..store.diagnosis import Diagnosis
from ..tasks import autodiscover, tasks
from . import queue, schema, server
from .finding import ADVICE, PROBLEM, Finding, Limits, Report

__all__ = ["ADVICE", "PROBLEM", "Finding", "Limits", "Report", "diagnose"]


def diagnose(using: str | None = None, *, limits: Limits | None = None) -> Report:
    """Examine a database.

    Args:
        using: Its alias; None for the one to which this project's routers send tasks.
        limits: From where on something is found.

    Returns:
        What was found; also when the database does not answer.
    """
    using = task_database() if using is None else using
    limits = Limits() if limits is None else limits
    report = Report(database=using, vendor=connections[using].vendor)
    report.findings += _of_settings()
    report.findings += _of_functions()
    try:
        connections[using].ensure_connection()
        missing = list(schema.examine_migrations(using))
        report.findings += missing
        if not missing:
            _examine(report, limits)
    except (Error, ImproperlyConfigured) as error:
        report.findings.append(_down(using, error))
    return report


def _examine(report: Report, limits: Limits) -> None:
    """Add what is found in a database that answers and has the tables."""
    using = report.database
    diagnosis = Diagnosis(using, now=read_clock(using))
    due, workers, holders = diagnosis.due(), diagnosis.workers(), diagnosis.holders()
    now = diagnosis.now
    report.facts.update(queue.facts_of(due, workers, holders, now))
    registry = tasks._tasks
    paused = diagnosis.paused()
    held_up = [row for row in due if row.pauses_among(paused)]
    due = [row for row in due if not row.pauses_among(paused)]
    examinations: tuple[Callable[[], Iterable[Finding]], ...] = (
        lambda: queue.examine_workers(workers, due, now=now),
        lambda: queue.examine_backlog(due, workers, registry=registry, limits=limits, now=now),
        lambda: queue.examine_pauses(paused, held_up, now=now),
        lambda: queue.examine_holders(diagnosis, holders, workers),
        lambda: queue.examine_buried(diagnosis),
        lambda: schema.examine_indexes(using),
        lambda: server.examine_clock(using, limits=limits),
        lambda: server.examine_time_zone(using),
        lambda: server.examine_isolation(using),
        lambda: server.examine_transactions(using, limits=limits),
        lambda: server.examine_vacuum(using, limits=limits),
        lambda: server.examine_pooler(using),
        lambda: server.examine_pool(using, workers),
        lambda: server.examine_sqlite(using, limits=limits),
    )
    for examination in examinations:
        try:
            report.findings += examination()
        except DatabaseError as error:
            report.findings.append(_hidden(error))


def _of_settings() -> Iterator[Finding]:
    """Yield what ``manage.py check`` says of this app."""
    messages: list[CheckMessage] = [*check_settings(), *check_apps(), *check_sqlite()]
    for message in messages:
        yield Finding(
            "check",
            f"{message.id}: {message.msg}",
            "manage.py check says so; a worker does not start with an error.",
            message.hint or "See docs/settings.md.",
            level=PROBLEM if message.level > INFO else ADVICE,
        )


def _of_functions() -> Iterator[Finding]:
    """Import the task functions, as a worker does; yield what keeps them from being imported."""
    try:
        autodiscover()
    except Exception as error:  # noqa: BLE001 - the project's own modules are executed
        yield Finding(
            "tasks-broken",
            f"A module of tasks cannot be imported: {type(error).__name__}: {error}",
            "No worker starts as long as that is so.",
            "python manage.py shell -c 'from background_task.tasks import autodiscover; "
            "autodiscover()' shows where.",
        )


def _down(using: str, error: Any) -> Finding:
    return Finding(
        "database-down",
        f"The database {using!r} cannot be used: {_first_line(error)}",
        "Nothing can be scheduled, and nothing is run; workers wait until it answers again.",
        f"Start the server, or correct DATABASES[{using!r}].",
    )


def _hidden(error: Any) -> Finding:
    return Finding(
        "not-examined",
        f"One thing could not be examined: {_first_line(error)}",
        "It may be in order, or not.",
        "Give the user of this connection the right to read it.",
        level=ADVICE,
    )


def _first_line(error: Any) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
