"""No receiver of a signal can undo, repeat or hold up a task (I3)."""

import asyncio
import threading
from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.db.models.signals import post_delete, post_save, pre_save
from django.utils import timezone

from background_task import signals
from background_task.models import CompletedTask, Task, Worker as WorkerRow
from tests.worker.running import work_off

pytestmark = pytest.mark.django_db(transaction=True)


def exiting():
    return SystemExit("from a receiver")


ERRORS = {
    "value error": ValueError,
    "database error": DatabaseError,
    "system exit": exiting,
    "cancelled": asyncio.CancelledError,
}

SIGNALS = (
    "task_started",
    "task_successful",
    "task_error",
    "task_rescheduled",
    "task_failed",
    "task_finished",
)


@pytest.fixture
def connected():
    """``connected(signal, error)`` connects a receiver that raises; the list of its calls."""
    made = []

    def connect(signal, error, sender=None):
        calls = []

        def receive(**kwargs):
            calls.append(kwargs)
            raise error()

        signal.connect(receive, sender=sender)
        made.append((signal, receive, sender))
        return calls

    yield connect
    for signal, receive, sender in made:
        signal.disconnect(receive, sender=sender)


@pytest.mark.parametrize("error", ERRORS)
def test_receivers_that_raise_change_nothing(calls, registry, connected, error, threads):
    @registry.background(name="fail")
    def fail():
        raise ValueError("on purpose")

    received = [connected(getattr(signals, name), ERRORS[error]) for name in SIGNALS]
    calls.proxy(1)
    fail()
    last = fail()
    Task.objects.filter(pk=last.pk).update(attempts=24)
    worker = work_off(threads=threads)
    summary = worker.summary
    assert (summary.succeeded, summary.retried, summary.failed) == (1, 1, 1)
    assert [len(received_by_one) for received_by_one in received] == [3, 1, 2, 1, 1, 3]
    assert calls == [1]
    assert CompletedTask.objects.count() == 2
    assert not Task.objects.filter(locked_by__isnull=False).exists()


def test_receiver_that_leaves_a_transaction_open_harms_nobody(calls, threads):
    from django.db import transaction

    def receive(**kwargs):
        transaction.atomic().__enter__()

    signals.task_successful.connect(receive)
    try:
        calls.proxy(1)
        calls.proxy(2)
        work_off(threads=threads)
    finally:
        signals.task_successful.disconnect(receive)
    assert sorted(calls) == [1, 2]
    assert CompletedTask.objects.count() == 2
    assert not connection.in_atomic_block


@pytest.mark.parametrize(
    ("signal", "sender"),
    [
        (pre_save, CompletedTask),
        (post_save, CompletedTask),
        (post_delete, Task),
    ],
    ids=["pre_save of archive", "post_save of archive", "post_delete of task"],
)
@pytest.mark.parametrize("error", [ValueError, DatabaseError], ids=["ValueError", "DatabaseError"])
def test_model_receiver_that_raises_neither_loses_nor_repeats_the_task(
    calls, connected, signal, sender, error, threads
):
    received = connected(signal, error, sender)
    calls.proxy(1, repeat=3600)
    worker = work_off(threads=threads)
    assert len(received) == 1
    assert calls == [1]
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at) == (1, None)
    repetition = Task.objects.get()
    assert repetition.uid != done.uid
    assert repetition.enqueued_at is not None
    assert worker.events.names.count("reduced") == 1
    assert worker.summary.succeeded == 1


def test_model_receiver_that_raises_keeps_no_lost_attempt_from_being_recorded(
    calls, connected, settings
):
    """Recovery takes the same road; it must not end the worker, at each start anew."""
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    connected(post_save, ValueError, CompletedTask)
    lost = calls.proxy("lost")
    WorkerRow.objects.create(
        name="dead:1:0",
        host="dead",
        pid=1,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        expires_at=timezone.now(),
        stopped_at=timezone.now(),
    )
    Task.objects.filter(pk=lost.pk).update(locked_by="dead:1:0", claim_number=1)
    calls.proxy("next")
    told = []

    def is_done(name, fields):
        told.append(name if fields.get("lost") else None)
        return calls and "failure" in told

    worker = work_off(until=is_done, lease=timedelta(seconds=1))
    assert calls == ["next"]
    assert worker.summary.recovered == 1
    assert CompletedTask.objects.get(failed_at__isnull=False).uid == lost.uid


def test_subscriber_that_raises_harms_nobody(calls, threads):
    from background_task import telemetry

    def subscriber(name, fields):
        raise ValueError(name)

    calls.proxy(1)
    with telemetry.subscribed(subscriber):
        work_off(threads=threads)
    assert calls == [1]
    assert CompletedTask.objects.count() == 1


@pytest.mark.parametrize("threads", [None, 3], ids=["inline", "threads"])
def test_receivers_run_in_the_thread_that_ran_the_task_before_its_next_one(registry, threads):
    """They may take long: they hold up neither the loop nor the tasks of other threads."""
    steps = {}

    @registry.background(name="quick")
    def quick(number):
        steps.setdefault(threading.get_ident(), []).append(number)

    def receive(task_id, **kwargs):
        steps[threading.get_ident()].append("told")

    for number in range(30):
        quick(number)
    signals.task_successful.connect(receive)
    try:
        work_off(registry=registry._tasks, threads=threads)
    finally:
        signals.task_successful.disconnect(receive)
    assert sum(map(len, steps.values())) == 60
    for taken in steps.values():
        assert taken[1::2] == ["told"] * (len(taken) // 2)
        assert "told" not in taken[::2]


def test_receivers_of_coroutines_hold_up_neither_the_event_loop_nor_the_worker(registry):
    told = []

    @registry.background(name="awaited")
    async def awaited():
        pass

    def receive(**kwargs):
        told.append(threading.current_thread())

    for _ in range(20):
        awaited()
    signals.task_successful.connect(receive)
    try:
        work_off(registry=registry._tasks, concurrency=4)
    finally:
        signals.task_successful.disconnect(receive)
    assert len(told) == 20
    assert threading.current_thread() not in told
    assert "background_task event loop" not in {thread.name for thread in told}
