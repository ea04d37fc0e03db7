"""Running what is due, and what will be, inside a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q

from ..exceptions import BackgroundTaskError, number_of
from ..immediate import Immediate, Ran
from ..models import Task, TaskQuerySet
from ..store import get_store
from ..tasks import tasks
from .clock import Clock, moment
from .selection import ANY, Queue, selected

#: More runs than any test means.
MOST_RUNS = 1000
#: How many functions a message names.
MOST_NAMES = 3


class DrainLimitError(BackgroundTaskError, AssertionError):
    """``drain`` has run as many tasks as it may, and there are more."""


def run_due(
    *functions: Any,
    queue: Queue = ANY,
    now: datetime | timedelta | None = None,
    raise_errors: bool = True,
) -> list[Ran]:
    """Run each task that is due once. What they queue meanwhile is left in the queue.

    In this thread, inside the transaction of the test if there is one, by the road on which a
    worker runs them: arguments are read from the rows, signals sent, results and errors kept.
    Limits hold up nothing here, and there are no time limits. What is paused is not run.

    Args:
        *functions: Run the tasks of these only: task functions or their names.
        queue: Run the tasks of this queue only; None is the unnamed one.
        now: Run what is due at this time, or after this time from now, as if it were then.
        raise_errors: Raise what a task raises if its attempt thereby fails, once that is recorded;
            what was to be run after it stays in the queue. If False, it is recorded only.

    Returns:
        What ran, in order.
    """
    here = Immediate(tasks._tasks, store=get_store())
    clock = Clock(here.store)
    if now is not None:
        clock.move_to(moment(now, what="now", since=clock.now()))
    due = selected(here.runnable(), functions, queue).filter(run_at__lte=clock.now())
    done = []
    for pk in list(due.values_list("pk", flat=True)):
        ran = here.run_row(pk)
        if ran is None:  # one before it has cancelled or deleted it
            continue
        done.append(ran)
        if raise_errors and ran.has_failed:
            ran.raise_error()
    return done


def drain(
    *functions: Any,
    queue: Queue = ANY,
    scheduled: bool = False,
    until: datetime | timedelta | None = None,
    retries: bool = False,
    raise_errors: bool = True,
    limit: int = MOST_RUNS,
) -> list[Ran]:
    """Run tasks until nothing is due any more, those that they queue meanwhile among them.

    As ``run_due``, over and over. The clock of the queue may be moved: to the time of the next task
    when nothing else is due. A function that asks for the time itself gets the real one.

    Args:
        *functions: Run the tasks of these only: task functions or their names.
        queue: Run the tasks of this queue only; None is the unnamed one.
        scheduled: Run those that are scheduled for later as well, however late. A repeating task
            comes to no end so; use ``until``.
        until: Run those as well that are scheduled for up to this time, or for within this time
            from now.
        retries: Make the further attempts of a task that fails here, with the clock moved to them.
            If False, the first attempt that fails here is the task's last one here.
        raise_errors: Raise what a task raises if the task thereby fails: for good, or, without
            ``retries``, this attempt. It is recorded before that. If False, it is recorded only.
        limit: The most runs.

    Returns:
        What ran, in order.

    Raises:
        DrainLimitError: There is more to run than ``limit`` allows.
    """
    most = number_of(limit, what="limit", most=2**31, remedy="use a whole number from 1")
    draining = _Draining(functions, queue, is_later=scheduled, until=until, retries=retries)
    done: list[Ran] = []
    while (row := draining.next()) is not None:
        if len(done) >= most:
            raise DrainLimitError(_too_much(done, row))
        ran = draining.run(row)
        if ran is None:
            continue
        done.append(ran)
        if raise_errors and (ran.status == "failed" or (ran.has_failed and not retries)):
            ran.raise_error()
    return done


class _Draining:
    """Finds what ``drain`` is to run next."""

    def __init__(
        self,
        functions: Sequence[Any],
        queue: Queue,
        *,
        is_later: bool,
        until: datetime | timedelta | None,
        retries: bool,
    ) -> None:
        self._functions, self._queue, self._retries = functions, queue, retries
        self._here = Immediate(tasks._tasks, store=get_store())
        self._clock = Clock(self._here.store)
        self._is_later = is_later or until is not None
        self._end = None
        if until is not None:
            self._end = moment(until, what="until", since=self._clock.now())
        self._failed: set[int] = set()
        self._stuck: set[int] = set()

    def next(self) -> Task | None:
        """Return the row to be run next, for which the clock may be moved; None is the end."""
        rows = self._allowed()
        due = rows.filter(run_at__lte=self._clock.now()).first()
        if due is not None:
            return due
        soonest = rows.order_by("run_at").first()
        if soonest is None:
            return None
        self._clock.move_to(soonest.run_at)
        return rows.filter(run_at__lte=self._clock.now()).first()

    def _allowed(self) -> TaskQuerySet:
        """Return the rows that may be run, whether due already or when the clock is moved."""
        rows = selected(self._here.runnable(), self._functions, self._queue)
        rows = rows.exclude(pk__in=self._stuck)
        if not self._retries:
            rows = rows.exclude(pk__in=self._failed)
        if self._is_later and self._end is None:
            return rows
        now = self._clock.real()
        # Not all that is due by a clock that has been moved to a retry.
        last = now if self._end is None else max(self._end, now)
        return rows.filter(Q(run_at__lte=last) | Q(pk__in=self._failed))

    def run(self, row: Task) -> Ran | None:
        """Run a row; None if that is not possible."""
        ran = self._here.run_row(row.pk)
        if ran is None or ran.status == "lost":
            self._stuck.add(row.pk)  # it would be found again and again
        elif ran.status == "retry":
            self._failed.add(row.pk)
        return ran


def _too_much(done: Sequence[Ran], row: Task) -> str:
    counts = Counter(ran.task_name for ran in done).most_common(MOST_NAMES)
    what = ", ".join(f"{name} {count} times" for name, count in counts)
    return (
        f"drain has run {len(done)} tasks ({what}), and {row.task_name} is next, for {row.run_at}; "
        "what repeats or queues itself comes to no end: give until=, or the functions to be run, "
        "or a larger limit="
    )
