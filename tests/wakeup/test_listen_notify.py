"""PostgreSQL: idle workers are known, and what becomes of them when the connection is lost."""

import os
import resource
import select
from itertools import pairwise

import pytest
from django.db import OperationalError, connection, transaction

from background_task.wakeup import listen_notify, listener, notify
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
from tests.waiting import wait_until
from tests.wakeup.conftest import DEADLINE_SECONDS, FOR_EVER, settle
from tests.wakeup.sessions import drop_connections, idle_workers, query

pytestmark = pytest.mark.only_on("postgresql")


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


def test_wait_that_begins_when_the_proof_has_arrived_arms_at_once(wakeup):
    wakeup.arm()  # connects, and sends the proof
    wait_until(lambda: has_arrived(wakeup), message="the proof")
    wakeup.wait(FOR_EVER)
    assert idle_workers() == 1


def has_arrived(wakeup):
    return bool(select.select([wakeup._listener.fileno()], [], [], 0)[0])
