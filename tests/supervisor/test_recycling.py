"""``--max-tasks``, ``--max-memory``, ``--max-age``: workers that end in order, to be replaced."""

import os
from collections import Counter

import pytest

from background_task.models import CompletedTask, Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.supervisor import tasks as here
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(os.name == "nt", reason="signals"),
    pytest.mark.slow,
]

SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.supervisor"]}


@pytest.mark.parametrize("mode", [[], ["--threads", "3"]], ids=["inline", "threads"])
def test_max_tasks_runs_so_many_and_ends_with_status_0(mode):
    for number in range(40):
        record(str(number))
    with worker_process("--sleep", "0.1", "--max-tasks", "25", *mode) as worker:
        assert worker.wait() == 0
    assert Ledger.objects.count() == CompletedTask.objects.count() == 25
    assert Task.objects.filter(locked_by=None, attempts=0).count() == 15
    assert "Stopped (recycled: 25 tasks were run, of --max-tasks 25)" in worker.output


def test_max_memory_ends_the_worker_after_the_task_that_took_it():
    here.take_memory(300)
    with worker_process("--sleep", "0.1", "--max-memory", "300", settings=SETTINGS) as worker:
        assert worker.wait() == 0
    assert "MiB, with --max-memory 300)" in worker.output
    assert CompletedTask.objects.get().attempts == 1


def test_max_age_ends_the_worker_when_the_running_task_is_done(tmp_path):
    hold("held", str(tmp_path / "go"))
    with worker_process("--sleep", "0.1", "--max-age", "4") as worker:
        worker.wait_for_line(r"Stopping \(recycled: it worked for \d+ s, with --max-age 4\)")
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert CompletedTask.objects.get().attempts == 1
    assert "Stopped (recycled: " in worker.output


def test_processes_replace_recycled_ones_at_once():
    """Again and again, without the pause for those that die."""
    for number in range(12):
        here.tell_process(str(number))
    options = ("--sleep", "0.1", "--processes", "2", "--max-tasks", "3")
    with worker_process(*options, settings=SETTINGS) as parent:
        wait_until(lambda: CompletedTask.objects.count() == 12, deadline=60)
        parent.terminate()
        assert parent.wait() == 0
    found = Counter(key.split()[1] for key in Ledger.objects.values_list("key", flat=True))
    assert sum(found.values()) == 12
    assert max(found.values()) == 3
    assert "starting another" not in parent.output
    assert not Worker.objects.filter(stopped_at=None).exists()
