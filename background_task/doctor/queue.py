"""Rows and workers: what waits, who runs it, what is stuck."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from ..models import Worker
from ..registry import Registry
from ..settings import app_settings
from ..store.diagnosis import MOST_ROWS, Diagnosis, DueRow, Holder
from ..store.pause import Paused
from .finding import ADVICE, Finding, Limits

START = "Start one: python manage.py process_tasks"
#: How many names a sentence may list.
MOST_NAMES = 5


def facts_of(
    due: list[DueRow], workers: list[Worker], holders: list[Holder], now: datetime
) -> dict[str, Any]:
    """Return the numbers that the report shows in any case."""
    return {
        "due_rows": len(due),
        "due_rows_are_all": len(due) < MOST_ROWS,
        "oldest_due_at": min((row.run_at for row in due), default=None),
        "held_rows": sum(holder.rows for holder in holders),
        "workers_alive": len(living(workers, now)),
    }


def living(workers: list[Worker], now: datetime) -> list[Worker]:
    """Return the workers whose lease runs."""
    return [worker for worker in workers if worker.expires_at >= now]


def examine_workers(
    workers: list[Worker], due: list[DueRow], *, now: datetime
) -> Iterator[Finding]:
    """Find nobody at work, and workers that stopped without a word."""
    if not living(workers, now):
        yield _nobody(due, now)
    stale = [worker for worker in workers if worker.expires_at < now]
    if stale:
        names = _listed(f"{worker} (seen {_age(worker.heartbeat_at, now)} ago)" for worker in stale)
        yield Finding(
            "worker-stale",
            f"{_some(len(stale), 'worker')} stopped without a word: {names}.",
            "It was killed, its host is down, or it is cut off from the database. What it was "
            "running lost an attempt, and waits until a living worker recovers it.",
            "Look at its log for the cause (often too little memory). A living worker puts this "
            f"in order within {app_settings.BACKGROUND_TASK_LEASE_SECONDS:g} s. {START}",
        )


def _nobody(due: list[DueRow], now: datetime) -> Finding:
    lease = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    overdue = [row for row in due if row.run_at < now - lease]
    if not overdue:
        return Finding(
            "no-worker",
            "No worker is alive, and no task is overdue.",
            "If nothing starts one, as cron may do, tasks will wait for ever.",
            START,
            level=ADVICE,
        )
    oldest = _age(min(row.run_at for row in overdue), now)
    return Finding(
        "no-worker",
        f"No worker is alive, and {_many(overdue)} overdue, the oldest for {oldest}.",
        "Calling a task only saves a row; nothing runs it until a worker does.",
        START,
    )


def examine_backlog(
    due: list[DueRow],
    workers: list[Worker],
    *,
    registry: Registry,
    limits: Limits,
    now: datetime,
) -> Iterator[Finding]:
    """Find due rows that wait for too long, and those that nobody will ever run."""
    unknown = sorted({row.task_name for row in due if row.task_name not in registry})
    if unknown:
        yield Finding(
            "function-unknown",
            f"Due tasks name functions that this project does not have: {_listed(unknown)}.",
            "Workers leave such rows alone, as other code may have the function; if none has, "
            "they wait for ever.",
            "Bring the function back, give a renamed one its old name (name=...), or delete the "
            f"rows: Task.objects.filter(task_name={unknown[0]!r}).delete()",
        )
    alive = living(workers, now)
    if not alive:
        return
    served = {row.queue: _is_served(row.queue, alive) for row in due}
    unserved = sorted(str(queue) for queue, is_served in served.items() if not is_served)
    if unserved:
        named = sorted(q for q, is_served in served.items() if q is not None and not is_served)
        yield Finding(
            "queue-unserved",
            f"Tasks are due in queues that no living worker serves: {_listed(unserved)}.",
            "A worker with --queue takes nothing from other queues, nor what has no queue (None).",
            "Start a worker that serves all: python manage.py process_tasks"
            + "".join(f", or one for it: --queue {queue}" for queue in named[:1])
            + ".",
        )
    late = [
        row
        for row in due
        if row.run_at < now - limits.overdue and row.task_name in registry and served[row.queue]
    ]
    if late:
        yield Finding(
            "overdue",
            f"{_many(late).capitalize()} due for longer than {limits.overdue}, the oldest "
            f"for {_age(min(row.run_at for row in late), now)}.",
            f"The {_some(len(alive), 'living worker')} cannot keep up, or long tasks keep them "
            "busy.",
            "Start more workers, or give them more slots (--processes, --threads); put long "
            "tasks into a queue of their own.",
        )


def examine_pauses(paused: list[Paused], due: list[DueRow], *, now: datetime) -> Iterator[Finding]:
    """Find rows that wait because somebody has paused their queue or function."""
    holding = [each for each in paused if any(each in row.pauses_among(paused) for row in due)]
    if holding:
        first = holding[0]
        flag = f"--{first.kind} {shlex.quote(first.name)}" if first.name else "--unnamed"
        yield Finding(
            "paused",
            f"{_many(due).capitalize()} due and paused: "
            + _listed(f"{each} (for {_age(each.paused_at, now)})" for each in holding)
            + ".",
            "Somebody has paused that; no worker takes anything of it until it is resumed.",
            "When it may go on: python manage.py background_task_resume " + flag,
            level=ADVICE,
        )


def examine_holders(
    diagnosis: Diagnosis, holders: list[Holder], workers: list[Worker]
) -> Iterator[Finding]:
    """Find rows that the dead hold, and rows of owners that are no workers."""
    gone = diagnosis.gone_holders()
    if gone:
        yield Finding(
            "rows-left-behind",
            f"{_some(sum(holder.rows for holder in gone), 'row')} held by owners that are gone: "
            f"{_listed(holder.name for holder in gone)}.",
            "They are taken back by the first living worker, and only then run again.",
            START if not living(workers, diagnosis.now) else "Wait a moment, and look again.",
        )
    names = [holder.name for holder in holders]
    known = diagnosis.known_workers(names) | {holder.name for holder in gone}
    strange = [name for name in names if name not in known]
    if strange:
        yield Finding(
            "owner-unknown",
            f"Rows are locked by owners that are not workers of this version: {_listed(strange)}.",
            "They have no heartbeat: a worker of version 1.x (a number), or code that called "
            "lock(). Such a row is free MAX_RUN_TIME "
            f"({app_settings.MAX_RUN_TIME:g} s) after it was locked.",
            "Stop 1.x workers. If they are gone, free the rows: "
            f"Task.objects.filter(locked_by={strange[0]!r}).update(locked_by=None, locked_at=None)",
            level=ADVICE,
        )


def examine_buried(diagnosis: Diagnosis) -> Iterator[Finding]:
    """Find rows that failed and could not leave the table."""
    buried = diagnosis.buried()
    if buried:
        yield Finding(
            "buried",
            f"{_some(len(buried), 'failed row')} among the live ones, with the keys "
            f"{_listed(map(str, buried))}.",
            "The archive refused their outcome even in its plainest form (or a very old version "
            "left them there). They are neither run again nor purged.",
            "Read last_error of Task.objects.failed() and the worker's log, mend the cause, then "
            "run them again with .update(failed_at=None, attempts=0), or delete them.",
        )


def _is_served(queue: str | None, workers: list[Worker]) -> bool:
    return any(worker.serves(queue) for worker in workers)


def _many(rows: list[DueRow]) -> str:
    if len(rows) == 1:
        return "1 task is"
    return f"{MOST_ROWS} tasks or more are" if len(rows) >= MOST_ROWS else f"{len(rows)} tasks are"


def _some(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _listed(names: Iterable[Any]) -> str:
    shown = [str(name) for name in names]
    rest = len(shown) - MOST_NAMES
    more = f" and {rest} more" if rest > 0 else ""
    return ", ".join(shown[:MOST_NAMES]) + more


def _age(moment: datetime, now: datetime) -> str:
    return str(timedelta(seconds=round((now - moment).total_seconds())))
