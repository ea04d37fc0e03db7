"""Options in real worker processes, which are killed, stopped, and told their limits."""

import os

import pytest

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.policies import tasks as here
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.slow,
]

SETTINGS = {
    "INSTALLED_APPS": [*INSTALLED_APPS, "tests.policies"],
    "BACKGROUND_TASK_LEASE_SECONDS": 3600,  # nobody waits for a lease
}
TWO = ("--sleep", "0.1", "--processes", "2")


def keys():
    return list(Ledger.objects.order_by("key").values_list("key", flat=True))


def failed(task):
    return CompletedTask.objects.failed().filter(uid=task.uid).first()


def test_processes_end_what_takes_longer_than_the_task_or_the_call_may():
    """Nothing but the end of the process stops them, so the parent knows the limit of each."""
    own = here.overrun_its_own_limit()
    called = here.overrun_that_of_the_call.using(timeout=1.5)()
    with worker_process(*TWO, settings=SETTINGS) as parent:
        wait_until(lambda: failed(own), deadline=40)
        wait_until(lambda: Task.objects.get(pk=called.pk).attempts == 1, deadline=40)
        record("after")
        wait_until(lambda: keys() == ["after"], deadline=20)
        parent.terminate()
        assert parent.wait() == 0
    assert "TaskTimeout: tests.policies.tasks.overrun_its_own_limit was" in failed(own).last_error
    assert "its timeout is 1\n" in failed(own).last_error
    assert failed(own).attempts == 1
    assert "its timeout is 1.5\n" in Task.objects.get(pk=called.pk).last_error


def test_timeout_of_zero_lifts_the_setting_in_processes(tmp_path):
    here.outlast_the_setting(str(tmp_path / "go on"))
    stuck = here.overrun_without_limit_of_its_own()
    settings = {**SETTINGS, "BACKGROUND_TASK_TIMEOUT_SECONDS": 1}
    with worker_process(*TWO, settings=settings) as parent:
        wait_until(lambda: "outlasting" in keys(), deadline=30)
        wait_until(lambda: Task.objects.get(pk=stuck.pk).attempts == 1, deadline=40)
        (tmp_path / "go on").touch()
        wait_until(lambda: "outlasted" in keys(), deadline=30)
        parent.terminate()
        assert parent.wait() == 0
    assert "BACKGROUND_TASK_TIMEOUT_SECONDS is 1" in Task.objects.get(pk=stuck.pk).last_error
    assert CompletedTask.objects.succeeded().count() == 1


def test_killed_worker_costs_the_only_attempt_and_the_chain_goes_on_if_it_may():
    once, each_time = here.die_once("once"), here.die_each_time("each time", repeat=3600)
    twice = here.die_as_often_as_told.using(max_attempts=2, backoff=0)("twice")
    with worker_process(*TWO, settings=SETTINGS) as parent:
        for task in (once, each_time):
            wait_until(lambda task=task: failed(task), deadline=40)
            assert "attempt 1 was lost: its worker" in failed(task).last_error
        wait_until(lambda: failed(twice), deadline=40)
        record("after")
        wait_until(lambda: "after" in keys(), deadline=20)
        parent.terminate()
        assert parent.wait() == 0
    assert keys() == ["after", "each time", "once", "twice", "twice"]
    assert failed(twice).attempts == 2
    following = Task.objects.get()
    assert following.task_name == each_time.task_name
    assert (following.attempts, following.last_error) == (0, "")
    assert following.run_at > each_time.run_at


def test_neighbours_of_a_task_that_kills_its_worker_keep_their_only_attempt():
    """They are not claimed before they can begin."""
    rows = [here.die_once("dead", priority=1)]
    rows += [record.using(max_attempts=1)(f"alive {number}") for number in range(5)]
    with worker_process(*TWO, settings=SETTINGS) as parent:
        wait_until(lambda: CompletedTask.objects.count() == len(rows), deadline=40)
        parent.terminate()
        assert parent.wait() == 0
    assert keys() == [*(f"alive {number}" for number in range(5)), "dead"]
    assert CompletedTask.objects.failed().count() == 1


@pytest.mark.parametrize("options", [(), ("--threads", "2"), ("--processes", "2")], ids=str)
def test_is_stopping_is_told_by_a_signal(options):
    here.wait_for_the_end()
    with worker_process("--sleep", "0.1", *options, settings=SETTINGS) as worker:
        wait_until(lambda: "waiting" in keys(), deadline=30)
        worker.terminate()
        assert worker.wait() == 0
    assert keys() == ["left off", "waiting"]
    assert CompletedTask.objects.succeeded().count() == 1
