"""What ``django.tasks`` calls a result: how a task stands, made from its row or claim."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import copy
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import payload
from .attempt import Claim
from .attempt_error import AttemptError, read_errors
from .exceptions import ResultNotKeptError, TaskCancelledError, TaskDiscardedError, TaskFailedError
from .mask import MASK, masked, masked_all, masked_arguments
from .models import CompletedTask, Task as Row
from .policy_option import overrides, parse_overrides, policy_overrides
from .policy_task import PolicyTask, parameters_of
from .queued_task import import_task
from .return_value import unpack
from .settings import app_settings
from .task_framework import Task, TaskError, TaskResult, TaskResultStatus

if TYPE_CHECKING:
    AnyResult = TaskResult[Any, Any]
else:  # the framework's class takes no parameters when the program runs
    AnyResult = TaskResult

#: The key in a row's ``options`` of the time that ``run_after`` gave: ``run_at`` does not stay.
RUN_AFTER = "run_after"
#: The name of a worker of which nothing is kept: of many attempts, only the first and the last are.
UNKNOWN = "unknown"


class QueueResult(AnyResult):
    """How a task stands. Its repr shows no argument that is masked."""

    __slots__ = ()
    _return_value: Any

    def __repr__(self) -> str:
        task, names = self.task, app_settings.BACKGROUND_TASK_MASK
        is_sensitive = isinstance(task, PolicyTask) and task.policy().sensitive
        if not is_sensitive and not names:
            return super().__repr__()
        args, kwargs = (
            masked_all(self.args, self.kwargs)
            if is_sensitive
            else masked_arguments(self.args, self.kwargs, parameters_of(task), names)
        )
        value = self._return_value
        shown = copy(self)
        _set(shown, args=args, kwargs=kwargs)
        _set(shown, _return_value=MASK if is_sensitive else masked(value, names))
        return super(QueueResult, shown).__repr__()


def task_of(row: Row | CompletedTask | Claim) -> Task[..., Any]:
    """Return the task with what the row says of this call; raises as ``import_task``.

    It is not validated again: what was valid once is to be run, whatever the settings say now.
    """
    task = import_task(row.task_name, uid=row.uid)
    values = {each.name: getattr(task, each.name) for each in fields(task)}
    values |= {
        "priority": row.priority,
        "queue_name": row.queue,
        "backend": row.backend,
        "run_after": run_after_of(row.options),
    }
    if isinstance(task, PolicyTask):
        values["overrides"] = policy_overrides(row.options)
    copy = object.__new__(type(task))
    for name, value in values.items():
        object.__setattr__(copy, name, value)
    return copy


def options_of(task: Task[..., Any]) -> str | None:
    """Return the ``options`` of a row that is to run a task: what was said of this very call.

    A function's own number of attempts goes with each row, too: of one that may be tried only once,
    a worker that does not know the function must not claim anything ahead. So does that it is
    sensitive: who does not know the function must not show anything, either.
    """
    text = task.overrides if isinstance(task, PolicyTask) else None
    if isinstance(task, PolicyTask) and task.max_attempts is not None:
        text = overrides({"max_attempts": task.max_attempts}, earlier=text)
    if isinstance(task, PolicyTask) and task.sensitive:
        text = overrides({"sensitive": True}, earlier=text)
    if task.run_after is None:
        return text
    stored = {} if text is None else dict(parse_overrides(text))
    stored[RUN_AFTER] = task.run_after.isoformat()
    return json.dumps(stored, separators=(",", ":"))


def run_after_of(options: str | None) -> datetime | None:
    """Return the time before which a task was not to be run; None for at once."""
    if options is None or RUN_AFTER not in options:
        return None
    try:
        return datetime.fromisoformat(parse_overrides(options)[RUN_AFTER])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def result_of(row: Row | CompletedTask, task: Task[..., Any] | None = None) -> TaskResult[..., Any]:
    """Return how a task stands, as its row says.

    Args:
        row: A row that a backend has queued.
        task: What was queued, if the caller knows.

    Raises:
        ImportError: The task is not there any more.
        SuspiciousOperation: Something else is in its place.
        InvalidPayloadError: The arguments or the return value cannot be read.
    """
    status = _status_of(row)
    is_running = status == TaskResultStatus.RUNNING
    errors = read_errors(row.errors)
    result = _result(
        row,
        task_of(row) if task is None else task,
        status=status,
        finished_at=row.run_at if isinstance(row, CompletedTask) else row.failed_at,
        last_attempted_at=row.locked_at or (errors[-1].started_at if errors else None),
        errors=_errors_of(row, errors),
        worker_ids=_workers(errors, row.attempts + is_running, last=row.locked_by),
    )
    if isinstance(row, CompletedTask) and status == TaskResultStatus.SUCCESSFUL:
        _set(result, _return_value=_value_of(row))
    return result


def running(claim: Claim, task: Task[..., Any]) -> TaskResult[..., Any]:
    """Return how a task stands that is about to be called."""
    errors = read_errors(claim.errors)
    return _result(
        claim,
        task,
        status=TaskResultStatus.RUNNING,
        finished_at=None,
        last_attempted_at=claim.locked_at,
        errors=[_error(each) for each in errors],
        worker_ids=_workers(errors, claim.attempt, last=claim.owner),
    )


def finish(
    result: TaskResult[..., Any],
    *,
    at: datetime,
    value: Any = None,
    error: TaskError | None = None,
) -> None:
    """Let a result say that its task has finished.

    Args:
        result: As ``running`` has returned it.
        at: When.
        value: What the function returned.
        error: Why it has failed; None if it has not.
    """
    if error is not None:
        result.errors.append(error)
        _set(result, status=TaskResultStatus.FAILED, finished_at=at)
    else:
        _set(result, status=TaskResultStatus.SUCCESSFUL, finished_at=at, _return_value=value)


def error_of(kind: type[BaseException], text: str) -> TaskError:
    """Return an error of a class of ours."""
    return TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=text)


def _result(
    row: Row | CompletedTask | Claim,
    task: Task[..., Any],
    *,
    status: TaskResultStatus,
    finished_at: datetime | None,
    last_attempted_at: datetime | None,
    errors: list[TaskError],
    worker_ids: list[str],
) -> TaskResult[..., Any]:
    args, kwargs = payload.decode(row.task_params, load=False)
    return QueueResult(
        task=task,
        id=str(row.uid),
        status=status,
        enqueued_at=row.enqueued_at,
        started_at=row.started_at,
        finished_at=finished_at,
        last_attempted_at=last_attempted_at,
        args=args,
        kwargs=kwargs,
        backend=str(row.backend),
        errors=errors,
        worker_ids=worker_ids,
    )


def _status_of(row: Row | CompletedTask) -> TaskResultStatus:
    if row.failed_at is not None:
        return TaskResultStatus.FAILED
    if isinstance(row, CompletedTask):
        is_success = row.discarded_at is None and row.cancelled_at is None
        return TaskResultStatus.SUCCESSFUL if is_success else TaskResultStatus.FAILED
    return TaskResultStatus.READY if row.locked_by is None else TaskResultStatus.RUNNING


def _errors_of(row: Row | CompletedTask, errors: Sequence[AttemptError]) -> list[TaskError]:
    """Return the errors of the attempts, and why the task ended if that was another reason."""
    found = [_error(each) for each in errors]
    if isinstance(row, CompletedTask) and row.discarded_at is not None:
        found.append(error_of(TaskDiscardedError, row.last_error))
    elif isinstance(row, CompletedTask) and row.cancelled_at is not None:
        found.append(error_of(TaskCancelledError, row.last_error))
    elif row.failed_at is not None and not found:
        found.append(error_of(TaskFailedError, row.last_error))
    return found


def _error(error: AttemptError) -> TaskError:
    if not error.exception_class_path:
        return error_of(TaskFailedError, error.traceback)
    return TaskError(exception_class_path=error.exception_class_path, traceback=error.traceback)


def _workers(errors: Sequence[AttemptError], attempts: int, *, last: str | None) -> list[str]:
    """Return who has made each attempt."""
    workers = [UNKNOWN] * attempts
    if workers and last is not None:
        workers[-1] = last
    for error in errors:
        if 0 < error.attempt <= attempts and error.worker:
            workers[error.attempt - 1] = error.worker
    return workers


def _value_of(row: CompletedTask) -> Any:
    """Return what the function returned; None where that was not to be kept, or could not be."""
    try:
        return unpack(row.return_value)
    except ResultNotKeptError:
        return None


def _set(result: TaskResult[..., Any], **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)
