"""A worker leaves although something holds it up, and keeps no connection that would go stale."""

import threading

import pytest
from django.db import connection, connections, transaction

from background_task import telemetry
from background_task.models import CompletedTask, Task
from background_task.worker import control as controlling
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.hostile.forking import tasks as stubborn
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until
from tests.worker.running import Worker, is_idle

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {
    "INSTALLED_APPS": [*INSTALLED_APPS, "tests.hostile.forking", "tests.worker"],
    # However slow the machine is, there is time for all interruptions.
    "TEST_CONSTANTS": {"background_task.worker.control.LAST_SECONDS": 60},
}


@pytest.mark.parametrize("verb", ["claim", "finish_many"])
def test_worker_that_waits_in_a_database_call_ends_its_process(verb, calls, monkeypatch):
    """Here the end of the process is only told; in the command it is the real one."""
    monkeypatch.setattr(controlling, "LAST_SECONDS", 0.2)
    calls.proxy("once")
    worker = Worker(shutdown=0.1)
    store = worker.loop.store
    real, is_ended = getattr(store, verb), threading.Event()
    worker.control.end_process = is_ended.set

    def wait_for_a_lock(*args, **kwargs):
        worker.control.stop("a signal", within=0.1)
        assert is_ended.wait(20), "the worker would wait for as long as the lock is held"
        return real(*args, **kwargs)

    setattr(store, verb, wait_for_a_lock)
    with telemetry.subscribed(worker.events):
        worker.loop.run()
    worker.control.polling.close()
    assert worker.control.is_at_once
    assert not Task.objects.filter(locked_by__isnull=False).exists()


@pytest.mark.only_on("postgresql", "mariadb")
@pytest.mark.parametrize("shutdown", [0.5, 60], ids=["deadline", "second signal"])
def test_lock_on_the_table_does_not_keep_a_stopped_worker(shutdown):
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": shutdown}
    with worker_process("--sleep", "0.05", settings=settings) as worker:
        record("first")
        wait_until(CompletedTask.objects.exists, deadline=30)
        with table_locked():
            worker.terminate()
            if shutdown == 60:
                worker.interrupt()
            assert worker.wait() in (0, 1)


class table_locked:  # noqa: N801 - reads as a function
    """Nobody else can read or write the tasks."""

    def __enter__(self):
        if connection.vendor == "mysql":
            self.execute("LOCK TABLES background_task WRITE, background_task_worker WRITE")
            return
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.execute("LOCK TABLE background_task, background_task_worker")

    def __exit__(self, *error):
        if connection.vendor == "mysql":
            self.execute("UNLOCK TABLES")
        else:
            self.transaction.__exit__(*error)

    def execute(self, statement):
        with connection.cursor() as cursor:
            cursor.execute(statement)


def test_task_that_swallows_an_interruption_is_interrupted_again(tmp_path):
    task = stubborn.swallow_interruptions(str(tmp_path / "never"), 3)
    settings = {**SETTINGS, "BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.2}
    with worker_process("--sleep", "0.05", settings=settings) as worker:
        wait_until(Ledger.objects.filter(key="swallowing").exists, deadline=30)
        worker.terminate()
        assert worker.wait() == 0
    # It came to its end by the third: what it had left to do, it has done.
    assert CompletedTask.objects.filter(uid=task.uid).exists() != Task.objects.exists()
    assert not Task.objects.filter(locked_by__isnull=False).exists()


@pytest.fixture
def other(transactional_db):
    """A second alias of the same database."""
    connections.settings["other"] = {**connection.settings_dict}
    yield "other"
    connections["other"].close()
    del connections["other"], connections.settings["other"]


@pytest.mark.parametrize("max_age", [0, None], ids=["no age", "for ever"])
def test_idle_worker_keeps_no_connection_to_another_database_beyond_its_age(
    other, max_age, registry
):
    connections[other].settings_dict["CONN_MAX_AGE"] = max_age

    @registry.background(name="elsewhere")
    def elsewhere():
        connections[other].connect()  # directly, as Django's tests allow no unknown alias
        with connections[other].cursor() as cursor:
            cursor.execute("SELECT 1")

    elsewhere()
    kept = connection.connection
    worker = Worker(sleep=0.05)
    states = []

    def until(name, fields):
        if name in ("success", "idle"):
            states.append((name, connections[other].connection is not None))
        return is_idle(name, fields)

    worker.run(until=until)
    assert states[0] == ("success", True)
    assert states[-1] == ("idle", max_age is None)
    assert connection.connection is kept
    assert CompletedTask.objects.get().attempts == 1
