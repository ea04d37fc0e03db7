"""The time limit of a run: it ends what goes on, and never touches what has returned."""

import asyncio
import re
import signal
import threading
import time
from contextlib import contextmanager
from functools import partial

import pytest

from background_task.attempt import Failed, Retry
from background_task.exceptions import TaskTimeout
from background_task.policy import Policy
from background_task.worker.limit import GRACE_SECONDS, Limits, Run, after_timeout
from tests.claims import a_claim
from tests.waiting import wait_until


@contextmanager
def watched(limits, *, pause=0.005):
    """Enforce the limits from another thread, as the watchdog does."""
    ended = threading.Event()

    def watch():
        while not ended.wait(pause):
            limits.enforce()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def in_thread(function):
    """Call a function in a thread of its own; what it returned or raised."""
    ends = []

    def run():
        try:
            ends.append(function())
        except BaseException as error:  # noqa: BLE001 - this is what the tests are about
            ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=20)
    assert ends, "it has not ended"
    return ends[0]


def spin(seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return "returned"


def test_limit_of_claim_is_the_setting(settings):
    limits = Limits()
    assert not limits.run(a_claim()).has_limit
    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = 12
    wait_until(lambda: limits.run(a_claim()).has_limit)  # it is read a few times a second
    assert limits.run(a_claim()).limit == 12


def test_call_in_time_returns_what_the_function_returns():
    limits = Limits()
    with watched(limits):
        assert Run(limits, a_claim(), 10).call(lambda: "done") == "done"


def test_call_in_time_raises_what_the_function_raises():
    limits = Limits()
    with pytest.raises(ZeroDivisionError):
        Run(limits, a_claim(), 10).call(lambda: 1 / 0)
    assert limits.enforce() == []


def test_strike_a_thread_ends_the_run_and_says_why():
    limits = Limits()
    with watched(limits):
        error = in_thread(lambda: Run(limits, a_claim(), 0.05).call(spin))
    assert type(error) is TaskTimeout
    assert re.search(r"shop\.tasks\.slow was ended after \d+\.\d s", str(error))
    assert "BACKGROUND_TASK_TIMEOUT_SECONDS is 0.05" in str(error)


def test_strike_what_swallows_exceptions_is_repeated(monkeypatch):
    monkeypatch.setattr("background_task.worker.limit.AGAIN_SECONDS", 0.05)
    limits, strikes = Limits(), []

    def stubborn():
        while True:
            try:
                spin()
            except BaseException as error:
                strikes.append(error)
                if len(strikes) == 3:
                    raise

    with watched(limits):
        error = in_thread(lambda: Run(limits, a_claim(), 0.05).call(stubborn))
    assert type(error) is TaskTimeout
    assert len(strikes) == 3


def test_strike_that_is_swallowed_lets_the_function_return():
    limits = Limits()

    def tidy():
        try:
            spin()
        except TaskTimeout:
            return "tidied up"

    with watched(limits):
        assert in_thread(lambda: Run(limits, a_claim(), 0.05).call(tidy)) == "tidied up"


def test_strike_that_is_wrapped_still_says_why():
    limits = Limits()

    def wrapping():
        try:
            spin()
        except TaskTimeout:
            raise ValueError("no") from None

    with watched(limits):
        error = in_thread(lambda: Run(limits, a_claim(), 0.05).call(wrapping))
    assert type(error) is ValueError
    assert "was ended after" in str(error.__context__)


@pytest.fixture
def limits():
    """Limits whose signal the main thread handles, as in a worker."""
    limits = Limits(has_signal_handler=True)
    former = signal.signal(signal.SIGURG, lambda number, frame: limits.on_signal())
    yield limits
    signal.signal(signal.SIGURG, former)


def wait_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


@pytest.mark.parametrize(
    "wait",
    [
        spin,
        partial(threading.Event().wait, 20),
        wait_for_a_lock,
        partial(time.sleep, 20),
    ],
    ids=["computing", "waiting for an event", "waiting for a lock", "sleeping"],
)
def test_strike_the_main_thread_ends_also_what_waits(limits, wait):
    with watched(limits), pytest.raises(TaskTimeout, match="was ended after"):
        Run(limits, a_claim(), 0.05).call(wait)


def test_signal_without_a_run_raises_nothing(limits):
    limits.on_signal()
    run = Run(limits, a_claim(), 10)
    assert run.call(lambda: limits.on_signal() or "done") == "done"
    limits.on_signal()


def test_strike_a_coroutine_cancels_it():
    limits, run = Limits(), None

    async def body():
        with run.cancellable():
            await asyncio.sleep(20)

    run = Run(limits, a_claim(), 0.05)
    with watched(limits), pytest.raises(TaskTimeout, match="was ended after"):
        asyncio.run(run.call(body))


def test_cancel_a_coroutine_in_time_is_no_timeout():
    limits = Limits()

    async def body():
        with Run(limits, a_claim(), 10).cancellable():
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(body())


@pytest.mark.parametrize("where", ["thread", "main"])
def test_strike_and_return_rivals_one_wins_and_no_strike_comes_later(where, limits):
    """Either the function was ended inside, or it returned: then nothing is raised anywhere."""
    limits.has_signal_handler = where == "main"
    counts = {"returned": 0, "ended": 0}
    finished: list[int] = []

    def body(number, until):
        while time.monotonic() < until:
            pass
        finished.append(number)

    def rounds():
        for number in range(400):
            # Most end at the limit; a busy machine may let one side win all of those.
            length = {0: 0.0, 1: 0.2}.get(number % 100, 0.002 + 0.000001 * (number % 50))
            run = Run(limits, a_claim(number=number), 0.002)
            try:
                run.call(partial(body, number, time.monotonic() + length))
            except TaskTimeout:
                counts["ended"] += 1
                assert not run.returned
            else:
                counts["returned"] += 1
                assert finished[-1] == number
            for _ in range(50):  # where a late strike would hit
                pass
        return counts

    with watched(limits, pause=0.0001):
        assert (rounds() if where == "main" else in_thread(rounds)) == counts
    assert counts["returned"] > 0
    assert counts["ended"] > 0
    assert limits.enforce() == []


def test_run_that_cannot_be_reached_is_stuck_and_what_it_returns_counts():
    limits, lock = Limits(), threading.Lock()
    lock.acquire()
    run, ends = Run(limits, a_claim(), 0.01), []
    thread = threading.Thread(target=lambda: ends.append(run.call(lock.acquire)), daemon=True)
    thread.start()
    try:
        wait_until(lambda: run.is_inside)
        assert limits.enforce() == []
        run.begun -= GRACE_SECONDS + 1
        assert limits.enforce() == [run.claim]
        ((claim, outcome, seconds),) = limits.verdicts()
        assert claim is run.claim
        assert isinstance(outcome, Retry)
        assert seconds > GRACE_SECONDS
    finally:
        lock.release()
        thread.join(timeout=5)
    assert ends == [True]
    assert limits.verdicts() == []
    assert limits.enforce() == []


def test_outcome_of_a_timeout_counts_as_an_attempt(settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 2
    outcome = after_timeout(a_claim(), Policy(), seconds=17, limit=10)
    assert isinstance(outcome, Retry)
    assert outcome.delay.total_seconds() > 0
    assert "shop.tasks.slow was ended after 17.0 s" in outcome.error
    assert isinstance(after_timeout(a_claim(attempts=1), Policy(), seconds=17, limit=10), Failed)
