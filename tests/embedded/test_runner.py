"""A worker inside this process."""

import signal
import threading

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, transaction

import background_task
from background_task import DuplicateWorkerError, Runner
from background_task.exceptions import BackgroundTaskError, InvalidOptionError
from background_task.identity import is_name_with, new_worker_name
from background_task.models import CompletedTask, Task, Worker
from background_task.store import Fleet, get_store
from background_task.task_framework import BaseTaskBackend
from background_task.worker import hygiene
from tests.app.models import Ledger
from tests.app.tasks import fail, record
from tests.backends import tasks as queued
from tests.compat.conftest import os_signals  # noqa: F401 - a fixture
from tests.store.rows import LEASE
from tests.worker.conftest import registry  # noqa: F401 - a fixture

DEADLINE = 60.0
outside = pytest.mark.django_db(transaction=True)


def keys():
    return set(Ledger.objects.values_list("key", flat=True))


@outside
@pytest.mark.parametrize("workers", [None, 2], ids=["inline", "threads"])
def test_run_in_a_block_works_off_what_is_due_and_what_comes(workers, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    record("before")
    with Runner(workers, loop_delay=600, worker_id="inside") as runner:
        assert runner.ready.wait(DEADLINE)
        assert runner.wait(DEADLINE)
        assert runner.empty.is_set()
        record("after")
        fail()
        record("later", schedule=3600)
        assert runner.wait(DEADLINE)
        assert keys() == {"before", "after"}
        assert runner.processed == 3
        assert not runner.finished.is_set()
        assert is_name_with("inside", Worker.objects.get(stopped_at=None).name)
    assert runner.finished.is_set()
    assert not Worker.objects.filter(stopped_at=None).exists()
    assert Task.objects.count() == 1
    assert runner.wait(0) is False


@outside
def test_run_in_a_thread_of_ones_own_until_stopped():
    runner = Runner(2)
    summaries = []

    def serve():
        try:
            summaries.append(runner.run())
        finally:
            connections.close_all()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        record("a")
        assert runner.wait(DEADLINE)
    finally:
        runner.stop()
        runner.stop()  # which is no second order
        thread.join(DEADLINE)
    assert summaries[0].succeeded == 1
    assert not thread.is_alive()


@outside
def test_run_batch_here_ends_by_itself(registry):  # noqa: F811
    record("a", queue="mine")
    record("b", queue="left")
    runner = Runner(None, is_batch=True, exclude_queues=["left"])
    assert runner.run().succeeded == 1
    assert runner.finished.is_set()
    with pytest.raises(BackgroundTaskError, match="was stopped; each runs once: make another"):
        runner.run()
    assert Runner(1, is_batch=True, queues=["left"]).run().succeeded == 1


@outside
def test_stop_lets_the_running_task_finish_and_is_seen_by_it(registry):  # noqa: F811
    has_begun = threading.Event()

    @registry.background(name="until stopped")
    def until_stopped():
        shutdown = background_task.get_active_shutdown()
        seen = [background_task.is_shutdown_requested(), shutdown.wait(0)]
        has_begun.set()
        seen += [shutdown.wait(DEADLINE), background_task.is_shutdown_requested()]
        Ledger.objects.create(key=repr(seen))

    until_stopped()
    with Runner(1) as runner:
        assert has_begun.wait(DEADLINE)
        assert runner.wait(0) is False
        assert not runner.empty.is_set()
    assert keys() == {"[False, False, True, True]"}
    assert CompletedTask.objects.count() == 1


@outside
@pytest.mark.parametrize("workers", [None, 1], ids=["inline", "threads"])
def test_stop_from_a_task_does_not_wait_for_itself(registry, workers):  # noqa: F811
    @registry.background(name="stop")
    def stop():
        runner.stop()

    stop()
    runner = Runner(workers)
    runner.start()
    assert runner.finished.wait(DEADLINE)
    assert runner.stop(DEADLINE)
    assert runner.processed == 1


@outside
def test_ctrl_c_lets_the_running_task_finish_and_ends_the_runner(
    registry,  # noqa: F811
    os_signals,  # noqa: F811
):
    @registry.background(name="interrupted")
    def interrupted():
        signal.raise_signal(signal.SIGINT)
        Ledger.objects.create(key="done")

    signal.signal(signal.SIGINT, signal.default_int_handler)
    interrupted()
    record("left", priority=-1)
    runner = Runner(None)
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert keys() == {"done"}
    assert runner.finished.is_set()
    assert runner.processed == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@outside
def test_wait_for_a_task_tells_whether_it_has_finished():
    good, bad, later = record("a"), fail(), record("later", schedule=3600)
    with Runner(1) as runner:
        assert runner.wait_for(good, DEADLINE)
        assert good.status == "succeeded"
        assert not runner.wait_for(bad, 0.01)
        assert not runner.wait_for(later, 0.01)
    assert not runner.wait_for(later)
    assert runner.wait_for(good, 0)


@outside
@pytest.mark.parametrize("enqueue", [queued.add.enqueue, queued.aadd.enqueue])
def test_wait_for_a_result_refreshes_it(enqueue):
    with Runner(1) as runner:
        result = enqueue(1, second=2)
        assert runner.wait_for(result, DEADLINE)
    assert (result.status, result.return_value) == ("SUCCESSFUL", 3)


@outside
def test_wait_goes_on_while_a_row_is_locked_by_somebody_at_each_look(monkeypatch):
    in_vain = iter(range(2))
    kind = type(get_store())
    claim = kind.claim
    with Runner(1, loop_delay=600) as runner:
        assert runner.wait(DEADLINE)
        monkeypatch.setattr(
            kind,
            "claim",
            lambda *args, **kw: claim(*args, **kw) if next(in_vain, None) is None else [],
        )
        record("a")
        assert runner.wait(DEADLINE)
        assert keys() == {"a"}
        assert next(in_vain, None) is None


@outside
def test_run_for_a_backend_leaves_the_tasks_of_others():
    asked = queued.add.using(backend="any").enqueue(1)
    other, row = queued.add.enqueue(2), record("a")
    for given in ("any", ["any", "retrying"]):
        assert Runner(None, backend=given, is_batch=True).run().processed == (given == "any")
    assert [status_of(each) for each in (asked, other)] == ["SUCCESSFUL", "READY"]
    assert row.status == "waiting"
    assert Runner(None, is_batch=True).run().processed == 2


def status_of(result):
    result.refresh()
    return result.status


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("other", "backend other: TASKS has no DatabaseBackend of background_task under that name"),
        (["any", "dummy"], "backend dummy: TASKS has no DatabaseBackend.* it has 'any', 'now'"),
        ("now", "backend now: its OPTIONS have immediate, so its tasks have run when enqueue"),
    ],
)
def test_make_runner_for_a_backend_that_has_nothing_for_it_is_refused(backend, message, settings):
    ours = "background_task.backends.DatabaseBackend"
    settings.TASKS = {
        "any": {"BACKEND": ours},
        "dummy": {"BACKEND": f"{BaseTaskBackend.__module__.rpartition('.')[0]}.dummy.DummyBackend"},
        "now": {"BACKEND": ours, "OPTIONS": {"immediate": True}},
    }
    with pytest.raises(ImproperlyConfigured, match=message):
        Runner(backend=backend)


