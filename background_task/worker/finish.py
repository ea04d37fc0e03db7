"""Hops 6 and 7: record the outcome whatever it takes, then tell who wants to know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import Error, connections

from .. import telemetry
from ..attempt import Cancelled, Claim, Discarded, Failed, Outcome, Retry, Settled, Succeeded
from ..models import CompletedTask, Task
from ..signals import (
    task_cancelled,
    task_discarded,
    task_failed,
    task_finished,
    task_rescheduled,
    task_successful,
)
from ..store import Finish, Store, is_outage
from ..store.group import is_watched
from .control import Backoff, Control
from .hygiene import announce, answers, close_connections, refresh_connections

#: The signals that are sent after an outcome is recorded.
OUTCOMES = (
    *(task_successful, task_failed, task_discarded, task_cancelled),
    *(task_rescheduled, task_finished),
)
#: Tries outside a worker, where nobody can be told to stop and nothing goes on for ever.
TRIES_WITHOUT_WORKER = 5
#: MySQL's numbers for text that the character set of a column cannot hold; the driver
#: ``mysqlclient`` gives them the class of a broken connection.
REFUSED_TEXT = (1300, 1366, 3988)
#: Tries even when the worker must leave at once: the interrupted task may have broken the
#: connection, and on a new one the row can still be handed back.
TRIES_AT_LEAST = 2


@dataclass(frozen=True, slots=True)
class End:
    """The end of one run.

    Attributes:
        claim: The proof of ownership.
        outcome: What became of the run.
        seconds: How long it took.
        ended: ``time.monotonic()`` at the end.
        settled: What is in the database already.
    """

    claim: Claim
    outcome: Outcome
    seconds: float
    ended: float
    settled: Settled | None = None

    @classmethod
    def of(cls, claim: Claim, outcome: Outcome | Settled, *, seconds: float, ended: float) -> End:
        """Return the end of a run that came to this."""
        if isinstance(outcome, Settled):
            return cls(claim, Succeeded(), seconds, ended, settled=outcome)
        return cls(claim, outcome, seconds, ended)


def record_many(store: Store, ends: Sequence[End], *, control: Control | None = None) -> None:
    """Write outcomes together and announce them; if that fails, one by one.

    Args:
        store: The store of the rows.
        ends: What to write.
        control: The worker's orders; see ``record``.
    """
    for end in ends:
        if end.settled is not None:
            _announce(store, end, end.settled.finish)
    ends = [end for end in ends if end.settled is None]
    if not ends:
        return
    if is_watched():  # who watches the rows would see some a second time if the group failed
        for end in ends:
            record(store, end, control=control)
        return
    try:
        finishes = store.finish_many([(end.claim, end.outcome) for end in ends])
    except (Exception, SystemExit, GeneratorExit):
        if store.in_transaction():
            raise
        # Some may be recorded, perhaps all and only the confirmation was lost.
        refresh_connections()
        for place, end in enumerate(ends):
            is_recorded = record(store, end, control=control, is_unsure=True)
            if not is_recorded and _is_out_of_time(store, control):
                # Trying each of hundreds again would outlast the time that is left for leaving.
                for _ in ends[place + 1 :]:
                    announce(task_finished, sender=Task)
                return
        return
    if control is not None:
        control.outage.end()
    completed = _completed_for_receivers(store, ends)
    for end, finish in zip(ends, finishes, strict=True):
        if completed and finish is not None and finish.completed is None:
            finish = replace(finish, completed=completed.get(end.claim.uid))
        _announce(store, end, finish)


def record(
    store: Store,
    end: End,
    *,
    control: Control | None = None,
    now: datetime | None = None,
    is_unsure: bool = False,
) -> bool:
    """Write the outcome of a claim and announce it.

    Args:
        store: The store of the row.
        end: The claim and its outcome.
        control: The worker's orders; while it does not order to leave at once, a database that is
            away is waited for.
        now: Overrides the database's clock.
        is_unsure: Whether it may have been written already.

    Returns:
        Whether the outcome is in the database by this call's doing.
    """
    if end.settled is not None:
        _announce(store, end, end.settled.finish)
        return end.settled.finish is not None
    finish = None
    try:
        finish = land(store, end.claim, end.outcome, control=control, now=now, is_unsure=is_unsure)
    except Error as error:
        if store.in_transaction():
            raise
        telemetry.event("outage", exception=error, hint="an outcome was not recorded")
        announce(task_finished, sender=Task)
    else:
        _announce(store, end, finish)
    return finish is not None


def _is_out_of_time(store: Store, control: Control | None) -> bool:
    """Tell whether the worker must leave and the database does not answer."""
    if control is None or control.remaining() > 0:
        return False
    return not answers(connections[store.using])


def has_receivers() -> bool:
    """Tell whether anybody is told of outcomes by a signal."""
    return bool([signal for signal in OUTCOMES if signal.receivers and signal.has_listeners(Task)])


def _announce(store: Store, end: End, finish: Finish | None) -> None:
    if finish is None:
        telemetry.event("late", claim=end.claim)
    else:
        tell(store, end.claim, end.outcome, finish, seconds=end.seconds)
    announce(task_finished, sender=Task)


def _completed_for_receivers(store: Store, ends: Sequence[End]) -> dict[UUID, CompletedTask]:
    """Return the archive rows of succeeded tasks, if anybody listens; a group is not read back."""
    if not task_successful.has_listeners(Task):
        return {}
    uids = [end.claim.uid for end in ends if isinstance(end.outcome, Succeeded)]
    try:
        return {row.uid: row for row in store.completed(uids) if row.uid is not None}
    except Error:  # recorded, but the database has gone away since
        return {}


def land(
    store: Store,
    claim: Claim,
    outcome: Outcome,
    *,
    control: Control | None = None,
    now: datetime | None = None,
    is_unsure: bool = False,
) -> Finish | None:
    """Get an outcome into the database; None if the claim no longer holds.

    Args:
        store: The store of the row.
        claim: The proof of ownership.
        outcome: What became of the run.
        control: The worker's orders.
        now: Overrides the database's clock.
        is_unsure: Whether it may have been written already.

    Raises:
        Error: The database could not be used, and there is no time to wait for it.
    """
    backoff = Backoff(longest=1.0)
    is_reduced = is_hopeless = False
    while True:
        try:
            # A commit whose confirmation was lost is looked for before anything is written again.
            # While the claim holds there was none, whatever else is in the archive.
            is_recorded = is_unsure and not store.is_held(claim)
            finish = store.find_finish(claim, outcome) if is_recorded else None
            if finish is None and is_hopeless:
                finish = store.bury(claim, outcome)
            elif finish is None:
                finish = store.finish(claim, outcome, now=now, reduced=is_reduced)
        except (Exception, SystemExit, GeneratorExit) as error:
            # The database's, or that of a receiver of Django's own save and delete signals.
            if store.in_transaction():
                raise  # the caller's transaction is broken: only the caller can begin another
            if _may_pass(error, store) or is_hopeless:
                is_unsure = True
                refresh_connections()
                if not _may_try_again(backoff, control, error=error):
                    raise
            else:
                telemetry.event("reduced", claim=claim, exception=error)
                is_reduced, is_hopeless = True, is_reduced
        else:
            if control is not None and backoff.reset():
                control.outage.end()
            return finish


def _may_pass(error: BaseException, store: Store) -> bool:
    """Tell whether the same write may work later, or on another connection."""
    if not isinstance(error, Error):
        return False
    if error.args and error.args[0] in REFUSED_TEXT:
        return False
    return is_outage(error) or not answers(connections[store.using])


def _may_try_again(backoff: Backoff, control: Control | None, *, error: BaseException) -> bool:
    pause = backoff.next()
    if backoff.failures > 1:
        close_connections()
        if control is not None:
            control.outage.begin(error)
    if backoff.failures <= TRIES_AT_LEAST:
        time.sleep(pause)
        return True
    if control is not None:
        return control.remaining() > 0 and control.sleep(pause)
    time.sleep(pause)
    return backoff.failures < TRIES_WITHOUT_WORKER


def tell(
    store: Store,
    claim: Claim,
    outcome: Outcome,
    finish: Finish,
    *,
    seconds: float | None = None,
    lost: bool = False,
) -> None:
    """Announce a recorded outcome: events first, then the signals of user code.

    Args:
        store: The store of the row.
        claim: The claim that was finished.
        outcome: What was to be recorded.
        finish: What was recorded.
        seconds: How long the run took; None if nobody knows.
        lost: Whether the claim was a dead worker's.
    """
    completed, task_id = finish.completed, claim.task_id
    outcome = finish.cancelled or outcome
    # What the events of all ends have, beside the first.
    more = {"claim": claim, "seconds": seconds, "lost": lost}
    if isinstance(outcome, Succeeded):
        repeats_at = finish.repetition.run_at if finish.repetition else None
        telemetry.event("success", claim=claim, seconds=seconds, repeats_at=repeats_at)
        if completed is not None:
            announce(task_successful, sender=Task, task_id=task_id, completed_task=completed)
    elif isinstance(outcome, Failed):
        telemetry.event("failure", **more, error_class=outcome.exception)
        if completed is not None:
            announce(task_failed, sender=Task, task_id=task_id, completed_task=completed)
    elif isinstance(outcome, Discarded):
        telemetry.event("discard", **more, reason=outcome.reason)
        if completed is not None:
            announce(task_discarded, sender=Task, task_id=task_id, completed_task=completed)
    elif isinstance(outcome, Cancelled):
        telemetry.event("cancel", **more, reason=outcome.reason, error_class=outcome.exception)
        if completed is not None:
            announce(task_cancelled, sender=Task, task_id=task_id, completed_task=completed)
    elif isinstance(outcome, Retry):
        telemetry.event(
            "retry",
            **more,
            delay=outcome.delay,
            is_wish=outcome.is_wish,
            error_class=outcome.exception,
        )
        _announce_retry(store, claim)
    else:
        telemetry.event("release", claim=claim, reason=outcome.reason)
    if claim.backend is not None:
        from .queued import tell_finished  # not every project has that framework

        tell_finished(claim, outcome, finish)


def _announce_retry(store: Store, claim: Claim) -> None:
    """Send ``task_rescheduled`` with the row as it now is, if anybody listens."""
    if not task_rescheduled.has_listeners(Task):
        return
    try:
        task = store.task_of(claim)
    except Error:  # recorded, but the database has gone away since
        return
    if task is not None:
        announce(task_rescheduled, sender=Task, task=task)
