"""A worker that stands still for longer than its lease, and then goes on."""

import pytest
from django.db import OperationalError, connection

from background_task.models import CompletedTask, Task
from tests.crash import tasks as crash
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def freeze(worker):
    """Stop a process between two accesses to SQLite's file: a lock would stay for all to wait."""
    while True:
        worker.stop()
        if connection.vendor != "sqlite":
            return
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 200")
            try:
                cursor.execute("BEGIN EXCLUSIVE")
                cursor.execute("ROLLBACK")
            except OperationalError:
                worker.cont()
            else:
                return
            finally:
                cursor.execute("PRAGMA busy_timeout = 30000")


@pytest.mark.parametrize("mode", [[], ["--threads", "2"]], ids=["inline", "threads"])
def test_late_outcome_of_a_frozen_worker_is_dropped(crashes, mode, tmp_path):
    task = crash.work_until("a", str(tmp_path / "go"))
    with crashes.worker(*mode) as frozen:
        crashes.wait_for_line("a:started")
        freeze(frozen)
        with crashes.worker(*mode) as other:
            other.wait_for_line("was lost: its worker")
            wait_until(lambda: crashes.runs["a:started"] == 2, deadline=30)
            (tmp_path / "go").touch()
            crashes.wait_for_no_rows()
            frozen.cont()
            frozen.wait_for_line("Dropped the outcome of")
            frozen.wait_for_line("took .* for dead")
            crash.work("next", queue="only-the-other-is-gone")
            other.terminate()
            assert other.wait() == 0
        frozen.wait_for_line(r"Ran task and deleting tests\.crash\.tasks\.work ")
        frozen.terminate()
        assert frozen.wait() == 0
    done = CompletedTask.objects.get(uid=task.uid)
    assert (done.attempts, done.failed_at) == (2, None)
    assert done.locked_by.split(":")[1] == str(other.pid)
    assert not Task.objects.exists()
    assert "1 dropped because others had taken over" in frozen.output
    assert "Traceback" not in frozen.output + other.output


def test_worker_frozen_for_less_than_its_lease_keeps_its_task(crashes, tmp_path):
    task = crash.work_until("a", str(tmp_path / "go"))
    settings = {"BACKGROUND_TASK_LEASE_SECONDS": 30}
    with crashes.worker(settings=settings) as frozen:
        crashes.wait_for_line("a:started")
        frozen.stop()
        with crashes.worker(settings=settings) as other:
            crash.work("b")
            other.wait_for_line("Ran task")
            (tmp_path / "go").touch()
            frozen.cont()
            crashes.wait_for_no_rows()
            assert "lost" not in other.output
    assert CompletedTask.objects.get(uid=task.uid).attempts == 1
    assert crashes.runs["a:started"] == 1
