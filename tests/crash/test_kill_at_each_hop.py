"""SIGKILL at each hop of a task's journey: nothing is lost, and nothing finished twice."""

import signal

import pytest

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.crash import tasks as crash
from tests.crash.conftest import LEASE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)

#: The hop, how often the task is run in the end, and which attempt is recorded.
HOPS = {"claim": (1, 2), "run": (2, 2), "finish": (2, 2), "commit": (2, 2), "signal": (1, 1)}


@pytest.mark.parametrize("mode", [[], ["--threads", "2"]], ids=["inline", "threads"])
@pytest.mark.parametrize("hop", HOPS)
def test_kill_at_hop_loses_and_doubles_nothing(crashes, hop, mode):
    task = crash.work("a")
    with crashes.worker(*mode, at=hop) as worker:
        assert worker.wait() == -signal.SIGKILL
    runs, attempts = HOPS[hop]
    with crashes.worker(*mode) as worker:
        worker.wait_for_line("worker .* on")
        crashes.wait_for_no_rows()
        worker.terminate()
        assert worker.wait() == 0
    done = CompletedTask.objects.get(uid=task.uid)
    assert (done.attempts, done.failed_at) == (attempts, None)
    assert crashes.runs == {"a": runs}
    assert Ledger.objects.count() == runs
    if attempts > 1:
        assert "attempt 1 was lost: its worker" in done.last_error
        assert "1 recovered from dead workers" in worker.output


def test_kill_after_a_failed_attempt_was_recorded_keeps_its_delay(crashes):
    crash.fail("a")
    with crashes.worker(at="signal") as worker:
        assert worker.wait() == -signal.SIGKILL
    row = Task.objects.get()
    assert (row.attempts, row.locked_by) == (1, None)
    assert "ValueError: on purpose" in row.last_error
    assert "was lost" not in row.last_error


def test_kill_while_a_repeating_task_runs_repeats_it_once(crashes):
    task = crash.work("a", repeat=3600)
    with crashes.worker(at="commit") as worker:
        assert worker.wait() == -signal.SIGKILL
    with crashes.worker() as worker:
        worker.wait_for_line("Ran task")
        worker.terminate()
        assert worker.wait() == 0
    assert CompletedTask.objects.get().uid == task.uid
    repetition = Task.objects.get()
    assert (repetition.attempts, repetition.locked_by) == (0, None)
    assert repetition.uid != task.uid


def test_task_that_brings_its_workers_down_uses_up_its_attempts_and_fails(crashes):
    """I5: one bad task must not bring every worker down for ever."""
    crash.exit_process("bad", priority=1)
    crash.work("good")
    settings = {"BACKGROUND_TASK_MAX_ATTEMPTS": 2}
    for _ in range(2):
        with crashes.worker(settings=settings) as worker:
            assert worker.wait() == 7
    with crashes.worker(settings=settings) as worker:
        crashes.wait_for_no_rows()
        worker.terminate()
        assert worker.wait() == 0
    failed = CompletedTask.objects.get(failed_at__isnull=False)
    assert failed.task_name == "tests.crash.tasks.exit_process"
    assert failed.attempts == 2
    assert "attempt 2 was lost" in failed.last_error
    assert crashes.runs["bad"] == 2
    assert crashes.runs["good"] >= 1
    assert CompletedTask.objects.filter(task_name="tests.crash.tasks.work").count() == 1


def test_kill_is_noticed_within_the_lease_by_a_worker_that_was_there_before(crashes, tmp_path):
    task = crash.work_until("a", str(tmp_path / "go"))
    with crashes.worker() as first:
        crashes.wait_for_line("a:started")
        with crashes.worker() as second:
            second.wait_for_line("worker .* on")
            owner = Task.objects.get().locked_by
            assert f":{first.pid}:" in owner
            crashes.kill(first)
            (tmp_path / "go").touch()
            second.wait_for_line("was lost: its worker", deadline=4 * LEASE_SECONDS)
            crashes.wait_for_no_rows()
            second.terminate()
            assert second.wait() == 0
    assert CompletedTask.objects.get(uid=task.uid).attempts == 2
    assert crashes.runs == {"a:started": 2, "a:finished": 1}
