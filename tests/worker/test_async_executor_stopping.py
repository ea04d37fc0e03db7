"""Coroutines in worker processes: stopping is not failing, dying is recovered from."""

import asyncio
import signal

import pytest

from background_task.models import CompletedTask, Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until
from tests.worker import tasks as waiting
from tests.worker.running import Worker as WorkerHere
from tests.worker.running_async import LONG

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.worker"]}
#: Time to clean up, and to leave, however slow the machine is.
LEAVE_IN_PEACE = {"background_task.worker.control.LAST_SECONDS": 60}
CLEAN_UP_IN_PEACE = {**LEAVE_IN_PEACE, "background_task.worker.aio.CANCEL_SECONDS": 60}


def worker(*arguments, **settings):
    return worker_process(
        "--sleep", "0.1", "--async", "5", *arguments, settings={**SETTINGS, **settings}
    )


def has_begun(key):
    wait_until(Ledger.objects.filter(key=f"{key}:started").exists, deadline=30)


def assert_released(*tasks):
    for task in tasks:
        row = Task.objects.get(pk=task.pk)
        assert (row.locked_by, row.locked_at) == (None, None)
        assert (row.attempts, row.last_error, row.failed_at) == (0, "", None)
    assert not Worker.objects.filter(stopped_at=None).exists()


def test_signal_lets_running_coroutines_finish_and_starts_no_other(tmp_path):
    path = str(tmp_path / "go")
    waiting.hold_later("one", path)
    waiting.hold_later("two", path)
    hold("three", path)
    with worker() as process:
        for key in ("one", "two", "three"):
            has_begun(key)
        process.terminate()
        process.wait_for_line(r"Stopping \(SIGTERM\)")
        record("after")
        (tmp_path / "go").touch()
        assert process.wait() == 0
    assert [done.attempts for done in CompletedTask.objects.all()] == [1, 1, 1]
    assert Task.objects.get().task_name == "tests.app.tasks.record"
    assert "3 done" in process.output
    assert "5 coroutines and 1 thread;" in process.output


def test_second_signal_cancels_coroutines_which_may_clean_up():
    held = [waiting.hold_and_clean_up("one"), waiting.hold_and_clean_up("two")]
    with worker(TEST_CONSTANTS=CLEAN_UP_IN_PEACE) as process:
        has_begun("one")
        has_begun("two")
        process.terminate()
        process.wait_for_line("Stopping")
        process.terminate()
        assert process.wait(20) == 0
    assert_released(*held)
    assert Ledger.objects.filter(key__endswith=":cleaned up").count() == 2
    assert "2 released" in process.output


def test_deadline_after_a_signal_cancels_what_still_runs():
    held = waiting.hold_and_clean_up("held")
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.5, "TEST_CONSTANTS": CLEAN_UP_IN_PEACE}
    with worker(**settings) as process:
        has_begun("held")
        process.terminate()
        assert process.wait(20) == 0
    assert_released(held)
    assert Ledger.objects.filter(key="held:cleaned up").exists()


@pytest.mark.parametrize("name", ["ignore_cancellation", "block_loop"])
def test_coroutine_that_cannot_be_cancelled_is_released_and_the_process_ends(name, tmp_path):
    stubborn = getattr(waiting, name)("stubborn", str(tmp_path / "never"))
    with worker(TEST_CONSTANTS=LEAVE_IN_PEACE) as process:
        has_begun("stubborn")
        process.terminate()
        process.wait_for_line(r"Stopping \(SIGTERM\)")
        process.terminate()
        assert process.wait() == 0
    assert_released(stubborn)


def test_killed_worker_loses_one_attempt_of_each_coroutine(tmp_path):
    path = str(tmp_path / "go")
    waiting.hold_later("one", path)
    waiting.hold_later("two", path)
    with worker(BACKGROUND_TASK_LEASE_SECONDS=2) as process:
        has_begun("one")
        has_begun("two")
        process.kill()
        assert process.wait() == -signal.SIGKILL
    (tmp_path / "go").touch()
    with worker(BACKGROUND_TASK_LEASE_SECONDS=2) as process:
        wait_until(lambda: not Task.objects.exists(), deadline=60)
        process.terminate()
        assert process.wait() == 0
    assert [done.attempts for done in CompletedTask.objects.all()] == [2, 2]
    assert Ledger.objects.count() == 4


def test_claim_that_has_not_begun_is_handed_back_to_nobodys_cost(registry):
    """What waits behind slow coroutines is for other workers to take."""
    go_on = []

    @registry.background(name="slow")
    async def slow():
        while not go_on:
            await asyncio.sleep(0.001)

    slow()
    here = WorkerHere(concurrency=1, sleep=LONG)
    with here.running():
        here.events.wait_for("start")
        slow()
        wait_until(lambda: Task.objects.filter(locked_by=None, attempts=0).count() == 1)
        go_on.append(True)
        here.events.wait_for("success", count=2)


def test_time_limit_cancels_the_coroutine_and_nobody_else(registry, settings):
    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = 0.5
    cancelled = []

    @registry.background(name="long")
    async def long():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    @registry.background(name="short")
    async def short():
        while not cancelled:
            await asyncio.sleep(0.001)

    long()
    here = WorkerHere(concurrency=2, sleep=0.02)
    with here.running():
        here.events.wait_for("start")
        here.events.wait_for("retry")
        short()
        here.events.wait_for("success")
    row = Task.objects.get()
    assert (row.task_name, row.attempts) == ("long", 1)
    assert "TaskTimeout: long was ended after " in row.last_error
