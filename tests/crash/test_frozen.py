"""A worker that stands still for longer than its lease, and then goes on."""

from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

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
            other.terminate()
            assert other.wait() == 0
        crash.work("next")  # not before: the other one would be woken for it, too
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


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says who is stopped")
@pytest.mark.only_on("postgresql", "mariadb")  # on SQLite it may stop while it has the file locked
@pytest.mark.parametrize("mode", [[], ["--threads", "2"]], ids=["inline", "threads"])
def test_worker_frozen_with_tasks_in_hand_begins_none_that_others_have_run(crashes, mode, tmp_path):
    calls = [((f"{number:04}",), {}) for number in range(600)]
    crash.note_only.bulk(calls[:200], priority=2)
    crash.signal_worker("still", ["SIGSTOP"], str(tmp_path / "stopped"), priority=1)
    crash.note_only.bulk(calls[200:])
    with crashes.worker(*mode) as frozen:
        wait_until(lambda: is_stopped(frozen), deadline=30)
        go_on_to_the_end_of_a_transaction(frozen)
        held = Task.objects.filter(locked_by__contains=f":{frozen.pid}:").count()
        before = runs_of(frozen, crashes)
        with crashes.worker(*mode) as other:
            crashes.wait_for_no_rows()
            frozen.cont()
            frozen.wait_for_line("took .* for dead")
            for worker in (frozen, other):
                worker.terminate()
            assert [frozen.wait(), other.wait()] == [0, 0]
        after = runs_of(frozen, crashes)
    slots = 2 if mode else 1
    assert held > slots, "nothing was in hand"
    # Each thread may have been in the middle of one, or about to begin it.
    assert len(after) - len(before) <= slots
    assert CompletedTask.objects.filter(failed_at=None, attempts__lte=2).count() == 601
    again = {key for key, runs in crashes.runs.items() if runs > 1}
    assert again <= set(after)


def go_on_to_the_end_of_a_transaction(frozen):
    """As long as it is in the middle of one, everybody else would wait for its locks."""
    while True:
        try:
            wait_until(lambda: not has_locked_rows(frozen), deadline=1)
        except AssertionError:
            frozen.cont()
            frozen.stop()
            wait_until(lambda: is_stopped(frozen))
        else:
            return


def has_locked_rows(worker):
    with transaction.atomic():
        held = Task.objects.filter(locked_by__contains=f":{worker.pid}:")
        return len(held.select_for_update(skip_locked=True)) < held.count()


def is_stopped(worker):
    return Path(f"/proc/{worker.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"


def runs_of(worker, crashes):
    return [key for key, pid in crashes.lines if pid == str(worker.pid)]
