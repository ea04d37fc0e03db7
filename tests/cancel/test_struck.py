"""How a cancelled run is struck, and how the worker learns of it; no database."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from background_task.attempt import Cancelled
from background_task.exceptions import TaskCancelled, TaskTimeout
from background_task.worker.cancel import Requests
from background_task.worker.heartbeat import Errand, Heartbeat
from background_task.worker.limit import Limits, Run
from background_task.worker.watch import Begun, Watch
from tests.waiting import wait_until
from tests.worker.test_limit import a_claim, in_thread, spin, watched

KEY = (1, 1)


class Witness:
    def __init__(self):
        self.told = []

    def begin(self, claim, *, begun, limit):
        self.told.append(("begin", limit))

    def end(self, claim):
        self.told.append("end")

    def is_behind(self):
        self.told.append("alive")
        return True


def cancelled_in(limits, function):
    """A function that is told of its cancel, as soon as it runs, and goes on."""

    def run():
        limits.cancel({KEY})
        return function()

    return run


def test_cancelled_run_may_go_on_for_its_grace(settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 600
    limits = Limits()
    run = Run(limits, a_claim())

    def look():
        assert not run.is_cancelled
        limits.cancel({KEY})
        limits.enforce()
        return run.is_cancelled, run.is_struck

    assert run.call(look) == (True, False)


def test_cancelled_run_is_struck_after_its_grace(settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 0.05
    limits = Limits()
    with watched(limits):
        error = in_thread(lambda: Run(limits, a_claim()).call(cancelled_in(limits, spin)))
    assert type(error) is TaskCancelled
    assert "it was cancelled, and BACKGROUND_TASK_CANCEL_GRACE_SECONDS is 0.05" in str(error)


def test_cancelled_run_that_reaches_its_limit_first_is_struck_by_that(settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 600
    limits = Limits()
    with watched(limits):
        error = in_thread(lambda: Run(limits, a_claim(), 0.05).call(cancelled_in(limits, spin)))
    assert type(error) is TaskTimeout


def test_cancelled_run_without_a_grace_is_never_struck(settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = None
    limits = Limits()
    run = Run(limits, a_claim())

    def look():
        limits.cancel({KEY})
        return run.is_cancelled, run.next_strike_at()

    assert run.call(look) == (True, float("inf"))


def test_grace_begins_when_the_worker_has_first_learned(settings):
    limits = Limits()
    run = Run(limits, a_claim())

    def look():
        limits.cancel({KEY})
        first = run.cancelled_at
        limits.cancel({KEY, (7, 7)})
        return run.cancelled_at == first

    assert run.call(look)


def test_run_that_only_the_end_of_the_process_ends_is_recorded_as_cancelled(settings):
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 0.01
    limits, lock = Limits(), threading.Lock()
    lock.acquire()
    run = Run(limits, a_claim())

    def hang():
        with lock:
            spin()

    def run_it():
        with pytest.raises(TaskCancelled):
            run.call(cancelled_in(limits, hang))

    thread = threading.Thread(target=run_it)
    thread.start()
    wait_until(lambda: limits.enforce() == [] and run.is_struck)
    ((claim, outcome, _),) = limits.verdicts()
    assert (claim, type(outcome)) == (run.claim, Cancelled)
    assert limits.enforce() == []  # which would have the process killed
    lock.release()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_run_without_a_limit_is_not_told_to_the_parent_process():
    limits = Limits()
    limits.witness = Witness()
    Run(limits, a_claim()).call(limits.enforce)
    assert limits.witness.told == []


def test_stop_iteration_of_the_function_comes_out():
    with pytest.raises(StopIteration, match="it ends"):
        Run(Limits(), a_claim()).call(lambda: next(iter(()), None) or raise_stop())


def raise_stop():
    raise StopIteration("it ends")


# -- asking ----------------------------------------------------------------------------------------


class Hand:
    def __init__(self):
        self.asked = 0

    def cancelled(self):
        self.asked += 1
        return frozenset({KEY})


def requests(*ages):
    now = time.monotonic()
    watch = Watch(SimpleNamespace())
    for number, age in enumerate(ages):
        watch._begun[number, 1] = Begun(a_claim(task_id=number), now - age, 0)
    return Requests(Hand(), watch=watch, limits=Limits())


@pytest.mark.parametrize("ages", [(), (0.0, 0.5)], ids=["idle", "quick tasks"])
def test_worker_without_long_runs_asks_nothing(ages):
    asking = requests(*ages)
    asking.ask()
    assert asking._hand.asked == 0


def test_worker_with_a_long_run_asks_once_for_all():
    asking = requests(0.0, 1.5, 600.0)
    asking.ask()
    assert asking._hand.asked == 1
    assert asking._limits.is_cancelled(a_claim())


class Identity:
    """Renewed, or not, while the database is away."""

    def __init__(self, lease=3600.0):
        self.lease = timedelta(seconds=lease)
        self.renewed = 0
        self.is_away = False

    def renew(self):
        self.renewed += 1
        if self.is_away:
            raise OSError("away")


@pytest.fixture
def beating():
    started = []

    def start(identity, *errands):
        heartbeat = Heartbeat(identity, errands=errands)
        started.append(heartbeat)
        heartbeat.start()
        return heartbeat

    yield start
    for heartbeat in started:
        heartbeat.end()
        assert not heartbeat.is_alive()


def test_errands_are_run_at_their_interval_between_beats(beating):
    identity, runs = Identity(), []
    beating(identity, Errand(lambda: runs.append(1), 0.001), Errand(lambda: runs.append(2), 3600))
    wait_until(lambda: len(runs) > 5)
    assert identity.renewed == 0
    assert 2 not in runs


def test_beats_are_not_kept_off_by_errands_that_are_always_due(beating):
    identity, runs = Identity(lease=0.04), []
    beating(identity, Errand(lambda: runs.append(1), 0.0))
    wait_until(lambda: identity.renewed > 5 and runs)


def test_errand_that_fails_is_followed_by_a_beat_which_tells_whether_the_database_is_away(beating):
    identity = Identity()
    identity.is_away = True
    runs = []

    def fail():
        runs.append(identity.renewed)
        raise OSError("broken socket")

    heartbeat = beating(identity, Errand(fail, 0.001))
    wait_until(lambda: heartbeat.in_contact_since is None and identity.renewed > 2)
    assert runs == [0]  # while the database is away, only the beat asks
    identity.is_away = False
    wait_until(lambda: len(runs) > 2)
    assert heartbeat.in_contact_since is not None
