"""A database that goes away and comes back: said once, waited for, nothing lost."""

import threading

import pytest
from django.db import InterfaceError, OperationalError, connection

from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.app.models import Ledger
from tests.waiting import wait_until
from tests.worker.faults import Outage, Refused
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def outage():
    with Outage().everywhere() as outage:
        yield outage


def test_outage_of_idle_worker_is_said_once_and_so_is_its_end(calls, outage, threads):
    worker = Worker(threads=threads, sleep=0.02)
    with worker.running():
        worker.events.wait_for("idle")
        outage.is_on.set()
        told = worker.events.wait_for("outage")
        assert "connection refused" in str(told["exception"])
        wait_until(lambda: worker.loop._backoff.failures >= 4)
        outage.is_on.clear()
        assert worker.events.wait_for("reconnect")["seconds"] > 0
        calls.proxy(1)
        worker.events.wait_for("success")
    assert worker.events.names.count("outage") == 1
    assert worker.events.names.count("reconnect") == 1
    assert calls == [1]


def test_outage_during_a_run_is_said_and_the_finish_waits(registry, outage, threads):
    runs = []

    @registry.background(name="cut off")
    def cut_off():
        runs.append(1)
        outage.is_on.set()

    cut_off()
    worker = Worker(threads=threads, sleep=0.02)
    with worker.running():
        worker.events.wait_for("outage")
        outage.is_on.clear()
        worker.events.wait_for("success")
        worker.events.wait_for("reconnect")
    assert runs == [1]
    assert worker.events.names.count("outage") == 1
    assert CompletedTask.objects.get().attempts == 1
    assert not Task.objects.exists()


def test_outage_at_the_start_is_waited_for(calls, outage):
    calls.proxy(1)
    outage.is_on.set()
    worker = Worker(sleep=0.02)
    with worker.running():
        worker.events.wait_for("outage")
        outage.is_on.clear()
        worker.events.wait_for("success")
    assert calls == [1]


def test_outage_does_not_keep_a_worker_from_stopping(calls, outage, threads):
    worker = Worker(threads=threads, sleep=0.02)
    with worker.running(deadline=30):
        worker.events.wait_for("idle")
        outage.is_on.set()
        worker.events.wait_for("outage")


def test_stop_during_an_outage_ends_although_an_outcome_is_not_recorded(registry, outage, threads):
    """Recovery will count a lost attempt; nothing else can be done without the database."""

    @registry.background(name="cut off")
    def cut_off():
        outage.is_on.set()

    cut_off()
    worker = Worker(threads=threads, sleep=0.02)
    with worker.running(deadline=30):
        worker.events.wait_for("outage")
        worker.stop(within=0.3)
    outage.is_on.clear()
    assert Task.objects.get().locked_by is not None


def test_connection_of_an_idle_thread_that_broke_meanwhile_costs_no_attempt(registry):
    """The loop meets the restarted database first; its threads must not trip over it again."""
    broken = []

    @registry.background(name="write")
    def write(key):
        Ledger.objects.create(key=key)
        broken.append(connection.connection)

    write("before")
    store = get_store()
    worker = Worker(store=store, threads=1, sleep=0.02)
    with worker.running():
        worker.events.wait_for("success")
        wait_until(lambda: worker.loop.executor.load() == 0)
        broken[0].close()  # what a restart of the server does to every connection
        refused = Refused(store, "claim", OperationalError("server closed the connection"))
        wait_until(lambda: not refused.left)  # a claim under way might still find the task
        write("after")
        worker.events.wait_for("success", count=2)
    assert "retry" not in worker.events.names
    assert list(CompletedTask.objects.values_list("attempts", flat=True)) == [1, 1]


@pytest.mark.parametrize("error", [AttributeError("read of closed file"), InterfaceError("closed")])
def test_heartbeat_survives_whatever_a_driver_raises(calls, error):
    """Without a heartbeat others would take this worker's running tasks."""
    from datetime import timedelta

    worker = Worker(sleep=0.02, lease=timedelta(seconds=0.2))
    renew = worker.loop.identity.fleet.renew
    beats, survived = [], threading.Event()

    def break_first(*args, **kwargs):
        if threading.current_thread() is not worker.loop.heartbeat:  # the loop, after a stall
            return renew(*args, **kwargs)
        beats.append(1)
        if len(beats) == 1:
            raise error
        survived.set()
        return renew(*args, **kwargs)

    worker.loop.identity.fleet.renew = break_first
    with worker.running():
        assert survived.wait(30)
