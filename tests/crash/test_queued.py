"""Tasks of both kinds in one queue, and workers that are killed: the order is that of priority."""

import signal
from uuid import UUID

import pytest

from background_task.exceptions import AttemptLostError
from background_task.models import CompletedTask
from background_task.task_framework import TaskResultStatus
from tests.crash import tasks as crash

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

#: Of either kind, in each of so many priorities.
TASKS, PRIORITIES = 10, 4
#: Where the workers die, and the how-manieth time they get there.
DEATHS = (("claim", 15), ("finish", 1), ("signal", 10))


def test_both_kinds_are_run_by_priority_and_at_most_once_whoever_dies(crashes):
    """With one attempt nothing is claimed ahead, so that a worker runs what is first in the queue.

    What else it had in hand, it would hand back behind a slow task, and others would go ahead.
    """
    priorities, uids = {}, {}
    for number in range(TASKS * PRIORITIES):
        priority = number % PRIORITIES
        row = crash.work.using(max_attempts=1)(f"b{number}", priority=priority)
        task = crash.queued.using(max_attempts=1, priority=priority)
        uids |= {f"b{number}": row.uid, f"q{number}": UUID(task.enqueue(f"q{number}").id)}
        priorities |= {f"b{number}": priority, f"q{number}": priority}
    dead = []
    for hop, after in DEATHS:
        with crashes.worker(at=hop, after=after) as worker:
            assert worker.wait() == -signal.SIGKILL
        dead.append(str(worker.pid))
    with crashes.worker() as worker:
        worker.wait_for_line("worker .* on")
        crashes.wait_for_no_rows()
        worker.terminate()
        assert worker.wait() == 0
    done = {row.uid: row for row in CompletedTask.objects.all()}
    lost = {key for key, uid in uids.items() if done[uid].failed_at}
    assert len(done) == len(uids)
    assert {done[uids[key]].locked_by.split(":")[-2] for key in lost} <= set(dead)
    assert set(crashes.runs.values()) == {1}
    assert len(set(uids) - set(crashes.runs)) == 1  # that whose worker died just before it
    for key in (key for key in uids if key.startswith("q")):
        result = crash.queued.get_result(str(uids[key]))
        if key in lost:
            assert [each.exception_class for each in result.errors] == [AttemptLostError]
        else:
            assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, key)
    for pid in {pid for _, pid in crashes.lines}:
        order = [priorities[key] for key, by in crashes.lines if by == pid]
        assert order == sorted(order, reverse=True)
