"""One run of one task: the claim that allows it, and the outcomes it can have."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias
from uuid import UUID

from . import payload
from .attempt_error import AttemptError, path_of
from .backoff import Default
from .exceptions import AttemptLostError, RetryLater
from .policy import Again, Drop, Policy

#: What the column holds.
LARGEST_ATTEMPTS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Claim:
    """Proof that a worker owns a row.

    ``number`` grows with each claim of the row. Whatever is written for the claim is written
    only while the row still carries this number and this owner.
    """

    task_id: int
    number: int
    owner: str
    uid: UUID
    task_name: str
    #: Nor what it was given: the repr of a claim is what a careless log line shows.
    task_params: str = field(repr=False)
    verbose_name: str | None
    queue: str | None
    priority: int
    attempts: int
    run_at: datetime
    options: str | None = None
    #: The database's time of the claim.
    locked_at: datetime | None = None
    #: The errors of earlier attempts, as the row has them.
    errors: str | None = field(default=None, repr=False)
    #: The gate that the task has to pass; None if there was no limit when it was stored.
    limit_key: str | None = None
    #: When somebody cancelled the task, if that was before the claim.
    cancel_requested_at: datetime | None = None
    #: The alias of the backend that queued the task; None if it came from ``@background``.
    backend: str | None = None
    enqueued_at: datetime | None = None
    #: The time of the first claim.
    started_at: datetime | None = None
    #: Where the call came from; see ``trace_context``.
    trace_context: str | None = field(default=None, repr=False)

    @property
    def attempt(self) -> int:
        """The number of this run, counted from 1, as far as the column can count."""
        return min(self.attempts + 1, LARGEST_ATTEMPTS)

    def __str__(self) -> str:
        return self.verbose_name or self.task_name


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned.

    Attributes:
        result: What it returned, as it is stored; None for None, and where it is not to be kept.
    """

    result: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """There will be another run: this one failed, or asked for it.

    Attributes:
        error: What went wrong; empty if nothing did.
        delay: The wait until the next run; without one the row keeps its time.
        spends_attempt: Whether this run counts.
        is_wish: Whether the function asked for it, which is no failure. Then a wait of nothing,
            too, counts from now: a task that asks for ever must not stay ahead of all others.
        exception: The class of the exception, as ``module.Class``; empty if there was none.
    """

    error: str
    delay: timedelta
    spends_attempt: bool = True
    is_wish: bool = False
    exception: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The run failed for good.

    Attributes:
        error: What went wrong; empty if the row says so already.
        repeats: Whether a repeating task goes on nevertheless.
        has_begun: Whether the function was called, which counts as an attempt.
        exception: The class of the exception, as ``module.Class``; empty if there was none.
        raised: The exception itself, for whoever is told of the end of the run, who takes it out.
    """

    error: str
    repeats: bool = False
    has_begun: bool = True
    exception: str = ""
    raised: list[BaseException] = field(default_factory=list, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Discarded:
    """The run is not wanted any more, and that is no failure.

    Attributes:
        reason: Why.
        has_begun: Whether the function was called, which counts as an attempt.
    """

    reason: str
    has_begun: bool = True


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody cancelled the task, and the run did not end with a success nevertheless.

    Attributes:
        reason: How it ended, in one line.
        has_begun: Whether the function was called, which counts as an attempt.
        error: What the function raised; empty if it did not.
        exception: The class of that, as ``module.Class``.
    """

    reason: str
    has_begun: bool = True
    error: str = ""
    exception: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The run was not done, or not completed, through no fault of the task."""

    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The function and its end were one transaction: the outcome is in the database already.

    Attributes:
        finish: What ``Store.finish`` returned; None if the claim was lost, and all undone.
    """

    finish: Any


Outcome: TypeAlias = Succeeded | Retry | Failed | Discarded | Cancelled | Released

#: What became of the wish to cancel a task; see ``cancellation.cancel``.
Cancelling: TypeAlias = Literal["cancelled", "requested", "finished", "gone"]

#: ``Cancelled.reason`` of what was not run.
NOT_BEGUN = "it had not begun"


