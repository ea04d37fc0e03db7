"""A worker is told that what it runs was cancelled: the run leaves off, or is ended."""

import asyncio
import re
import threading
import time

import pytest

from background_task import TaskCancelled, acancel, cancel, current_task
from background_task.attempt import NOT_BEGUN, Cancelled
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.worker import Control, run_claim
from background_task.worker.limit import Limits
from tests.policies.running import LONG, completed
from tests.waiting import wait_until
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

WAYS = pytest.mark.parametrize("options", [{}, {"threads": 2}, {"concurrency": 2}], ids=str)


@pytest.fixture(autouse=True)
def soon(monkeypatch, settings):
    """Nobody waits for seconds."""
    monkeypatch.setattr("background_task.worker.cancel.ASK_SECONDS", 0.05)
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 0.05


class Job:
    """A task that cancels itself, and how it then goes on.

    Args:
        goes_on: Called when it has been told; by default it is told and returns.
        is_told: Whether it waits to be told.
    """

    def __init__(self, registry, options, *, then=lambda: "left off", waits=True, **given):
        self.then, self.waits, self.answers = then, waits, []
        function = self._run_later if "concurrency" in options else self._run
        self.proxy = registry.background(name="job", **given)(function)

    def _run(self):
        self.answers.append(cancel(current_task().id))
        if self.waits:
            wait_until(current_task().is_stopping)
        return self.then()

    async def _run_later(self):
        self.answers.append(await acancel(current_task().id))
        while self.waits and not current_task().is_stopping():
            await asyncio.sleep(0.01)
        result = self.then()
        return await result if asyncio.iscoroutine(result) else result


def run_one(options):
    worker = Worker(sleep=LONG, **options)
    ends = ("success", "retry", "failure", "discard", "cancel", "release")
    summary = worker.run(until=lambda name, fields: name in ends)
    return worker.events, summary


def spin():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


def stay(options):
    """What goes on for a minute, in the manner that the worker can end."""
    return (lambda: asyncio.sleep(60)) if "concurrency" in options else spin


@WAYS
def test_cancelled_run_that_leaves_off_has_succeeded_and_ends_its_chain(
    registry, options, settings
):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = None
    job = Job(registry, options)
    job.proxy(repeat=60)
    run_one(options)
    assert job.answers == ["requested"]
    assert (completed().status, completed().result) == ("succeeded", "left off")
    assert not Task.objects.exists()


@WAYS
def test_cancelled_run_that_raises_is_cancelled_and_not_tried_again(registry, options, settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = None

    def fail():
        raise ValueError("half done")

    Job(registry, options, then=fail).proxy()
    events, summary = run_one(options)
    assert "error" not in events.names
    assert (summary.cancelled, summary.failed, summary.retried) == (1, 0, 0)
    row = completed()
    assert (row.status, row.attempts) == ("cancelled", 1)
    assert row.last_error == "cancelled: ValueError: half done"
    (error,) = row.attempt_errors
    assert error.exception_class_path == "builtins.ValueError"
    assert "in fail" in error.traceback


@WAYS
def test_cancelled_run_that_goes_on_is_ended_by_force(registry, options):
    Job(registry, options, then=stay(options), waits=False).proxy()
    events, _ = run_one(options)
    (ended,) = events.of("cancel")
    assert re.search(r"TaskCancelled: job was ended after \d+\.\d s", ended["reason"])
    assert "BACKGROUND_TASK_CANCEL_GRACE_SECONDS is 0.05" in completed().last_error
    (error,) = completed().attempt_errors
    assert error.exception_class_path == "background_task.exceptions.TaskCancelled"


@pytest.mark.parametrize("options", [{}, {"concurrency": 2}], ids=str)
def test_run_that_raised_before_the_worker_has_learned_is_cancelled_too(
    registry, options, monkeypatch
):
    monkeypatch.setattr("background_task.worker.cancel.ASK_SECONDS", 60)

    def fail():
        raise ValueError("half done")

    Job(registry, options, then=fail, waits=False).proxy()
    events, _ = run_one(options)
    assert events.of("cancel")[0]["reason"] == "ValueError: half done"
    assert completed().status == "cancelled"
    assert not Task.objects.exists()


@pytest.mark.parametrize("options", [{"threads": 2}, {"concurrency": 2}], ids=str)
def test_only_the_cancelled_run_is_stopping(registry, options, settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = None
    seen, others, turn = {}, [], threading.Lock()

    def note():
        task = current_task()
        if turn.acquire(blocking=False):  # the first to come cancels itself
            others.append(task)
            cancel(task.id)
            wait_until(task.is_stopping)
            others.append("told")
        else:
            wait_until(lambda: "told" in others)
        seen[task.id == others[0].id] = task.is_stopping()

    async def note_later():
        await asyncio.to_thread(note)

    proxy = registry.background(name="job")(note_later if "concurrency" in options else note)
    proxy()
    proxy()
    worker = Worker(sleep=LONG, **options)
    worker.run(until=lambda name, fields: worker.events.names.count("success") == 2)
    assert seen == {True: True, False: False}


def test_cancelled_run_that_is_released_by_a_leaving_worker_is_cancelled(registry):
    worker = None

    def leave():
        worker.control.stop_now()

    Job(registry, {}, then=leave, waits=False).proxy()
    worker = Worker(sleep=LONG)
    summary = worker.loop.run()
    worker.control.polling.close()
    assert (summary.cancelled, summary.released) == (1, 0)
    assert completed().status == "cancelled"


def test_claim_in_hand_that_was_cancelled_is_not_begun(registry):
    calls = []
    registry.background(name="job")(lambda: calls.append(1))()
    store, control = get_store(), Control()
    control.polling.close()
    (claim,) = store.claim("w", ["job"])
    control.limits.cancel({(claim.task_id, claim.number)})
    outcome = run_claim(claim, registry._tasks, store=store, control=control)
    assert outcome == Cancelled(NOT_BEGUN, has_begun=False)
    assert calls == []


def test_row_that_was_cancelled_and_came_back_is_not_run(any_bench):
    calls = []
    row = any_bench.task(lambda: calls.append(1))()
    Task.objects.filter(pk=row.pk).update(cancel_requested_at=get_store().now())
    any_bench.work()
    assert calls == []
    assert (completed().status, completed().attempts) == ("cancelled", 0)


def test_row_in_hand_behind_a_slow_task_is_cancelled_when_it_is_handed_back(registry, settings):
    """Claimed ahead, with the worker's only slot taken: it never begins."""
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = None
    calls, behind = [], []

    def hold():
        (claim,) = worker.loop.executor.claims()[1:]
        behind.append(cancel(claim.uid))
        wait_until(lambda: CompletedTask.objects.filter(cancelled_at__isnull=False).exists())

    quick = registry.background(name="quick")(lambda: calls.append(1))
    registry.background(name="hold")(hold)(priority=1)
    quick()
    worker = Worker(sleep=LONG)
    worker.loop.parts[0]._pace.ahead = lambda: 5
    worker.run(until=lambda name, fields: name == "success")
    assert behind == ["requested"]
    assert calls == []
    assert not Task.objects.exists()


def test_limits_without_requests_know_of_no_cancelled_claim(registry):
    registry.background(name="job")(lambda: None)()
    (claim,) = get_store().claim("w", ["job"])
    limits = Limits()
    assert not limits.is_cancelled(claim)
    limits.cancel({(claim.task_id, claim.number + 1)})
    assert not limits.is_cancelled(claim)


def test_task_cancelled_is_no_exception_that_tasks_swallow():
    assert not issubclass(TaskCancelled, Exception)
