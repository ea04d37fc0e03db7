"""Putting the queue and the archive in order, from code."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from uuid import UUID

from ..cancellation import CancelledTasks, cancel_many, count_cancellable
from ..exceptions import InvalidOptionError, brief
from ..identity import uid_of
from ..models.completed import STATUSES, CompletedTaskQuerySet
from ..retention import before, span_of
from ..retrying import Retried, retry_rows
from ..store import get_store
from ..store.again import failed_tasks
from ..store.archive import Archive
from ..store.selection import BackendLike
from ..tasks import tasks
from ..worker.recovery import GRACE_SECONDS
from ..worker.stale import Requeued, Rule, requeue_stale
from .argument import SpanLike, count_of, registry, selection_of


def requeue_stale_tasks(
    older_than: SpanLike,
    *,
    queue: str | None = None,
    backend: BackendLike = None,
    max_attempts: int | None = None,
    mark_failed: bool = False,
    force: bool = False,
    batch_size: int = 1000,
    dry_run: bool = False,
    watch_seconds: float = GRACE_SECONDS,
) -> Requeued:
    """Take back tasks that were claimed long ago and that their owners will not finish.

    Workers do so by themselves, within ``BACKGROUND_TASK_LEASE_SECONDS``; this is for when there is
    none, and for what somebody without a heartbeat holds. The lost attempt is spent. A task whose
    owner is alive is left to it, however long it runs.

    Args:
        older_than: How long ago they were claimed.
        queue: Only of this queue.
        backend: Only of this backend.
        max_attempts: After how many attempts they have failed for good; None for what each task
            says itself, 0 for any number.
        mark_failed: Whether they have failed for good anyhow.
        force: Whether to take them even from owners that are alive. Such a run is not ended: the
            task may run twice at the same time, and what the first run returns is dropped.
        batch_size: How many are read at once.
        dry_run: Only count them.
        watch_seconds: How long to watch workers whose lease has run out before they are declared
            dead: after an outage of the database the living need a moment to renew theirs. If all
            are alive, nothing is waited for.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
    """
    most = max_attempts
    if max_attempts:
        most = count_of(max_attempts, what="max_attempts")
    return requeue_stale(
        get_store(),
        older_than=span_of(older_than, what="older_than"),
        rule=Rule(most, mark_failed=mark_failed, force=force, watch_seconds=watch_seconds),
        registry=registry(),
        selection=selection_of(queue, backend),
        batch_size=count_of(batch_size, what="batch_size"),
        dry_run=dry_run,
    )


def purge_completed_tasks(
    *,
    older_than: SpanLike = timedelta(days=7),
    statuses: Collection[str] = (),
    queue: str | None = None,
    backend: BackendLike = None,
    names: Collection[str] = (),
    batch_size: int = 1000,
    dry_run: bool = False,
) -> int:
    """Delete finished tasks, the oldest first; return how many.

    Args:
        older_than: How long ago they were finished.
        statuses: How they have ended: "succeeded", "failed", "discarded", "cancelled"; none for
            all.
        queue: Only of this queue.
        backend: Only of this backend.
        names: Only of these functions; none for all.
        batch_size: How many are deleted in one transaction.
        dry_run: Only count them.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
    """
    rows, batches = purging(
        older_than=older_than,
        statuses=statuses,
        queue=queue,
        backend=backend,
        names=names,
        batch_size=batch_size,
    )
    return rows.count() if dry_run else sum(batches)


def purging(
    *,
    older_than: SpanLike,
    statuses: Collection[str] = (),
    queue: str | None = None,
    backend: BackendLike = None,
    names: Collection[str] = (),
    batch_size: int = 1000,
) -> tuple[CompletedTaskQuerySet, Iterator[int]]:
    """Return the rows that ``purge_completed_tasks`` would delete, and what deletes them.

    The latter yields how many each batch has deleted, and does nothing before it is asked to.
    """
    span = span_of(older_than, what="older_than")
    if unknown := [status for status in statuses if status not in STATUSES]:
        raise InvalidOptionError(
            f"statuses has {brief(unknown[0])}, which no finished task has; use "
            f"{', '.join(map(repr, STATUSES))}"
        )
    size = count_of(batch_size, what="batch_size")
    selection = selection_of(queue, backend, names)
    store = get_store()
    archive = Archive(store.using)
    limit = before(store.now(), span)
    rows = archive.rows().none()
    if limit is not None:
        rows = archive.older_than(limit, statuses=statuses, selection=selection)
    return rows, archive.purge(rows, batch_size=size)


def retry_tasks(
    *,
    uids: Collection[UUID | str] = (),
    names: Collection[str] = (),
    queue: str | None = None,
    backend: BackendLike = None,
    newer_than: SpanLike | None = None,
    older_than: SpanLike | None = None,
    repeats: bool = False,
    again: bool = False,
    dry_run: bool = False,
) -> Retried:
    """Try failed tasks anew: each becomes a new row with the same arguments and options.

    It has a ``uid`` of its own, is due now, and has all its attempts. What failed stays in the
    archive, and is not tried anew a second time, unless ``again`` says so. Of a unique task nothing
    is added while another one has its key.

    Args:
        uids: Only these; none means all that have failed.
        names: Only of these functions; none means all.
        queue: Only of this queue.
        backend: Only of this backend.
        newer_than: Only those that failed within the last such time.
        older_than: Only those that failed longer ago than this.
        repeats: Whether the chain of a repeating task goes on with the new row. Without it there
            is one run: another run of the chain may wait already.
        again: Also those that have been tried anew.
        dry_run: Only count them.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
    """
    store = get_store()
    now = store.now()
    since, until = (
        None if value is None else before(now, span_of(value, what=what))
        for value, what in ((newer_than, "newer_than"), (older_than, "older_than"))
    )
    if older_than is not None and until is None:
        return Retried()
    rows = failed_tasks(
        store.using,
        uids=[uid_of(uid) for uid in uids],
        selection=selection_of(queue, backend, names),
        since=since,
        until=until,
        again=again,
    )
    if dry_run:
        return Retried(found=rows.count())
    sender = type(tasks._runner)
    return retry_rows(rows, registry=registry(), sender=sender, repeats=repeats)


def cancel_tasks(
    *,
    names: Collection[str] = (),
    queue: str | None = None,
    backend: BackendLike = None,
    dry_run: bool = False,
) -> CancelledTasks:
    """Cancel all tasks that are in the queue now: see ``cancel``, which this does with each.

    Args:
        names: Only of these functions; none means all.
        queue: Only of this queue.
        backend: Only of this backend.
        dry_run: Only count them.

    Raises:
        InvalidOptionError: A value that cannot be (a ``ValueError``).
        InvalidOptionTypeError: A type that cannot be (a ``TypeError``).
    """
    store, selection = get_store(), selection_of(queue, backend, names)
    if dry_run:
        return count_cancellable(store, selection)
    return cancel_many(store, selection)
