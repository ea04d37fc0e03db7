"""Quick tasks, so that workers hold and gather many, and workers that die again and again.

The seed is printed; BACKGROUND_TASK_TEST_SEED repeats a run, BACKGROUND_TASK_TEST_CHAOS sets the
number of tasks.
"""

import os
import signal
from collections import Counter
from contextlib import ExitStack

import pytest

from background_task.models import CompletedTask, Task, Worker as WorkerRow
from tests.crash import tasks as crash
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]

TASKS = int(os.environ.get("BACKGROUND_TASK_TEST_CHAOS", "8000"))
DEATHS = 6
#: For workers that live: long enough that on a busy machine none is late with its heartbeat.
LONG_LEASE = {"BACKGROUND_TASK_LEASE_SECONDS": 15}
#: How many times a worker reaches a hop before it dies there, at most.
HOPS = {"claim": 500, "run": 500, "finish": 10, "group": 10, "signal": 500}
MODES = {
    "inline": [],
    "threads": ["--threads", "4"],
    "async": ["--async", "4"],
    "processes": ["--processes", "2"],
}


class Chaos:
    """A queue of quick tasks, and the workers on it.

    Args:
        crashes: The ledger and the settings.
        mode: The options of the workers.
        chance: Decides when and where they die.
    """

    def __init__(self, crashes, mode, chance):
        self.crashes = crashes
        self.mode = mode
        self.chance = chance
        tasks = crash.note_only.bulk(((f"{number}",), {}) for number in range(TASKS))
        self.scheduled = {task.uid for task in tasks}

    def mortal(self):
        """A worker that will die."""
        hop = self.chance.choice(list(HOPS))
        after = self.chance.randint(1, HOPS[hop])
        print(f"{hop} x {after}")  # noqa: T201 - shown when the test fails
        return self.crashes.worker(*self.mode, at=hop, after=after, announced=True)

    def see_die(self, worker):
        """Wait until it has died, or has nothing left to do before it would; then kill it."""
        wait_until(lambda: worker.returncode is not None or not Task.objects.exists(), deadline=120)
        worker.kill()
        assert worker.wait() == -signal.SIGKILL

    def work_off(self):
        """Let two workers that live do what is left."""
        with ExitStack() as stack:
            workers = [
                stack.enter_context(
                    self.crashes.worker(*self.mode, announced=True, settings=LONG_LEASE)
                )
                for _ in range(2)
            ]
            for worker in workers:
                worker.wait_for_line("worker .* on|processes")
            self.crashes.wait_for_no_rows(deadline=150)
            for worker in workers:
                worker.terminate()
            assert [worker.wait() for worker in workers] == [0, 0]
            for worker in workers:
                assert "Traceback" not in worker.output

    def assert_nothing_lost_or_doubled(self, dead):
        """The ledger outside the queue has every run and every announcement."""
        pids = {}
        for key, pid in self.crashes.lines:
            pids.setdefault(key, []).append(pid)
        announced = {key: pids.pop(key) for key in list(pids) if key.startswith("announced:")}
        done = {
            params: (uid, attempts, failed_at)
            for params, uid, attempts, failed_at in CompletedTask.objects.values_list(
                "task_params", "uid", "attempts", "failed_at"
            )
        }
        assert CompletedTask.objects.count() == len(done) == TASKS, "finished twice, or never"
        assert {uid for uid, _, _ in done.values()} == self.scheduled
        assert {failed_at for _, _, failed_at in done.values()} == {None}
        assert set(pids) == {str(number) for number in range(TASKS)}, "lost"
        assert {len(by) for by in announced.values()} == {1}, "announced twice"
        assert not Task.objects.exists()
        for key, by in pids.items():
            attempts = done[f'[["{key}"], {{}}]'][1]
            assert len(by) <= attempts <= 1 + len(dead)
            assert set(by[:-1]) <= dead, f"task {key} was run by {by}; dead are {dead}"
        return Counter(map(len, pids.values()))


@pytest.mark.parametrize("mode", ["inline", "threads", "async"])
def test_deaths_at_any_hop_lose_nothing_and_repeat_only_what_the_dead_held(crashes, chance, mode):
    chaos = Chaos(crashes, MODES[mode], chance)
    dead = set()
    while len(dead) < DEATHS and Task.objects.count() > TASKS // 10:
        with ExitStack() as stack:
            workers = [stack.enter_context(chaos.mortal()) for _ in range(2)]
            for worker in workers:
                chaos.see_die(worker)
        dead |= {str(worker.pid) for worker in workers}
    chaos.work_off()
    chaos.assert_nothing_lost_or_doubled(dead)


def test_deaths_of_processes_lose_nothing_and_repeat_only_what_the_dead_held(crashes, chance):
    """Each child of the supervisor dies in its turn, and is replaced by one that will."""
    chaos = Chaos(crashes, MODES["processes"], chance)
    with chaos.mortal() as worker:
        wait_until(
            lambda: WorkerRow.objects.count() >= DEATHS // 2 or not Task.objects.exists(),
            deadline=120,
        )
        worker.terminate()
        assert worker.wait(60) in (0, 1)  # 1: another one died while it stopped
    chaos.work_off()
    dead = {str(pid) for pid in WorkerRow.objects.values_list("pid", flat=True)}
    chaos.assert_nothing_lost_or_doubled(dead)
