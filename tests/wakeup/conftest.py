"""A worker's wait, without the worker."""

import threading

import pytest
from django.db import connection

from background_task import telemetry
from background_task.wakeup import Polling, listen_notify, make_wakeup
from tests.waiting import wait_until
from tests.wakeup.clock import Clock
from tests.wakeup.sessions import idle_workers

#: Longer than any test may take: a wait that reaches it fails.
FOR_EVER = 600.0
DEADLINE_SECONDS = 20.0


@pytest.fixture
def polling():
    polling = Polling()
    yield polling
    polling.close()


@pytest.fixture
def wakeup(transactional_db, polling):
    """What suits the database of this run."""
    listen_notify._tested_at.clear()
    if connection.vendor == "postgresql":
        wait_until(lambda: idle_workers() == 0, message="those of the test before are gone")
    wakeup = make_wakeup("default", polling)
    yield wakeup
    wakeup.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def events():
    """What is told through the telemetry."""
    told = []

    def subscriber(name, fields):
        told.append((name, fields))

    with telemetry.subscribed(subscriber):
        yield told


@pytest.fixture
def waiting(wakeup):
    """Start a wait that must be ended, in a thread of its own."""
    threads = []

    def wait():
        try:
            wakeup.wait(FOR_EVER)
        finally:
            connection.close()

    def start():
        thread = threading.Thread(target=wait, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield start
    for thread in threads:
        wakeup.polling.wake()
        thread.join(DEADLINE_SECONDS)


def settle(wakeup):
    """Go on as an idle worker until it relies on being told."""

    def is_settled():
        wakeup.arm()
        wakeup.wait(0.02)
        return wakeup.longest_pause(0.0, FOR_EVER) == FOR_EVER

    wait_until(is_settled, message="the worker relies on news")
