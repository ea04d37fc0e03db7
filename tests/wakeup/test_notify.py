"""PostgreSQL: producers wake idle workers, leave busy ones alone, and never fail for it."""

import os
import threading
import warnings
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from background_task.models import Task
from background_task.store import Fleet, get_store
from background_task.tasks import TaskSchedule
from background_task.wakeup import listen_notify, notify, notify_after_commit
from background_task.wakeup.listen_notify import INTERVAL_SECONDS
from background_task.wakeup.listener import Listener
from background_task.worker.recovery import recover
from tests.app.tasks import record
from tests.waiting import wait_until
from tests.wakeup.conftest import DEADLINE_SECONDS, FOR_EVER, settle
from tests.wakeup.sessions import query

pytestmark = pytest.mark.only_on("postgresql")


@pytest.fixture
def ear(transactional_db):
    """Somebody else who listens, and counts the notifications of producers."""
    ear = Listener("default")
    payloads = []

    def has_heard(mark):
        payloads.extend(ear.heard())
        return mark in payloads

    def count():
        mark = uuid4().hex  # notifications come in the order of the commits
        query(f"SELECT 1 FROM pg_notify('background_task', '{mark}')")
        wait_until(partial(has_heard, mark))
        found = payloads.count("")
        payloads.clear()
        return found

    yield count
    ear.close()


def test_notify_ends_the_wait(wakeup, waiting):
    settle(wakeup)
    thread = waiting()
    notify("default")
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_burst_sends_few_notifications_and_none_when_nobody_is_idle(
    wakeup, ear, clock, monkeypatch
):
    monkeypatch.setattr(listen_notify, "time", clock)  # the producer's; the worker has its own

    def burst():
        for _ in range(1000):
            notify("default")
            clock.now += 0.001
        return ear()

    assert burst() == 0
    settle(wakeup)
    assert 1 <= burst() <= 1 / INTERVAL_SECONDS + 1
    wakeup.disarm()
    assert burst() == 0


def test_burst_of_calls_adds_no_query(wakeup, ear):
    settle(wakeup)
    with CaptureQueriesContext(connection) as queries:
        for number in range(20):
            record(f"{number}")
    assert len(queries) == 20
    assert ear() >= 1


def test_call_inside_a_transaction_notifies_after_the_commit(wakeup, ear):
    settle(wakeup)
    with transaction.atomic():
        record("kept")
        assert listen_notify._tested_at == {}
    assert ear() == 1


def test_call_that_is_rolled_back_notifies_nobody(wakeup, ear):
    settle(wakeup)
    with transaction.atomic():
        record("undone")
        transaction.set_rollback(True)
    assert (ear(), listen_notify._tested_at) == (0, {})


def test_task_that_is_moved_wakes_workers_that_wait_for_its_former_time(wakeup, ear):
    record("moved", schedule=3600)
    settle(wakeup)
    ear()
    listen_notify._tested_at.clear()
    record("moved", schedule={"run_at": 60, "action": TaskSchedule.RESCHEDULE_EXISTING})
    assert Task.objects.count() == 1
    assert ear() == 1


@pytest.mark.django_db
def test_call_inside_a_test_case_costs_its_row_and_nothing_else(
    django_assert_num_queries, django_capture_on_commit_callbacks
):
    with django_assert_num_queries(1), django_capture_on_commit_callbacks(execute=True):
        record("in a test")


def test_notify_where_it_may_not_run_does_nothing(wakeup, ear):
    settle(wakeup)
    with transaction.atomic():
        notify("default")
        with pytest.raises(DatabaseError):
            query("SELECT nonsense")
        notify("default")
        transaction.set_rollback(True)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        notify("default")
        cursor.execute("COMMIT")
    connection.set_autocommit(False)
    notify("default")
    notify_after_commit("default")
    connection.set_autocommit(True)
    connection.close()
    notify("default")
    assert (ear(), listen_notify._tested_at) == (0, {})


def test_notify_on_a_connection_that_is_broken_raises_nothing(wakeup, ear, caplog):
    settle(wakeup)
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    killer = connections.create_connection("default")
    with killer.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    killer.close()
    notify_after_commit("default")
    connection.close()
    assert "they find the task by looking" in caplog.text
    notify_after_commit("default")
    record("next")
    assert ear() == 1  # the failed one does not count


def test_notify_from_threads_at_the_same_moment_sends_few(wakeup, ear):
    settle(wakeup)
    together = threading.Barrier(4)

    def produce():
        connection.ensure_connection()
        together.wait(DEADLINE_SECONDS)
        notify("default")
        connection.close()

    threads = [threading.Thread(target=produce) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert 1 <= ear() <= 4


def test_notify_in_a_forked_child_works(wakeup, ear):
    settle(wakeup)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            connection.connection = None  # the parent's
            connection.ensure_connection()
            notify("default")
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert ear() == 1
    wakeup.wait(FOR_EVER)  # the worker's own connection is as it was


def test_rows_that_a_worker_hands_back_wake_idle_ones(wakeup, ear):
    store, task = get_store(), record("handed back")
    claims = store.claim("busy", [task.task_name])
    settle(wakeup)
    ear()
    listen_notify._tested_at.clear()
    assert store.release(claims) == 1
    assert ear() == 1


def test_rows_that_are_recovered_wake_idle_workers(wakeup, ear):
    store, task = get_store(), record("recovered")
    Fleet("default").register("dead", queues="", capacity=1, lease=timedelta(seconds=60))
    store.claim("dead", [task.task_name])
    Fleet("default").retire("dead")
    settle(wakeup)
    ear()
    listen_notify._tested_at.clear()
    assert recover(store) == 1
    assert ear() == 1
