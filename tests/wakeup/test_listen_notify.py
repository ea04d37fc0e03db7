"""PostgreSQL: idle workers are woken, busy ones are left alone."""

import os
import resource
import threading
import warnings
from functools import partial
from itertools import pairwise
from uuid import uuid4

import pytest
from django.db import DatabaseError, OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from background_task import wakeup as package
from background_task.models import Task
from background_task.tasks import TaskSchedule
from background_task.wakeup import listen_notify, listener, notify, notify_after_commit
from background_task.wakeup.listen_notify import (
    INTERVAL_SECONDS,
    NEXT_PROBE_SECONDS,
    PROBE_SECONDS,
    QUICK_SECONDS,
    SETTLE_SECONDS,
    TELL_AFTER,
    ListenNotify,
)
from background_task.wakeup.listener import Listener
from tests.app.tasks import record
from tests.waiting import wait_until
from tests.wakeup.conftest import DEADLINE_SECONDS, FOR_EVER, settle

pytestmark = pytest.mark.only_on("postgresql")


def query(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def idle_workers():
    return query(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock' "
        "AND classid = 1650941812 AND objid = 1"
    )


def drop_connections():
    query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE application_name = 'background_task wake-up'"
    )


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


@pytest.fixture
def timed(wakeup, polling, clock):
    """A worker whose time is moved by the test."""
    timed = ListenNotify("default", polling, clock=clock)
    yield timed
    timed.close()


@pytest.fixture
def proven(timed):
    """One that is armed, and not settled yet."""

    def is_armed():
        timed.wait(0.02)
        return idle_workers() == 1

    timed.arm()
    wait_until(is_armed, message="the worker has its lock")
    return timed


# -- the worker -------------------------------------------------------------------------------


def test_idle_worker_is_known_and_busy_one_is_not(wakeup):
    assert idle_workers() == 0
    settle(wakeup)
    assert idle_workers() == 1
    wakeup.disarm()
    assert idle_workers() == 0


def test_close_lets_go_of_everything(wakeup):
    settle(wakeup)
    wakeup.close()
    wait_until(lambda: idle_workers() == 0, message="the lock is gone")
    assert wakeup.longest_pause(0.0, 5.0) < 1


def test_worker_arms_after_some_quick_looks(proven, clock):
    proven.disarm()
    proven.arm()
    assert idle_workers() == 0
    assert proven.longest_pause(0.0, FOR_EVER) < QUICK_SECONDS
    clock.now += 2 * QUICK_SECONDS
    proven.wait(0.001)
    assert idle_workers() == 1


def test_worker_looks_once_more_before_it_relies_on_news(proven, clock):
    assert proven.longest_pause(1e9, FOR_EVER) == SETTLE_SECONDS > INTERVAL_SECONDS
    proven.wait(0.001)
    assert proven.longest_pause(1e9, FOR_EVER) == SETTLE_SECONDS
    clock.now += SETTLE_SECONDS
    assert proven.longest_pause(1e9, FOR_EVER) == SETTLE_SECONDS  # it has not looked since
    proven.wait(0.001)
    assert proven.longest_pause(1e9, FOR_EVER) == FOR_EVER


def test_worker_that_was_notified_looks_once_more(proven, clock):
    clock.now += SETTLE_SECONDS
    proven.wait(0.001)
    notify("default")
    proven.wait(FOR_EVER)
    assert proven.longest_pause(1e9, FOR_EVER) == SETTLE_SECONDS
    clock.now += SETTLE_SECONDS
    proven.wait(0.001)
    assert proven.longest_pause(1e9, FOR_EVER) == FOR_EVER


def test_lock_that_a_producer_is_testing_makes_no_worker_wait(proven):
    proven.disarm()
    proven._worked_at = 0.0
    with transaction.atomic():
        query(f"SELECT pg_advisory_xact_lock({listen_notify.KEY})::text")
        proven.arm()
        assert idle_workers() == 0
        assert proven.longest_pause(0.0, FOR_EVER) < 1  # it polls
    proven.wait(0.001)
    assert idle_workers() == 1


def test_proofs_of_other_workers_are_no_news(wakeup, waiting):
    settle(wakeup)
    thread = waiting()
    query("SELECT 1 FROM pg_notify('background_task', 'a proof')")
    assert wait_until(lambda: not wakeup._listener._payloads) is True
    wakeup.polling.wake()
    thread.join(DEADLINE_SECONDS)
    assert wakeup.longest_pause(0.0, FOR_EVER) == FOR_EVER


