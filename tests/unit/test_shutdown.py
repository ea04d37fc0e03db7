"""Leaving off in good time, outside of workers."""

import os
import signal
import threading

import pytest

import background_task
from background_task import GracefulShutdown, get_active_shutdown, is_shutdown_requested, shutdown
from background_task.exceptions import InvalidOptionError

DEADLINE = 60.0
SIGNAL = signal.SIGTERM


@pytest.fixture
def exits(monkeypatch):
    """The statuses with which the process would have been ended."""
    statuses = []
    has_come = threading.Event()

    def end(status):
        statuses.append(status)
        has_come.set()

    monkeypatch.setattr(shutdown.os, "_exit", end)
    statuses_wait = has_come.wait
    return statuses, statuses_wait


def test_signal_sets_the_event_and_is_counted(exits):
    seen, told = [], threading.Event()

    def on_signal(number):
        seen.append(number)
        told.set()

    before = signal.getsignal(SIGNAL)
    with GracefulShutdown(on_signal=on_signal, force_on_repeat=False) as stop:
        assert not stop.is_set()
        assert not stop.wait(0)
        assert get_active_shutdown() is stop
        assert not is_shutdown_requested()
        os.kill(os.getpid(), SIGNAL)
        assert stop.wait(DEADLINE)
        assert stop.event.wait(DEADLINE)
        assert stop.is_set()
        assert is_shutdown_requested()
        assert told.wait(DEADLINE)
        signal.raise_signal(signal.SIGINT)
        assert (stop.signal_number, stop.request_count) == (SIGNAL, 2)
    assert seen[0] == SIGNAL
    assert signal.getsignal(SIGNAL) == before
    assert get_active_shutdown() is None
    assert not is_shutdown_requested()
    assert exits[0] == []


def test_second_signal_ends_the_process_at_once(exits):
    statuses, _ = exits
    with GracefulShutdown([SIGNAL], log_signals=False):
        signal.raise_signal(SIGNAL)
        assert statuses == []
        signal.raise_signal(SIGNAL)
        assert statuses == [1]


def test_timeout_ends_the_process_unless_the_block_has_ended(exits):
    statuses, wait = exits
    with GracefulShutdown([SIGNAL], timeout=0.01):
        signal.raise_signal(SIGNAL)
        assert wait(DEADLINE)
    assert statuses == [1]


def test_set_from_code_in_a_thread_that_cannot_have_signals():
    before, seen = signal.getsignal(SIGNAL), []

    def work():
        with GracefulShutdown() as stop:
            seen.append(signal.getsignal(SIGNAL) == before)
            seen.append(stop.is_set())
            stop.set()
            seen.append(stop.wait())
            seen.append((stop.signal_number, stop.request_count))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert seen == [True, False, True, (None, 0)]


def test_install_within_another_makes_the_inner_one_active():
    with GracefulShutdown() as outer, GracefulShutdown() as inner:
        assert get_active_shutdown() is inner
        outer.set()
        assert is_shutdown_requested()
        assert not inner.is_set()
    inner.uninstall()
    assert get_active_shutdown() is None


def test_error_in_on_signal_is_logged(caplog):
    def broken(number):
        raise RuntimeError("broken on purpose")

    with GracefulShutdown([SIGNAL], on_signal=broken) as stop:
        stop._follow_up(SIGNAL, 1)
    assert "on_signal has failed" in caplog.text
    assert stop.is_set()


def test_make_shutdown_with_a_timeout_below_0_is_refused():
    with pytest.raises(InvalidOptionError, match=r"timeout -1 is below 0; use seconds"):
        GracefulShutdown(timeout=-1)


def test_import_class_that_is_not_there_says_so():
    assert background_task.Runner.__module__ == "background_task.embedded"
    with pytest.raises(AttributeError, match="has no attribute 'Walker'"):
        _ = background_task.Walker
