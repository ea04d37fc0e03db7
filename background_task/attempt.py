"""One run of one task: the claim that allows it, and the outcomes it can have."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from uuid import UUID

from . import payload
from .backoff import delay_after
from .exceptions import InvalidTaskError

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
    task_params: str
    verbose_name: str | None
    queue: str | None
    priority: int
    attempts: int
    run_at: datetime

    @property
    def attempt(self) -> int:
        """The number of this run, counted from 1, as far as the column can count."""
        return min(self.attempts + 1, LARGEST_ATTEMPTS)

    def __str__(self) -> str:
        return self.verbose_name or self.task_name


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The run failed and there will be another."""

    error: str
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Failed:
    """The run failed for good."""

    error: str


@dataclass(frozen=True, slots=True)
class Released:
    """The run was not done, or not completed, through no fault of the task."""

    reason: str


Outcome: TypeAlias = Succeeded | Retry | Failed | Released


def after_exception(claim: Claim, exception: BaseException, *, max_attempts: int) -> Retry | Failed:
    """Return the outcome of a run that raised."""
    error = format_error(exception)
    if claim.attempt >= max_attempts or isinstance(exception, InvalidTaskError):
        return Failed(error)
    return Retry(error, delay_after(claim.attempt))


def after_loss(claim: Claim, *, max_attempts: int, is_late: bool = True) -> Retry | Failed:
    """Return the outcome of a run whose worker vanished.

    The attempt is spent, so that a task which kills its worker ends.

    Args:
        claim: The run.
        max_attempts: How often a task is tried.
        is_late: Whether a lease had to run out before the loss was noticed. That was the delay;
            without it the task would kill one worker after the other as fast as they are started.
    """
    error = (
        f"attempt {claim.attempt} was lost: its worker {claim.owner} stopped without finishing it "
        "(killed, out of memory, power cut, or cut off from the database)\n"
    )
    if claim.attempt >= max_attempts:
        return Failed(error)
    return Retry(error, timedelta(0) if is_late else delay_after(claim.attempt))


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
