"""Tasks of both kinds in one queue, and workers that are killed: none is lost, the order stays."""

import signal

import pytest

from background_task.exceptions import AttemptLostError
from background_task.models import CompletedTask
from background_task.task_framework import TaskResultStatus
from tests.crash import tasks as crash

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

#: Of either kind, in each of so many priorities.
TASKS, PRIORITIES = 15, 4
#: Where the workers die, and the how-manieth time they get there.
DEATHS = (("claim", 25), ("finish", 1), ("signal", 20))


def test_both_kinds_are_run_by_priority_whoever_dies(crashes):
    priorities, results = {}, {}
    for number in range(TASKS * PRIORITIES):
        priority = number % PRIORITIES
        crash.work(f"b{number}", priority=priority)
        results[f"q{number}"] = crash.queued.using(priority=priority).enqueue(f"q{number}")
        priorities[f"b{number}"] = priorities[f"q{number}"] = priority
    for hop, after in DEATHS:
        with crashes.worker(at=hop, after=after) as worker:
            assert worker.wait() == -signal.SIGKILL
    with crashes.worker() as worker:
        worker.wait_for_line("worker .* on")
        crashes.wait_for_no_rows()
        worker.terminate()
        assert worker.wait() == 0
    done = list(CompletedTask.objects.all())
    assert len(done) == len(priorities)
    assert {task.failed_at for task in done} == {None}
    lost = set()
    for key, result in results.items():
        result.refresh()
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, key)
        kinds = {error.exception_class for error in result.errors}
        assert kinds <= {AttemptLostError}
        assert result.attempts == len(result.errors) + 1 == len(set(result.worker_ids))
        lost |= {key} if kinds else set()
    lost |= {each.params()[0][0] for each in done if each.attempts > 1}
    assert set(crashes.runs) == set(priorities)
    assert {key for key, runs in crashes.runs.items() if runs > 1} <= lost
    for pid in {pid for _, pid in crashes.lines}:
        order = [key for key, by in crashes.lines if by == pid and key not in lost]
        assert [priorities[key] for key in order] == sorted(
            (priorities[key] for key in order), reverse=True
        )