def test_make_runner_counts_as_dead_as_soon_as_its_backend_says(settings):
    ours = "background_task.backends.DatabaseBackend"
    settings.TASKS = {
        "default": {"BACKEND": ours},
        "hasty": {"BACKEND": ours, "OPTIONS": {"lease": 7}},
    }
    leases = [Runner(backend=each)._options.lease.seconds for each in (None, "hasty", "default")]
    assert leases == [7, 7, 60]


@outside
def test_error_of_the_runner_reaches_whoever_waits():
    Fleet("default").register(new_worker_name("taken"), queues="", capacity=1, lease=LEASE)
    runner = Runner(1, worker_id="taken")
    runner.start()
    assert runner.finished.wait(DEADLINE)
    for meet in (runner.wait, lambda: runner.__exit__(None, None, None)):
        with pytest.raises(DuplicateWorkerError, match="'taken' is alive"):
            meet()
    assert not runner._thread.is_alive()


def test_stop_before_the_start_lets_it_never_begin():
    runner = Runner()
    assert runner.stop()
    assert not runner.wait()


@pytest.mark.django_db
def test_start_inside_a_transaction_is_refused_and_run_works():
    record("a")
    with pytest.raises(BackgroundTaskError, match="no other thread sees the rows of this trans"):
        Runner().start()
    assert Runner(None, is_batch=True).run().succeeded == 1
    assert keys() == {"a"}
    with transaction.atomic(), pytest.raises(BackgroundTaskError), Runner():
        pass


@pytest.mark.only_on("sqlite")
@pytest.mark.django_db
def test_start_on_sqlite_in_memory_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr(connection, "is_in_memory_db", lambda: True)
    assert hygiene.is_in_memory("default")
    for runner, begin in ((Runner(None), Runner.start), (Runner(2), Runner.run)):
        with pytest.raises(BackgroundTaskError, match=r"SQLite in memory.* use a file .*or Runner"):
            begin(runner)
    assert Runner(None, is_batch=True).run().processed == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers 0 would run nothing; use 1 or more, or None"),
        ({"loop_delay": -1}, "loop_delay -1 is below 0; use 0 or more seconds"),
        ({"loop_delay": float("inf")}, "loop_delay inf is no length of time"),
        ({"shutdown_timeout": -1}, "shutdown_timeout -1 is below 0"),
        ({"backend": []}, r"backend \[\] would run nothing; use an alias of TASKS, or None"),
        ({"worker_id": ""}, "'' is no id of a worker; use 1 to 64"),
        ({"queues": ["q" * 191]}, "has 191 characters"),
        ({"queues": ["a"], "exclude_queues": ["b"]}, "leaves all others out; use one of them"),
    ],
)
def test_make_runner_of_what_cannot_work_is_refused(options, message):
    with pytest.raises(InvalidOptionError, match=message):
        Runner(**options)
