"""What people can do to the tasks that they have chosen: each is one verb of the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from django import forms

from ..attempt import Claim
from ..cancellation import cancel
from ..models import CompletedTask, CompletedTaskQuerySet, Task
from ..retrying import retry_rows
from ..store import get_store, task_database
from ..store.again import RETRIED_TEXT, failed_tasks
from ..store.change import Changed, Changes
from ..store.selection import Selection
from ..tasks import autodiscover, tasks
from ..worker.stale import Rule, requeue_stale
from .journal import Entry
from .question import PriorityQuestion, QueueQuestion, TimeQuestion

Row: TypeAlias = "Task | CompletedTask"


@dataclass(frozen=True, slots=True)
class Report:
    """What became of some rows.

    Attributes:
        counts: How many there are of which each of these words is true.
        entries: What the admin log is to say.
        warnings: What else the person should be told.
    """

    counts: Counter[str] = field(default_factory=Counter)
    entries: list[Entry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that can be done to tasks.

    Attributes:
        name: Of the action, and in addresses.
        title: On buttons.
        right: What it takes: ``change``, ``run`` or ``cancel``.
        do: Does it to as many rows as fit into one statement, given the answers to the question.
        fits: Tells of a row whether it makes sense to offer it.
        consequence: What it will do, for the page that asks; empty if nobody is asked.
        question: What has to be known before.
        nothing: What is said if there was nothing to do.
    """

    name: str
    title: str
    right: str
    do: Callable[..., Report]
    fits: Callable[[Any], bool]
    consequence: str = ""
    question: type[forms.Form] | None = None
    nothing: str = "No task was chosen"


# -- what is done ----------------------------------------------------------------------------------


def _run_now(keys: Sequence[int]) -> Report:
    changed = _changes().run_now(keys)
    return _changed(
        keys, changed, "due now", "left alone: due already, running or gone", "Due now."
    )


def _reschedule(keys: Sequence[int], *, run_at: datetime) -> Report:
    changed = _changes().reschedule(keys, run_at=run_at)
    what = f"Rescheduled to {run_at.isoformat(' ', 'seconds')}."
    return _changed(keys, changed, "rescheduled", LEFT, what)


def _set_priority(keys: Sequence[int], *, priority: int) -> Report:
    changed = _changes().set_priority(keys, priority=priority)
    return _changed(keys, changed, "changed", LEFT, f"Priority set to {priority}.")


def _set_queue(keys: Sequence[int], *, queue: str | None) -> Report:
    changed = _changes().set_queue(keys, queue=queue)
    what = "Moved to the unnamed queue." if queue is None else f"Moved to queue {queue!r}."
    return _changed(keys, changed, "moved", LEFT, what)


def _add_to_priority(keys: Sequence[int], *, step: int) -> Report:
    changed = _changes().add_to_priority(keys, step=step)
    left = "left alone: gone, in other hands, or at the end of the range"
    return _changed(keys, changed, "changed", left, f"Priority {step:+d}.")


def _cancel(keys: Sequence[int]) -> Report:
    """Each in a transaction of its own.

    A worker that ends a group of runs has the locks of their rows. One transaction for many would
    wait for a row of the group with the lock of another one that the worker wants: a deadlock.
    """
    report = Report()
    for task in _named(keys):
        what = cancel(task)
        report.counts[CANCELLED_AS[what]] += 1
        if what in CANCELLED_LOG:
            report.entries.append(Entry(task.pk, str(task), f"{CANCELLED_LOG[what]} {_id(task)}"))
    report.counts[CANCELLED_AS["finished"]] += len(keys) - report.counts.total()
    return report


def _discard(keys: Sequence[int]) -> Report:
    """Each in a transaction of its own, as for ``_cancel``."""
    report, store = Report(), get_store(task_database())
    for task in _named(keys):
        what = store.discard(task.pk if task.uid is None else task.uid)
        report.counts[DISCARDED_AS[what]] += 1
        if what == "discarded":
            report.entries.append(Entry(task.pk, str(task), f"Discarded {_id(task)}"))
    report.counts[DISCARDED_AS["finished"]] += len(keys) - report.counts.total()
    return report


def _take_back(keys: Sequence[int]) -> Report:
    autodiscover()
    report = Report()

    def note(claim: Claim, what: str) -> None:
        text = f"Taken back from {claim.owner}; now: {TAKEN_AS[what]}."
        name = claim.verbose_name or claim.task_name
        report.entries.append(Entry(claim.task_id, name, text))

    found = requeue_stale(
        get_store(task_database()),
        older_than=timedelta(0),
        rule=Rule(),
        registry=tasks._tasks,
        selection=Selection(keys=keys),
        note=note,
    )
    for what, words in TAKEN_AS.items():
        report.counts[words] += getattr(found, what)
    return report


def _retry(keys: Sequence[int], *, only_failed: bool) -> Report:
    autodiscover()
    using, selection = task_database(), Selection(keys=keys)
    rows: CompletedTaskQuerySet = CompletedTask.objects.using(using).filter(pk__in=keys)
    if only_failed:
        rows = failed_tasks(using, selection=selection)
    report = Report()

    def note(row: CompletedTask, task: Task) -> None:
        text = f"Put into the queue anew as task {task.uid}."
        report.entries.append(Entry(row.pk, row.verbose_name or row.task_name, text))

    done = retry_rows(rows, registry=tasks._tasks, sender=type(tasks._runner), note=note)
    report.counts["put into the queue anew"] += done.retried
    report.counts["held back: another task has the unique key"] += done.held_back
    report.counts["not readable any more"] += len(done.refused)
    report.warnings.extend(why for _, why in done.refused)
    return report


