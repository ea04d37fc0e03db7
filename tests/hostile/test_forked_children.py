"""Children that a task forks are no workers: signals end them, and they end with the task."""

import signal

import pytest

from background_task.models import CompletedTask, Task, Worker
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.hostile.forking import tasks as forking
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.hostile.forking"]}


def work_off(*arguments, rows):
    """Run everything in a worker process, then stop it; what the tasks wrote down."""
    with worker_process("--sleep", "0.1", *arguments, settings=SETTINGS) as worker:
        wait_until(
            lambda: CompletedTask.objects.count() == rows,
            deadline=90,
            message="everything was run",
        )
        worker.terminate()
        assert worker.wait() == 0
        # A child that went on as a worker says goodbye as one.
        assert worker.output.count("Stopped (") == 1
    assert not Task.objects.exists()
    assert not CompletedTask.objects.exclude(attempts=1).exists()
    assert Worker.objects.count() == 1
    return list(Ledger.objects.order_by("pk").values_list("key", flat=True))


def test_sigterm_ends_a_forked_child():
    forking.terminate_a_child()
    assert work_off(rows=1) == [f"exit code {-signal.SIGTERM}"]


def test_block_of_a_forked_pool_ends():
    forking.use_a_pool()
    assert work_off(rows=1) == [f"exit codes [{-signal.SIGTERM}]"]


@pytest.mark.parametrize("mode", [[], ["--threads", "1"]], ids=["inline", "thread"])
@pytest.mark.parametrize(
    ("how", "code"), [("return", 0), ("exit", 0), ("exit with 3", 3), ("raise", 1)]
)
def test_child_that_reaches_the_end_of_the_task_ends(how, code, mode):
    forking.fork(how, priority=1)
    for number in range(3):
        record(f"after {number}")
    after = [f"after {number}" for number in range(3)]
    assert work_off(*mode, rows=4) == [f"exit code {code}", *after]