def cancelled_after(outcome: Retry | Failed | Discarded | Released) -> Cancelled:
    """Return what the end of a run counts as if the task was cancelled meanwhile.

    A success stays one.
    """
    if isinstance(outcome, Released):
        return Cancelled(outcome.reason, has_begun=False)
    if isinstance(outcome, Discarded):
        return Cancelled(outcome.reason, has_begun=outcome.has_begun)
    has_begun = isinstance(outcome, Retry) or outcome.has_begun
    last = outcome.error.strip().rpartition("\n")[2]
    return Cancelled(
        last or ("it asked to be run again" if has_begun else NOT_BEGUN),
        has_begun=has_begun,
        error=outcome.error,
        exception=outcome.exception,
    )


def error_of(claim: Claim, outcome: Retry | Failed | Cancelled, *, at: datetime) -> AttemptError:
    """Return what is to be remembered of a run that went wrong."""
    return AttemptError(
        attempt=claim.attempt,
        exception_class_path=outcome.exception,
        traceback=outcome.error,
        at=at,
        worker=claim.owner,
        started_at=claim.locked_at,
    )


def after_exception(
    claim: Claim, exception: BaseException, terms: Policy, *, max_attempts: int, now: datetime
) -> Outcome:
    """Return the outcome of a run that raised.

    Args:
        claim: The run.
        exception: What it raised.
        terms: The options of the task.
        max_attempts: How often a task is tried that says nothing about it.
        now: When a wait until a given moment begins.
    """
    verdict = terms.decide(
        exception, attempt=claim.attempt, default_max_attempts=max_attempts, now=now
    )
    if isinstance(verdict, Drop):
        return Discarded(verdict.reason)
    path = path_of(exception)
    if not isinstance(verdict, Again):
        # Only the framework of queued tasks is shown the exception; a frame may hold much.
        raised = [] if claim.backend is None else [exception]
        return Failed(
            format_error(exception),
            repeats=terms.repeat_on_failure,
            exception=path,
            raised=raised,
        )
    is_wish = issubclass(type(exception), RetryLater)
    error = ""
    if verdict.spends_attempt:
        error = f"{describe(exception)}\n" if is_wish else format_error(exception)
    if verdict.problem is not None:
        error += f"{verdict.problem}\n"
    return Retry(
        error,
        verdict.delay,
        spends_attempt=verdict.spends_attempt,
        is_wish=is_wish,
        exception=path if error else "",
    )


def after_loss(
    claim: Claim, terms: Policy, *, max_attempts: int, is_late: bool = True
) -> Retry | Failed:
    """Return the outcome of a run whose worker vanished.

    The attempt is spent, so that a task which kills its worker ends.

    Args:
        claim: The run.
        terms: The options of the task.
        max_attempts: How often a task is tried that says nothing about it.
        is_late: Whether a lease had to run out before the loss was noticed. That was the delay;
            without it the task would kill one worker after the other as fast as they are started.
    """
    error = (
        f"attempt {claim.attempt} was lost: its worker {claim.owner} stopped without finishing it "
        "(killed, out of memory, power cut, or cut off from the database)\n"
    )
    most = max_attempts if terms.max_attempts is None else terms.max_attempts
    path = f"{AttemptLostError.__module__}.{AttemptLostError.__qualname__}"
    if claim.attempt >= most:
        return Failed(error, repeats=terms.repeat_on_failure, exception=path)
    backoff = terms.backoff or Default()
    delay = timedelta(0) if is_late else backoff.delay(claim.attempt)
    return Retry(error, delay, exception=path)


def describe(exception: BaseException) -> str:
    """Return what the exception says, as text that any database can store; never raises."""
    try:
        return payload.storable(str(exception))
    except Exception as broken:  # noqa: BLE001 - a hostile __str__
        name = type(exception).__qualname__
        return f"{name} was raised; it could not be shown ({type(broken).__name__})"


def format_error(exception: BaseException) -> str:
    """Return the traceback as text that any database can store; never raises."""
    try:
        text = "".join(traceback.format_exception(exception))
    except Exception as broken:  # noqa: BLE001 - hostile __str__, __cause__, __traceback__ ...
        text = (
            f"{type(exception).__module__}.{type(exception).__qualname__} was raised; "
            f"its traceback could not be formatted ({type(broken).__name__})\n"
        )
    return payload.storable(text)
