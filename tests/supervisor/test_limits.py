"""The hard time limit ends tasks in real workers, and a worker that cannot end one ends itself."""

import os
import re

import pytest

from background_task.models import CompletedTask, Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.supervisor import tasks as here
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.slow,
]

SETTINGS = {
    "INSTALLED_APPS": [*INSTALLED_APPS, "tests.supervisor"],
    "BACKGROUND_TASK_TIMEOUT_SECONDS": 1,
    "BACKGROUND_TASK_LEASE_SECONDS": 3600,  # nobody waits for a lease
}

#: Attempts that the tasks have behind them: the next one comes later than any test takes. After
#: the very first it would come six seconds later, while a busy machine is still at the others.
SPENT = 2


def spend_attempts():
    Task.objects.update(attempts=SPENT)


def keys():
    return set(Ledger.objects.values_list("key", flat=True))


def assert_timed_out(task):
    """One attempt is spent, the error says why, and the next one is put off as after any error."""
    row = Task.objects.get(pk=task.pk)
    assert row.attempts == SPENT + 1
    assert row.locked_by is None
    assert re.search(r"TaskTimeout: .* was ended after \d+\.\d s", row.last_error)
    assert "BACKGROUND_TASK_TIMEOUT_SECONDS is 1" in row.last_error
    assert (row.run_at - row.enqueued_at).total_seconds() > 5


def has_timed_out(task):
    wait_until(lambda: Task.objects.get(pk=task.pk).attempts > SPENT, deadline=60)
    assert_timed_out(task)


def test_limit_of_a_worker_without_threads_ends_whatever_returns_to_python():
    ended = [here.overrun(how) for how in ("computing", "sleeping", "waiting")]
    ended.append(here.overrun_later())
    spend_attempts()
    record("after")
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        wait_until(lambda: "after" in keys(), deadline=60)
        for task in ended:
            has_timed_out(task)
        worker.terminate()
        assert worker.wait() == 0
    assert not any("finished" in key for key in keys())
    assert "in compute" in Task.objects.get(pk=ended[0].pk).last_error


def test_limit_of_threads_ends_what_runs_python_and_at_last_the_worker():
    """The stuck one's attempt is recorded when the process ends, not while it still runs."""
    computing, swallowing, stuck, later = (
        here.overrun("computing"),
        here.overrun("swallowing"),
        here.overrun("waiting"),
        here.overrun_later(),
    )
    spend_attempts()
    with worker_process("--sleep", "0.1", "--threads", "4", settings=SETTINGS) as worker:
        has_timed_out(computing)
        has_timed_out(later)
        has_timed_out(swallowing)
        assert worker.wait(60) == 0
    assert_timed_out(stuck)
    assert keys() == {"swallowed three"}
    assert "Stopped (recycled: tests.supervisor.tasks.overrun does not end at its" in worker.output
    assert not Worker.objects.filter(stopped_at=None).exists()


@pytest.mark.slow
def test_limit_of_coroutines_cancels_what_awaits_and_at_last_ends_the_worker():
    """One that blocks the event loop holds up the others, which are handed back or finish."""
    awaiting, blocking = here.overrun_later(priority=1), here.block_the_loop()
    spend_attempts()
    with worker_process("--sleep", "0.1", "--async", "2", settings=SETTINGS) as worker:
        assert worker.wait(60) in (0, 1)
    assert_timed_out(blocking)
    assert_timed_out(awaiting)
    assert not Worker.objects.filter(stopped_at=None).exists()


@pytest.mark.slow
def test_limit_of_what_ignores_interruption_ends_a_worker_without_threads():
    stuck = here.overrun("stubborn")
    spend_attempts()
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        assert worker.wait() == 1
    assert_timed_out(stuck)
    assert "The worker cannot leave" in worker.output


def test_limit_of_processes_ends_whatever_they_do():
    """One swallows each interruption, one does not even let the interpreter go on."""
    stubborn, holding = (here.overrun(how, says_so=True) for how in ("stubborn", "holding"))
    spend_attempts()
    options = ("--sleep", "0.1", "--processes", "2")
    with worker_process(*options, settings=SETTINGS) as parent:
        wait_until(lambda: {"stubborn started", "holding started"} <= keys(), deadline=60)
        record("after")
        has_timed_out(stubborn)
        has_timed_out(holding)
        wait_until(lambda: "after" in keys(), deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    assert len(re.findall(r"Killing worker process \d", parent.output)) == 2
    assert CompletedTask.objects.get().attempts == 1
    assert not Worker.objects.filter(stopped_at=None).exists()