#: What is said of those that a change has not touched.
LEFT = "left alone: claimed by a worker, or gone"
CANCELLED_AS = {
    "cancelled": "cancelled",
    "requested": "asked to end",
    "finished": "finished already",
    "gone": "gone already",
}
CANCELLED_LOG = {"cancelled": "Cancelled", "requested": "Asked to end"}
DISCARDED_AS = {
    "discarded": "discarded",
    "running": "left alone: running",
    "finished": "finished already",
    "gone": "gone already",
}
TAKEN_AS = {
    "requeued": "waiting again",
    "failed": "failed, as no attempt was left",
    "cancelled": "cancelled, as somebody had asked for it",
    "spared": "left to workers that are alive",
}


def _changes() -> Changes:
    return Changes(get_store(task_database()))


def _changed(keys: Sequence[int], changed: Changed, done: str, left: str, what: str) -> Report:
    entries = [Entry(key, name, what) for key, name in changed.items()]
    return Report(Counter({done: len(changed), left: len(keys) - len(changed)}), entries)


def _named(keys: Sequence[int]) -> list[Task]:
    """Return the rows that are there, with what is needed to find and to name them."""
    rows = Task.objects.using(task_database()).filter(pk__in=keys).order_by("pk")
    return list(rows.only("pk", "uid", "task_name", "verbose_name"))


def _id(task: Task) -> str:
    """Return what leads to the task in the archive."""
    return f"(task {task.uid})." if task.uid else "(a task of 1.x)."


# -- when it makes sense ---------------------------------------------------------------------------


def _waits(row: Row) -> bool:
    return isinstance(row, Task) and row.locked_by is None and row.failed_at is None


def _is_live(row: Row) -> bool:
    return isinstance(row, Task) and row.failed_at is None


def _is_held(row: Row) -> bool:
    return isinstance(row, Task) and row.locked_by is not None


def _is_to_be_retried(row: Row) -> bool:
    has_failed = isinstance(row, CompletedTask) and row.failed_at is not None
    return has_failed and RETRIED_TEXT not in (row.options or "")


def _has_ended(row: Row) -> bool:
    return isinstance(row, CompletedTask)


# -- the deeds -------------------------------------------------------------------------------------

RUN_NOW = Deed("run_now", "Run now", "run", _run_now, _waits)
CANCEL = Deed(
    "cancel_tasks",
    "Cancel",
    "cancel",
    _cancel,
    _is_live,
    "Those that wait end at once, those that run are asked to end, by force some seconds later. "
    "They are not tried again, and repeating tasks are not repeated. This cannot be undone.",
)
DISCARD = Deed(
    "discard_tasks",
    "Discard",
    "cancel",
    _discard,
    _waits,
    "Those that wait are left out this once: they count as discarded, and repeating tasks go on "
    "with their next run. Those that run are left alone. This cannot be undone.",
)
RESCHEDULE = Deed(
    "reschedule_tasks",
    "Reschedule",
    "change",
    _reschedule,
    _waits,
    "Those that wait get this time. Repeating tasks go on from there. "
    "What a worker claims meanwhile is left alone.",
    TimeQuestion,
)
SET_PRIORITY = Deed(
    "change_priority",
    "Change priority",
    "change",
    _set_priority,
    _waits,
    "Those that wait get this priority. What a worker claims meanwhile is left alone.",
    PriorityQuestion,
)
SET_QUEUE = Deed(
    "change_queue",
    "Move to another queue",
    "change",
    _set_queue,
    _waits,
    "Those that wait are moved. What a worker claims meanwhile is left alone.",
    QueueQuestion,
)
TAKE_BACK = Deed(
    "take_back",
    "Take back from workers that are gone",
    "run",
    _take_back,
    _is_held,
    nothing="None of these is held by anybody",
)
RAISE = Deed("inc_priority", "priority += 1", "change", partial(_add_to_priority, step=1), _is_live)
LOWER = Deed(
    "dec_priority", "priority -= 1", "change", partial(_add_to_priority, step=-1), _is_live
)
TRY_ANEW = Deed(
    "try_anew",
    "Try anew what has failed",
    "run",
    partial(_retry, only_failed=True),
    _is_to_be_retried,
    nothing="None of these has failed and not been tried anew",
)
RUN_AGAIN = Deed(
    "run_again",
    "Run again",
    "run",
    partial(_retry, only_failed=False),
    _has_ended,
    "A new task is added for each of them, with the same arguments, however it has ended. "
    "What has been done once is then done twice.",
)

#: For tasks that wait or run, and for those in the archive.
OF_TASKS = (
    *(RUN_NOW, RESCHEDULE, SET_PRIORITY, SET_QUEUE, RAISE, LOWER),
    *(TAKE_BACK, DISCARD, CANCEL),
)
OF_COMPLETED = (TRY_ANEW, RUN_AGAIN)
