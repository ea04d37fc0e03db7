"""Claim, submit, wait: what a worker does when nothing goes wrong, and with rows it cannot run."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.store import get_store
from background_task.worker import Control
from background_task.worker.executors import InlineExecutor
from tests.app.models import Ledger
from tests.waiting import wait_until
from tests.worker.faults import Refused
from tests.worker.running import Worker, work_off

pytestmark = pytest.mark.django_db(transaction=True)

LONG = 300.0  # a sleep that would fail the test if it were waited for


def test_scheduled_task_wakes_an_idle_worker_at_its_time(calls, threads):
    task = calls.proxy(1, schedule=1)
    worker = Worker(threads=threads, sleep=LONG)
    with worker.running():
        worker.events.wait_for("success")
    waits = worker.events.all[: worker.events.names.index("start")]
    assert all(0 < told["seconds"] <= 1 for name, told in waits if name == "idle")
    done = CompletedTask.objects.get()
    assert timedelta(0) <= done.started_at - task.run_at < timedelta(seconds=20)


def test_priorities_and_times_decide_the_order(calls):
    calls.proxy("later", schedule={"run_at": timedelta(seconds=-5)})
    calls.proxy("first", priority=5)
    calls.proxy("earlier", schedule={"run_at": timedelta(seconds=-50)})
    calls.proxy("last", priority=-5)
    work_off()
    assert calls == ["first", "earlier", "later", "last"]


def test_threads_run_as_many_tasks_at_once_as_there_are(registry):
    together = threading.Barrier(4)

    @registry.background(name="meet")
    def meet():
        together.wait(20)

    for _ in range(8):
        meet()
    worker = work_off(threads=4)
    assert worker.summary.succeeded == 8
    assert not together.broken


def test_threads_fill_each_slot_as_soon_as_it_is_free(registry):
    """One long task must not hold up the others behind it."""
    go_on = threading.Event()
    short = []

    @registry.background(name="long")
    def long():
        assert go_on.wait(20)

    @registry.background(name="short")
    def brief(number):
        short.append(number)
        if len(short) == 5:
            go_on.set()

    long(priority=1)
    for number in range(5):
        brief(number)
    worker = work_off(threads=2, sleep=LONG)
    assert worker.summary.succeeded == 6
    assert sorted(short) == [0, 1, 2, 3, 4]


def test_worker_claims_no_more_than_it_can_run(registry):
    go_on = threading.Event()

    @registry.background(name="wait")
    def wait():
        assert go_on.wait(20)

    for _ in range(5):
        wait()
    worker = Worker(threads=2, sleep=0.02)
    with worker.running():
        worker.events.wait_for("start", count=2)
        assert Task.objects.filter(locked_by=worker.name).count() == 2
        assert Task.objects.filter(locked_by=None).count() == 3
        go_on.set()
        worker.events.wait_for("success", count=5)


def test_slow_mode_pauses_and_a_stop_leaves_what_has_not_begun(registry):
    """The pause is between tasks that are claimed already; a stop must not start them."""
    runs = []

    @registry.background(name="count")
    def count():
        runs.append(1)

    for _ in range(3):
        count()
    worker = Worker(threads=3, sleep=0.02)
    worker.control.pause_range = (30.0, 30.0)
    with worker.running():
        worker.events.wait_for("success")
    assert runs == [1]
    assert list(Task.objects.values_list("locked_by", "attempts")) == [(None, 0)] * 2
    assert worker.loop.summary.released == 2


def test_connections_belong_to_their_thread_and_are_closed_at_the_end(registry):
    seen = {}

    @registry.background(name="look")
    def look(number):
        Ledger.objects.create(key=str(number))
        seen[number] = (threading.get_ident(), connections["default"].connection)
        together.wait(20)

    together = threading.Barrier(2)
    look(1)
    look(2)
    work_off(threads=2)
    (one, first), (two, second) = seen[1], seen[2]
    assert one != two
    assert first is not second
    assert is_closed(first)
    assert is_closed(second)


def is_closed(driver_connection):
    if connection.vendor == "sqlite":
        import sqlite3

        try:
            driver_connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            return True
        return False
    if connection.vendor == "postgresql":
        return bool(driver_connection.closed)
    return not driver_connection.open


def test_connection_of_the_loop_is_kept_between_tasks(registry):
    """A worker that reconnected for each task would spend its time on that."""
    seen = set()

    @registry.background(name="look")
    def look(number):
        Ledger.objects.create(key=str(number))
        seen.add(id(connection.connection))

    for number in range(4):
        look(number)
    work_off()
    assert len(seen) == 1


def test_unknown_functions_stay_block_nobody_and_are_named_once(calls):
    for number in range(20):
        Task.objects.new_task(f"gone.away.{number % 2}", priority=10).save()
    calls.proxy(1)
    worker = Worker(sleep=0.02)
    with worker.running():
        worker.events.wait_for("success")
        worker.events.wait_for("idle", count=4)
    assert calls == [1]
    assert [told["names"] for told in worker.events.of("unknown")] == [
        ["gone.away.0", "gone.away.1"]
    ]
    assert Task.objects.filter(locked_by=None, attempts=0, failed_at=None).count() == 20


def test_unknown_function_is_run_by_a_worker_that_has_it(calls):
    Task.objects.new_task("somewhere.else").save()
    work_off()
    assert Task.objects.count() == 1
    calls.proxy.task_function = calls._note
    work_off(registry={"somewhere.else": calls.proxy})
    assert calls == [()]
    assert not Task.objects.exists()


def test_registered_name_without_function_fails_with_a_clear_error(calls):
    calls.proxy(1)
    calls.proxy.task_function = None
    work_off()
    row = Task.objects.get()
    assert row.attempts == 1
    assert "'noted' is registered without a function" in row.last_error


@pytest.mark.parametrize(
    "params",
    ["", "not json", "{}", "[1]", "[[], {}, []]", "[{}, {}]", "[[], []]", "null", "[" * 100_000],
)
def test_broken_payload_fails_its_row_with_a_clear_error(calls, params):
    broken = calls.proxy(1)
    Task.objects.filter(pk=broken.pk).update(task_params=params)
    calls.proxy(2)
    work_off()
    failed = CompletedTask.objects.get(failed_at__isnull=False)
    assert "InvalidPayloadError: task_params" in failed.last_error
    assert "delete it and schedule the task again" in failed.last_error
    assert (failed.attempts, list(calls)) == (1, [2])


def test_worker_enters_itself_and_says_goodbye(calls):
    calls.proxy(1)
    worker = Worker(threads=3, queues=())
    with worker.running():
        worker.events.wait_for("success")
        row = WorkerRow.objects.get(name=worker.name)
        assert (row.capacity, row.stopped_at) == (3, None)
    assert WorkerRow.objects.get().stopped_at is not None


def test_evicted_worker_goes_on_under_a_new_name(calls):
    worker = Worker(sleep=0.02, lease=timedelta(seconds=4))
    with worker.running():
        worker.events.wait_for("idle")
        former = worker.name
        WorkerRow.objects.update(stopped_at=timezone.now())
        told = worker.events.wait_for("evicted")
        assert (told["worker"], told["name"]) == (former, worker.name)
        calls.proxy(1)
        worker.events.wait_for("success")
    assert calls == [1]
    assert CompletedTask.objects.get().locked_by == worker.name != former


def test_worker_that_stood_still_claims_nothing_under_a_name_that_is_no_longer_its_own(calls):
    """After SIGCONT the loop may be faster than the heartbeat; its claims would be up for grabs."""
    worker = Worker(sleep=0.02, lease=timedelta(seconds=60))
    with worker.running():
        worker.events.wait_for("idle")
        former = worker.name
        WorkerRow.objects.update(stopped_at=timezone.now())
        worker.loop.identity.renewed_at -= 60  # a minute in which nobody in this process ran
        calls.proxy(1)
        worker.events.wait_for("success")
    assert CompletedTask.objects.get().locked_by == worker.name != former
    assert worker.events.names.count("evicted") == 1


def test_run_longer_than_max_run_time_is_told_once_and_goes_on(registry, settings, threads):
    settings.BACKGROUND_TASK_MAX_RUN_TIME = 0.3
    worker = Worker(threads=threads)

    @registry.background(name="long")
    def long():
        told = worker.events.wait_for("overrun")
        assert told["seconds"] > 0.3
        again = threading.Event()
        assert not again.wait(worker.loop_interval * 2)

    from background_task.worker.heartbeat import Watchdog

    worker.loop_interval = Watchdog.INTERVAL_SECONDS
    long()
    worker.run()
    assert worker.events.names.count("overrun") == 1
    assert CompletedTask.objects.get().failed_at is None


def test_summary_counts_what_became_of_the_tasks(calls, registry, settings, threads):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 2

    @registry.background(name="fail")
    def fail():
        raise ValueError

    dead = calls.proxy("dead")
    Task.objects.filter(pk=dead.pk).update(locked_by="nobody:1:0", claim_number=1)
    WorkerRow.objects.create(
        name="nobody:1:0",
        host="nobody",
        pid=1,
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        expires_at=timezone.now() - timedelta(seconds=1),
    )
    calls.proxy(1)
    fail()
    last = fail()
    Task.objects.filter(pk=last.pk).update(attempts=1)
    worker = Worker(threads=threads, sleep=0.02, lease=timedelta(seconds=1))
    ends = {
        "success": 2,
        "retry": 2,
        "failure": 1,
    }  # one retry is of the lost attempt

    def is_done(*event):
        return all(worker.events.names.count(name) == count for name, count in ends.items())

    worker.run(until=is_done)
    summary = worker.loop.summary
    assert (summary.succeeded, summary.retried, summary.failed) == (2, 1, 1)
    assert (summary.recovered, summary.late, summary.released) == (1, 0, 0)
    assert summary.seconds > 0


def test_late_outcome_is_dropped_and_counted(registry, threads):
    @registry.background(name="overtaken")
    def overtaken():
        Task.objects.update(claim_number=99, locked_by="somebody:2:else")

    overtaken()
    worker = work_off(threads=threads)
    assert worker.summary.late == 1
    row = Task.objects.get()
    assert (row.locked_by, row.claim_number, row.attempts) == ("somebody:2:else", 99, 0)
    assert not CompletedTask.objects.exists()


def test_refused_outcome_is_stored_in_a_simpler_form(registry, threads):
    """mysqlclient's error for text that a column's character set cannot hold."""
    from django.db import OperationalError

    @registry.background(name="fail")
    def fail():
        raise ValueError("\u0416")

    fail()
    store = get_store()
    error = OperationalError(1366, "Incorrect string value")
    Refused(store, "finish", error, times=2)  # with the others of its group, and alone
    worker = Worker(store=store, threads=threads)
    worker.run()
    assert worker.events.names.count("reduced") == 1
    assert "ValueError: \\u0416" in Task.objects.get().last_error


def test_inline_executor_shows_its_claim_to_other_threads():
    seen = []
    control = Control()
    executor = InlineExecutor(lambda claim: seen.append(executor.claims()), control=control)
    executor.submit("the claim")
    executor.submit("the next")
    executor.work_off()
    assert seen == [["the claim", "the next"], ["the next"]]
    assert executor.claims() == []
    control.polling.close()


def test_claims_in_hand_are_not_held_up_before_the_first_has_had_the_time_to_begin():
    """The rivals: the loop, about to run them, and the keeper, which would hand them back."""
    control = Control()
    executor = InlineExecutor(lambda claim: None, control=control)
    executor.submit("the claim")
    assert not executor.is_stalled(time.monotonic(), LONG)
    assert executor.is_stalled(time.monotonic() + 2 * LONG, LONG)
    control.polling.close()


def test_duration_ends_an_idle_worker_at_its_time(calls, threads):
    worker = Worker(threads=threads, sleep=LONG, duration=0.5)
    began = time.monotonic()
    with worker.running():
        wait_until(lambda: worker.control.is_stopping)
    assert 0.5 <= time.monotonic() - began < LONG / 5
    assert worker.control.reason == "the duration is over"


def test_async_tasks_run_on_either_executor(registry, threads):
    import asyncio

    @registry.background(name="later")
    async def later(key):
        await asyncio.sleep(0)
        await Ledger.objects.acreate(key=key)

    later("a")
    later("b")
    work_off(threads=threads)
    assert sorted(Ledger.objects.values_list("key", flat=True)) == ["a", "b"]
    assert not Task.objects.exists()


def test_sync_code_of_coroutines_closes_no_connection_of_the_loop(registry):
    from asgiref.sync import sync_to_async

    @registry.background(name="both")
    async def both():
        await sync_to_async(Ledger.objects.create)(key="in a thread")

    both()
    worker = work_off(threads=2)
    assert worker.summary.succeeded == 1
    assert Ledger.objects.count() == 1
