"""Runs of tasks that a backend of ``django.tasks`` has queued: what that framework asks for.

The task may ask for a context, what it returns has to be JSON, and receivers of the framework's own
signals are told. Nothing of this is imported where no such task is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from .. import task_result, telemetry
from ..attempt import Cancelled, Claim, Discarded, Failed, Outcome, Succeeded
from ..exceptions import TaskCancelledError, TaskDiscardedError
from ..return_value import pack, unpack
from ..settings import LARGEST_RESULT
from ..store import Finish
from ..task_framework import (
    TaskContext,
    TaskError,
    TaskResult,
    normalize_json,
    task_finished,
    task_started,
)
from ..task_signal import tell


@dataclass(frozen=True, slots=True)
class Packed:
    """What a task has returned, as it is stored."""

    text: str | None = field(repr=False)


class QueuedRun:
    """One run of a task.

    Args:
        claim: The row.

    Raises:
        ImportError: Its path leads nowhere.
        SuspiciousOperation: It leads to something that is no task.
        InvalidPayloadError: Its arguments cannot be read.
    """

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.task = task_result.task_of(claim)
        self.result = task_result.running(claim, self.task)

    @property
    def function(self) -> Callable[..., Any]:
        """What to call."""
        return self.task.func

    @property
    def call(self) -> tuple[list[Any], dict[str, Any]]:
        """The arguments, the context first where the task asks for it."""
        args = list(self.result.args)
        if self.task.takes_context:
            args.insert(0, TaskContext(task_result=self.result))
        return args, self.result.kwargs

    def tell_started(self) -> None:
        """Send the framework's ``task_started``."""
        tell(task_started, self.result)

    def packed(self, value: Any) -> Packed:
        """Return what the function has returned as it is stored.

        Raises:
            TypeError: JSON cannot hold it.
            ValueError: It holds bytes that are no UTF-8.
            ResultNotKeptError: It is too large.
        """
        return Packed(pack(normalize_json(value), most=LARGEST_RESULT))


def tell_finished(claim: Claim, outcome: Outcome, finish: Finish) -> None:
    """Send the framework's ``task_finished``, if the task has; never raises.

    Of a failure it is sent while the exception is being handled, so that a receiver can log it.
    """
    try:
        result = _finished(claim, outcome, finish)
    except Exception as error:  # noqa: BLE001 - a path that leads nowhere, a broken payload
        telemetry.event("untold", claim=claim, exception=error)
        return
    if result is None:
        return
    if not (isinstance(outcome, Failed) and outcome.raised):
        tell(task_finished, result)
        return
    # Its frames lead back to the outcome. If that still led to it, they and all that they hold
    # would stay until the garbage is collected.
    raised = outcome.raised.pop()
    try:
        raise raised
    except BaseException:  # noqa: BLE001 - see above
        tell(task_finished, result)
    finally:
        del raised


def _finished(claim: Claim, outcome: Outcome, finish: Finish) -> TaskResult[..., Any] | None:
    """Return how a task stands that has finished; None if it has not."""
    if not isinstance(outcome, Succeeded | Failed | Discarded | Cancelled):
        return None
    if finish.completed is not None:
        return task_result.result_of(finish.completed)
    result = task_result.running(claim, task_result.task_of(claim))
    if isinstance(outcome, Succeeded):
        task_result.finish(result, at=timezone.now(), value=unpack(outcome.result))
    else:
        task_result.finish(result, at=timezone.now(), error=_error_of(outcome))
    return result


def _error_of(outcome: Failed | Discarded | Cancelled) -> TaskError:
    if isinstance(outcome, Failed):
        return TaskError(exception_class_path=outcome.exception, traceback=outcome.error)
    kind = TaskDiscardedError if isinstance(outcome, Discarded) else TaskCancelledError
    return task_result.error_of(kind, outcome.reason)
