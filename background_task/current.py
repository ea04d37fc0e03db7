"""What a task function may ask about its own run."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import models

from .attempt import Claim
from .models import Task


@dataclass(frozen=True, slots=True)
class CurrentTask:
    """The run that is going on.

    Attributes:
        claim: The row, and the proof of its ownership.
        deadline: When its time limit ends it; None if nothing does.
        using: The alias of the database with the row.
    """

    claim: Claim
    deadline: datetime | None
    using: str
    _is_stopping: Callable[[], bool]

    @property
    def id(self) -> UUID:
        """What the task is called for its whole life, in the archive, too: ``Task.uid``."""
        return self.claim.uid

    @property
    def name(self) -> str:
        """The name under which the function is registered."""
        return self.claim.task_name

    @property
    def queue(self) -> str | None:
        """The queue it came from; None is the unnamed one."""
        return self.claim.queue

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self.claim.attempt

    @property
    def creator(self) -> models.Model | None:
        """The instance that was given as ``creator``; read from the database, two queries."""
        row = Task.objects.using(self.using).filter(pk=self.claim.task_id).first()
        return None if row is None else row.creator

    def is_stopping(self) -> bool:
        """Tell whether the worker has been told to stop, so that a long task can leave off."""
        return self._is_stopping()


_current: ContextVar[CurrentTask | None] = ContextVar("background_task_current", default=None)


def current_task() -> CurrentTask | None:
    """Return the task whose function calls this, however deep; None outside of one.

    It goes wherever the context goes: into the asyncio tasks that the function starts, and into
    ``asyncio.to_thread``, but not into a thread that it starts itself.
    """
    return _current.get()


def enter(task: CurrentTask) -> None:
    """Make it the task of the present context, which must be a copy of its own."""
    _current.set(task)