def test_wait_takes_descriptors_above_1023(wakeup):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("the system allows fewer descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    files = []
    try:
        while not files or files[-1] < 1024:
            files.append(os.open(os.devnull, os.O_RDONLY))
        settle(wakeup)
        assert wakeup._listener.fileno() > 1023
        notify("default")
        wakeup.wait(FOR_EVER)
    finally:
        for file in files:
            os.close(file)
        wakeup.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# -- connections that are lost, or of no use ---------------------------------------------------


def test_dropped_connection_is_replaced(wakeup, waiting, events):
    settle(wakeup)
    first = wakeup._listener
    thread = waiting()
    drop_connections()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()
    settle(wakeup)
    assert wakeup._listener is not first
    listen_notify._tested_at.clear()
    notify("default")
    wakeup.wait(FOR_EVER)
    assert events == []


@pytest.mark.parametrize("verb", ["arm", "disarm", "wait"])
def test_connection_that_was_dropped_unnoticed_raises_nowhere(wakeup, verb):
    settle(wakeup)
    drop_connections()
    wait_until(lambda: idle_workers() == 0)
    if verb == "wait":
        wakeup.wait(0.01)
    else:
        getattr(wakeup, verb)()
    settle(wakeup)


def test_descriptor_that_somebody_closed_raises_nowhere(wakeup):
    settle(wakeup)
    wakeup._listener.fileno = lambda: -1
    wakeup.wait(0.01)
    settle(wakeup)


def test_connection_that_cannot_be_opened_is_tried_again_after_pauses(
    timed, clock, events, monkeypatch
):
    attempts = []

    def refuse(using):
        attempts.append(clock.now)
        raise OperationalError("too many clients already")

    monkeypatch.setattr(listen_notify, "Listener", refuse)
    for _ in range(600):
        timed.arm()
        timed.wait(0.001)
        assert timed.longest_pause(0.0, 5.0) < 1
        clock.now += 1
    pauses = [after - before for before, after in pairwise(attempts)]
    assert pauses[:5] == [0, 1, 2, 4, 8]
    assert max(pauses) == 60
    assert len(attempts) >= TELL_AFTER
    ((name, fields),) = events
    assert name == "no_notify"
    assert (fields["using"], fields["reason"]) == ("default", "too many clients already")
    assert "connection" in fields["remedy"]
    monkeypatch.setattr(listen_notify, "Listener", Listener)
    clock.now += 60
    timed.arm()
    wait_until(lambda: timed.wait(0.02) or idle_workers() == 1)


def test_listen_that_a_pooler_swallows_falls_back_to_polling(timed, clock, events, monkeypatch):
    monkeypatch.setattr(listener, "CHANNEL", "elsewhere")  # LISTEN reaches another session
    timed.arm()
    timed.wait(0.05)
    assert events == []
    assert timed.longest_pause(0.0, FOR_EVER) < 1
    clock.now += PROBE_SECONDS
    for _ in range(3):
        timed.arm()
        timed.wait(0.001)
    ((name, fields),) = events
    assert name == "no_notify"
    assert "pooler" in fields["reason"]
    assert "session mode" in fields["remedy"]
    assert idle_workers() == 0
    assert query(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'background_task wake-up'"
    ) in (0, 1)  # the server may not have noticed yet
    assert timed._listener is None
    clock.now += NEXT_PROBE_SECONDS
    timed.arm()
    timed.wait(0.01)
    clock.now += PROBE_SECONDS
    timed.wait(0.001)
    assert len(events) == 1  # said once


def test_listener_takes_no_connection_from_the_pool(transactional_db, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict["OPTIONS"], "pool", True)
        ear = Listener("default")
        assert "pool" not in ear._wrapper.settings_dict["OPTIONS"]
        assert connection.settings_dict["OPTIONS"]["pool"] is True
    ear.close()


# -- the producer -----------------------------------------------------------------------------


def test_notify_ends_the_wait(wakeup, waiting):
    settle(wakeup)
    thread = waiting()
    notify("default")
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_burst_sends_few_notifications_and_none_when_nobody_is_idle(wakeup, ear, monkeypatch):
    tests = CountingClock()
    monkeypatch.setattr(listen_notify.time, "monotonic", tests)
    for _ in range(1000):
        notify("default")
        tests.now += 0.001
    assert ear() == 0
    settle_by(wakeup)
    for _ in range(1000):
        notify("default")
        tests.now += 0.001
    assert 1 <= ear() <= 1 / INTERVAL_SECONDS + 1
    wakeup.disarm()
    for _ in range(1000):
        notify("default")
        tests.now += 0.001
    assert ear() == 0


class CountingClock:
    now = 1e6

    def __call__(self):
        return self.now


def settle_by(wakeup):
    def is_known():
        wakeup.arm()
        wakeup.polling.wait(0.01)
        wakeup._has_news()
        return idle_workers() == 1

    wait_until(is_known, message="the worker is known to be idle")


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


def test_package_says_what_it_offers():
    assert set(package.__all__) <= set(vars(package))
