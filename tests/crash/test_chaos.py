"""Four workers, two thousand tasks for each, kills at random: a bad night within a minute.

The seed is printed; BACKGROUND_TASK_TEST_SEED repeats a run, BACKGROUND_TASK_TEST_CHAOS sets the
number of tasks.
"""

import os
import re
from contextlib import ExitStack

import pytest
from django.db import transaction

from background_task.models import CompletedTask, Task
from tests.crash import tasks as crash
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]

TASKS = int(os.environ.get("BACKGROUND_TASK_TEST_CHAOS", "8000"))
WORKERS = 4
KILLS = 8
SLOTS = 2
#: Long enough that a living worker on a busy machine is never late with its heartbeat.
SETTINGS = {"BACKGROUND_TASK_LEASE_SECONDS": 15}


def test_kills_at_random_lose_nothing_and_repeat_only_what_the_killed_held(crashes, chance):
    with transaction.atomic():
        scheduled = {crash.work(number).uid for number in range(TASKS)}
    killed = kill_at_random(crashes, chance)
    done = list(CompletedTask.objects.all())
    assert len(done) == TASKS, "finished twice, or never"
    assert {task.uid for task in done} == scheduled
    assert {task.failed_at for task in done} == {None}
    assert set(crashes.runs) == {str(number) for number in range(TASKS)}
    assert_only_the_killed_had_their_tasks_repeated(crashes, set(killed))
    assert_only_the_killed_lost_attempts(done, killed)
    # What they only had in hand was not in the hands of another victim.
    again = sum(task.attempts - 2 for task in done if task.attempts > 2)
    assert again <= len(killed) * SLOTS
    assert not Task.objects.exists()


def kill_at_random(crashes, chance):
    """Keep four workers busy until all is done; the pids of those that were killed meanwhile.

    With each the rows it held: what it ran, had in hand, or had not recorded yet.
    """
    killed = {}
    moments = sorted(chance.sample(range(TASKS // 20, TASKS * 9 // 10), KILLS))
    with ExitStack() as stack:

        def start():
            mode = ["--threads", str(SLOTS)] if chance.random() < 0.5 else []
            return stack.enter_context(crashes.worker(*mode, settings=SETTINGS))

        workers = [start() for _ in range(WORKERS)]
        for moment in moments:
            wait_until(
                lambda moment=moment: len(crashes.lines) >= moment,
                deadline=120,
                message=f"{moment} runs",
            )
            victim = workers.pop(chance.randrange(len(workers)))
            crashes.kill(victim)
            held = Task.objects.filter(locked_by__contains=f":{victim.pid}:")
            killed[str(victim.pid)] = set(held.values_list("uid", flat=True))
            workers.append(start())
        crashes.wait_for_no_rows(deadline=150)
        for worker in workers:
            worker.wait_for_line("worker .* on")
            worker.terminate()
        assert [worker.wait() for worker in workers] == [0] * WORKERS
        for worker in workers:
            assert "Traceback" not in worker.output
    return killed


def assert_only_the_killed_had_their_tasks_repeated(crashes, killed):
    pids = {}
    for key, pid in crashes.lines:
        pids.setdefault(key, []).append(pid)
    for key, runs in pids.items():
        assert set(runs[:-1]) <= killed, f"task {key} was run by {runs}; killed were {killed}"


def assert_only_the_killed_lost_attempts(done, killed):
    """What the killed held has lost an attempt with them, and nothing else has.

    Except that the server may still carry out the last statement of somebody who is dead.
    """
    for task in done:
        if task.attempts > 1:
            lost_with = re.search(r"its worker [^ ]*:(\d+):", task.last_error)
            assert lost_with, f"{task.uid} lost an attempt: {task.last_error!r}"
            assert lost_with[1] in killed
    for pid, held in killed.items():
        for task in done:
            if task.uid in held:
                assert task.attempts > 1 or f":{pid}:" in task.locked_by
