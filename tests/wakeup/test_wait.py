"""What ends the wait of an idle worker, whatever the database."""

import os
import signal
import threading
import time

import pytest
from django.db import connection, transaction

from background_task.wakeup import Wakeup, make_wakeup, notify
from background_task.wakeup.data_version import DataVersion
from background_task.wakeup.listen_notify import ListenNotify
from tests.app.models import Ledger
from tests.wakeup.conftest import DEADLINE_SECONDS, FOR_EVER, settle

KINDS = {"postgresql": ListenNotify, "sqlite": DataVersion}


@pytest.fixture(params=["new", "settled"])
def wakeup_in_any_state(request, wakeup):
    if request.param == "settled" and type(wakeup) is not Wakeup:
        settle(wakeup)
    return wakeup


def test_make_wakeup_suits_the_database(wakeup):
    assert type(wakeup) is KINDS.get(connection.vendor, Wakeup)


@pytest.mark.django_db
def test_make_wakeup_inside_a_transaction_polls(polling):
    assert type(make_wakeup("default", polling)) is Wakeup


def test_wait_ends_on_time(wakeup):
    if type(wakeup) is not Wakeup:
        settle(wakeup)
    began = time.monotonic()
    wakeup.wait(0.05)
    assert time.monotonic() - began >= 0.04


def test_wake_from_another_thread_ends_the_wait(wakeup_in_any_state, waiting):
    thread = waiting()
    wakeup_in_any_state.polling.wake()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_wake_before_the_wait_ends_it(wakeup_in_any_state, waiting):
    wakeup_in_any_state.arm()
    wakeup_in_any_state.polling.wake()
    thread = waiting()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


def test_wake_from_a_signal_handler_ends_the_wait(wakeup_in_any_state):
    woken = []

    def handler(*args):
        woken.append(1)
        wakeup_in_any_state.polling.wake()

    former = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        timer.start()
        while not woken:
            wakeup_in_any_state.wait(FOR_EVER)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, former)


def test_longest_pause_is_never_above_sleep(wakeup_in_any_state):
    for sleep in (0.01, 0.05, 5.0):
        assert wakeup_in_any_state.longest_pause(0.0, sleep) <= sleep
        assert wakeup_in_any_state.longest_pause(1e6, sleep) <= sleep


def test_arm_disarm_and_close_may_be_repeated(wakeup):
    for _ in range(3):
        wakeup.arm()
        wakeup.arm()
        wakeup.disarm()
        wakeup.disarm()
    wakeup.close()
    wakeup.close()
    wakeup.wait(0.001)


def commit():
    Ledger.objects.create(key="news")


def announce():
    notify("default")


@pytest.mark.only_on("postgresql", "sqlite")
@pytest.mark.parametrize(
    "order",
    ["ALCN", "ACLN", "CALN", "ACNL", "CANL", "CNAL"],
)
def test_worker_that_goes_idle_and_producer_that_commits(wakeup, waiting, order):
    """A arm, L look; C commit, N notify. Either the look finds the row, or the wait is ended."""
    settle(wakeup)
    wakeup.disarm()
    wakeup.wait(0.06)  # so that the next ``arm`` counts
    Ledger.objects.all().delete()
    steps = {"A": wakeup.arm, "L": Ledger.objects.exists, "C": commit, "N": announce}
    done = {step: steps[step]() for step in order}
    thread = waiting()
    if not done["L"]:
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive()


@pytest.mark.only_on("postgresql", "sqlite")
def test_news_between_look_and_wait_ends_the_wait_of_a_settled_worker(wakeup, waiting):
    settle(wakeup)
    commit()
    announce()
    thread = waiting()
    thread.join(DEADLINE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.only_on("postgresql", "sqlite")
def test_idle_worker_and_producers_in_any_rhythm(wakeup):
    """Producers add bursts while a worker comes and goes; a lost row would wait for ever."""
    rounds, found, is_found = 60, 0, threading.Semaphore(0)
    errors = []

    def produce():
        try:
            for number in range(rounds):
                for part in range(1 + number % 3):
                    with transaction.atomic():
                        Ledger.objects.create(key=f"{number} {part}")
                        transaction.on_commit(announce)
                for _ in range(1 + number % 3):
                    assert is_found.acquire(timeout=DEADLINE_SECONDS)
        except AssertionError as error:
            errors.append(error)
        finally:
            wakeup.polling.wake()
            connection.close()

    producer = threading.Thread(target=produce, daemon=True)
    producer.start()
    while producer.is_alive() and not errors:
        wakeup.arm()
        if taken := Ledger.objects.all().delete()[0]:
            found += taken
            wakeup.disarm()
            for _ in range(taken):
                is_found.release()
        else:
            wakeup.wait(wakeup.longest_pause(FOR_EVER, FOR_EVER))
    producer.join()
    assert errors == []
    assert found == sum(1 + number % 3 for number in range(rounds))
