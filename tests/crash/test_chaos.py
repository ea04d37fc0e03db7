"""Four workers, two thousand tasks for each, kills at random: a bad night within a minute.

The seed is printed; BACKGROUND_TASK_TEST_SEED repeats a run, BACKGROUND_TASK_TEST_CHAOS sets the
number of tasks.
"""

import os
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
SETTINGS = {"BACKGROUND_TASK_LEASE_SECONDS": 6}


def test_kills_at_random_lose_nothing_and_repeat_only_what_the_killed_held(crashes, chance):
    with transaction.atomic():
        scheduled = {crash.work(number).uid for number in range(TASKS)}
    killed = kill_at_random(crashes, chance)
    done = list(CompletedTask.objects.values_list("uid", "attempts", "failed_at"))
    assert len(done) == TASKS, "finished twice, or never"
    assert {uid for uid, _, _ in done} == scheduled
    assert {failed_at for _, _, failed_at in done} == {None}
    assert set(crashes.runs) == {str(number) for number in range(TASKS)}
    assert_only_the_killed_had_their_tasks_repeated(crashes, set(killed))
    # What the killed held has lost an attempt with them, and nothing else has.
    assert sum(attempts - 1 for _, attempts, _ in done) == sum(killed.values())
    # What they only had in hand was not in the hands of another victim.
    again = sum(attempts - 2 for _, attempts, _ in done if attempts > 2)
    assert again <= len(killed) * SLOTS
    assert not Task.objects.exists()


def kill_at_random(crashes, chance):
    """Keep four workers busy until all is done; the pids of those that were killed meanwhile.

    With each the number of rows it held: what it ran, had in hand, or had not recorded yet.
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
            killed[str(victim.pid)] = Task.objects.filter(
                locked_by__contains=f":{victim.pid}:"
            ).count()
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
