"""The wait of an idle worker, and the orders that end it."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from background_task.exceptions import StopNow
from background_task.wakeup import Polling
from background_task.worker import Control


@pytest.fixture
def polling():
    polling = Polling()
    yield polling
    polling.close()


@pytest.fixture
def control():
    control = Control()
    yield control
    control.polling.close()


@contextmanager
def interruptible(control):
    try:
        control.open_to_interruption()
        yield
    finally:
        control.close_to_interruption()


def test_wait_ends_by_itself(polling):
    began = time.monotonic()
    assert polling.wait(0.05) is False
    assert time.monotonic() - began >= 0.04


@pytest.mark.parametrize("seconds", [0, -1])
def test_wait_for_nothing_returns(polling, seconds):
    assert polling.wait(seconds) is False


def test_wake_ends_the_next_wait_once(polling):
    for _ in range(10_000):  # more than fits: none of them blocks
        polling.wake()
    assert polling.wait(30) is True
    while polling.wait(0.001):
        pass
    assert polling.wait(0.01) is False


def test_wake_from_another_thread_ends_the_wait(polling):
    threading.Timer(0.05, polling.wake).start()
    assert polling.wait(30) is True


def test_wake_from_a_signal_handler_ends_the_wait(polling):
    former = signal.signal(signal.SIGUSR1, lambda *args: polling.wake())
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert polling.wait(30) is True
    finally:
        signal.signal(signal.SIGUSR1, former)


def test_descriptor_beside_ends_the_wait_and_is_no_wake(polling):
    reader, writer = os.pipe()
    try:
        assert polling.wait(0.01, beside=reader) is False
        os.write(writer, b".")
        assert polling.wait(600, beside=reader) is False
        polling.wake()
        assert polling.wait(600, beside=reader) is True
        assert polling.wait(600, beside=reader) is False
    finally:
        os.close(reader)
        os.close(writer)


def test_wait_beside_what_is_no_descriptor_raises_what_callers_expect(polling):
    with pytest.raises((OSError, ValueError)):
        polling.wait(1, beside=-1)


@pytest.mark.parametrize("seconds", [float("inf"), 1e12])
def test_wait_without_end_is_ended_by_wake(polling, seconds):
    polling.wake()
    assert polling.wait(seconds) is True
    reader, writer = os.pipe()
    try:
        polling.wake()
        assert polling.wait(seconds, beside=reader) is True
    finally:
        os.close(reader)
        os.close(writer)


def test_wake_after_close_is_too_late_but_harmless(polling):
    polling.close()
    polling.wake()


def test_stop_gives_time_and_a_second_order_gives_none(control):
    assert control.remaining() == float("inf")
    control.stop("first", within=60)
    assert 59 < control.remaining() <= 60
    assert (control.reason, control.is_stopping, control.is_at_once) == ("first", True, False)
    control.stop("second", within=60)
    assert (control.reason, control.is_at_once, control.remaining()) == ("first", True, 0.0)


def test_end_of_duration_is_no_order(control):
    control.stop("duration", within=600, is_order=False)
    control.stop("SIGTERM", within=60)
    assert control.is_at_once is False
    assert control.remaining() <= 60
    control.stop("duration", within=600, is_order=False)
    assert control.remaining() <= 60
    control.stop("SIGTERM", within=60)
    assert control.is_at_once is True


def test_stop_ends_a_wait_and_a_pause(control):
    control.pause_range = (60.0, 60.0)
    threading.Timer(0.05, control.stop, ("test",), {"within": 1}).start()
    began = time.monotonic()
    control.pause()
    assert time.monotonic() - began < 30


def test_order_to_leave_at_once_interrupts_only_what_may_be_interrupted(control):
    control.stop_now()
    with pytest.raises(StopNow), interruptible(control):
        pytest.fail("it was told before to leave at once")
    control = Control()
    with pytest.raises(StopNow), interruptible(control):
        control.stop_now()
    control.stop_now()  # nothing runs: nothing is raised
    control.polling.close()


def test_order_to_leave_at_once_does_not_interrupt_other_threads(control):
    outcome = []

    def work():
        with interruptible(control):
            control.stop_now()
            outcome.append("went on")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert outcome == ["went on"]


def test_sleep_of_a_thread_ends_when_told_to_leave_at_once(control):
    assert control.sleep(0.01) is True
    threading.Timer(0.05, control.stop_now).start()
    began = time.monotonic()
    assert control.sleep(60) is False
    assert time.monotonic() - began < 30
