"""Running tasks from code."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from ..attempt import Claim
from ..identity import uid_of
from ..models import CompletedTask, Task
from ..registry import Registry
from ..retrying import retry_row
from ..store import Store, get_store
from ..store.selection import BackendLike
from ..tasks import tasks
from ..worker.single import claim_next, run_and_record
from .argument import Row, Standing, as_result, count_of, owner_of, registry, selection_of


class StopEvent(Protocol):
    """What tells ``process_tasks`` to leave off: a ``threading.Event``, for example."""

    def is_set(self) -> bool:
        """Tell whether to leave off."""
        ...


def process_one_task(
    *, queue: str | None = None, backend: BackendLike = None, worker_id: str | None = None
) -> Standing | None:
    """Run the first due task here and now, and record what becomes of it.

    What workers know applies: priorities, pauses, attempts, time to be kept. Limits do not: it is
    run at once. It has no time limit, and as nobody sees a heartbeat, it counts as lost after
    ``MAX_RUN_TIME``.

    Args:
        queue: Only of this queue.
        backend: Only of this backend.
        worker_id: The name under which it is claimed, at most 64 characters; by default one that
            tells host and process.

    Returns:
        The task as it is afterwards: in the archive, or in the queue to be run again. Of one that a
        backend of ``django.tasks`` has queued, its ``TaskResult``. None if nothing is due.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
        ImproperlyConfigured: ``TASKS`` has no backend of ours under that alias.
        KeyboardInterrupt: Ctrl-C interrupted the task, which was handed back.
    """
    store, functions = get_store(), registry()
    owner, selection = owner_of(worker_id), selection_of(queue, backend)
    queues = () if selection.queue is None else (selection.queue,)
    claim = claim_next(store, owner, functions, queues=queues, backend=backend)
    return None if claim is None else run(store, claim, functions)


def process_tasks(
    *,
    queue: str | None = None,
    backend: BackendLike = None,
    max_tasks: int = 0,
    worker_id: str | None = None,
    stop_event: StopEvent | None = None,
) -> list[Standing]:
    """Run due tasks one after another until there is none left.

    Args:
        queue: As for ``process_one_task``.
        backend: Likewise.
        max_tasks: The most to run; 0 for no limit. A task that wants to be run again at once is
            run again.
        worker_id: Likewise.
        stop_event: Once it is set, no other task is begun.

    Returns:
        The tasks that were run, in order, as they were afterwards.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
        ImproperlyConfigured: ``TASKS`` has no backend of ours under that alias.
        KeyboardInterrupt: Ctrl-C interrupted a task, which was handed back.
    """
    most = 0 if max_tasks == 0 else count_of(max_tasks, what="max_tasks")
    done: list[Standing] = []
    while not most or len(done) < most:
        if stop_event is not None and stop_event.is_set():
            break
        row = process_one_task(queue=queue, backend=backend, worker_id=worker_id)
        if row is None:
            break
        done.append(row)
    return done


def run_task_by_id(
    task: UUID | str, *, worker_id: str | None = None, allow_retry: bool = False
) -> Standing | None:
    """Run one task here and now, whether or not it is due, and record what becomes of it.

    Args:
        task: Its ``uid``, or the text of that; the id of a result of ``django.tasks``.
        worker_id: As for ``process_one_task``.
        allow_retry: Whether to try one that has failed anew. It is a new row then, with a ``uid``
            of its own; see ``retry_tasks``.

    Returns:
        The task as it is afterwards. None if it cannot be run: somebody runs it, or it has
        finished.

    Raises:
        Task.DoesNotExist: There is no such task.
        InvalidOptionError: The text is no ``uid`` (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
        BackgroundTaskError: It failed, and cannot be read any more.
        KeyboardInterrupt: Ctrl-C interrupted the task, which was handed back.
    """
    store, functions, owner = get_store(), registry(), owner_of(worker_id)
    uid = uid_of(task)
    # First there, then here: that is the way a task goes.
    row: Row | None = store.tasks.filter(uid=uid).first()
    row = row or next(iter(store.completed([uid])), None)
    if row is None:
        raise Task.DoesNotExist(f"there is no task {uid}: it was deleted, purged, or never stored")
    if row.failed_at is not None and allow_retry and isinstance(row, CompletedTask):
        row = retry_row(row, registry=functions, sender=type(tasks._runner))
    if not isinstance(row, Task) or row.failed_at is not None:
        return None
    claim = store.claim_one(row.pk, owner)
    return None if claim is None else run(store, claim, functions)


def fetch_task(*, queue: str | None = None, backend: BackendLike = None) -> Standing | None:
    """Return the due task that is the next one, and leave it where it is.

    Pauses and limits are not asked, and somebody else may claim it at the next moment.

    Args:
        queue: Only of this queue.
        backend: Only of this backend.
    """
    store = get_store()
    waiting = store.tasks.filter(locked_by__isnull=True, failed_at__isnull=True)
    due = selection_of(queue, backend).among(waiting.filter(run_at__lte=store.now()))
    row = due.order_by(f"{store.order}priority", "run_at", "pk").first()
    return None if row is None else as_result(row)


def run(store: Store, claim: Claim, functions: Registry) -> Standing:
    """Run a claimed task; return it as it is afterwards."""
    run_and_record(store, claim, functions)
    row = store.task_of(claim) or next(iter(store.completed([claim.uid])), None)
    if row is None:
        raise Task.DoesNotExist(f"task {claim.uid} was deleted while it ran")
    return as_result(row)
