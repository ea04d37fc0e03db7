"""Section 16, defects 7 to 10: each test fails on django-background-tasks 1.2.8."""

import os
import sys
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db.models.signals import post_init
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.tasks import DBTaskRunner, tasks
from tests.process import running

fork_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is not present here")


# -- 7: the name of the worker ------------------------------------------------------------------

NAME_OF_FORK = """
import os
import django
django.setup()
from background_task.tasks import DBTaskRunner, tasks
def names():
    return " ".join([str(os.getpid()), tasks._runner.worker_name, DBTaskRunner().worker_name])
print("parent", names(), flush=True)
if os.fork() == 0:
    print("child", names(), flush=True)
    os._exit(0)
os.wait()
"""

NAME_WITH_PID = """
import os
os.getpid = lambda: 7
import django
django.setup()
from background_task.tasks import tasks
print("name", tasks._runner.worker_name, flush=True)
"""


@fork_only
@pytest.mark.django_db(transaction=True)
def test_defect_07_worker_name_is_renewed_after_fork():
    with running(sys.executable, "-c", NAME_OF_FORK) as process:
        assert process.wait() == 0, process.output
        found = {}
        for who in ("parent", "child"):
            found[who] = process.wait_for_line(rf"^{who} (\d+) (\S+) (\S+)").groups()
    (parent_pid, *parent_names), (child_pid, *child_names) = found["parent"], found["child"]
    assert all(parent_pid in name for name in parent_names)
    assert all(child_pid in name for name in child_names)
    assert not set(parent_names) & set(child_names)


@pytest.mark.django_db(transaction=True)
def test_defect_07_workers_with_equal_process_ids_have_different_names():
    names = []
    for _ in range(2):
        with running(sys.executable, "-c", NAME_WITH_PID) as process:
            assert process.wait() == 0, process.output
            names.append(process.wait_for_line(r"^name (\S+)").group(1))
    assert names[0] != names[1]
    assert all(":7:" in name and len(name) <= 64 for name in names)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("os_signals", "end_without_work")
def test_defect_07_name_of_live_worker_is_known_to_be_running():
    seen = []

    @tasks.background(name="looking")
    def looking():
        row = Task.objects.get()
        seen.append((row.locked_by, row.locked_by_pid_running()))
        row.locked_by = "elsewhere:1:0123456789abcdef"
        seen.append(row.locked_by_pid_running())

    looking()
    call_command("process_tasks", duration=60, sleep=0.05, verbosity=0)
    (name, is_running), is_stranger_running = seen
    assert not name.isdigit()
    assert (is_running, is_stranger_running) == (True, False)


# -- 8: slots of the pool -----------------------------------------------------------------------


@pytest.fixture
def one_thread(settings):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = 1
    settings.MAX_RUN_TIME = 60


def waiting(name="recorded", **fields):
    task = Task.objects.new_task(name)
    for field, value in fields.items():
        setattr(task, field, value)
    task.save()
    return task


@pytest.mark.django_db
def test_defect_08_locked_leaves_out_rows_whose_lock_has_expired():
    now = timezone.now()
    held = waiting(locked_by="somebody", locked_at=now)
    expired = waiting(locked_by="somebody", locked_at=now - timedelta(days=1))
    waiting(locked_by=None, locked_at=now)
    assert list(Task.objects.locked(now)) == [held]
    assert expired in Task.objects.unlocked(now)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("age", [timedelta(0), timedelta(days=1)], ids=["held", "expired"])
def test_defect_08_locks_of_others_take_no_slots(one_thread, recording, runs, age):
    for _ in range(3):
        waiting("recorded", locked_by="another worker", locked_at=timezone.now() - age, priority=-9)
    due = recording.proxy("due")
    assert due in Task.objects.find_available()
    assert runs.next() is True
    assert recording.calls[0] == (("due",), {})


@pytest.mark.django_db(transaction=True)
def test_defect_08_unknown_names_starve_nobody(one_thread, recording, runs):
    for _ in range(7):
        waiting("nobody registered this", priority=99)
    recording.proxy("due")
    assert runs.next() is True
    assert recording.calls == [(("due",), {})]


# -- 9: cost of one poll ------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["recorded", "nobody registered this"])
def test_defect_09_poll_does_not_load_every_due_row(recording, name):
    Task.objects.bulk_create(Task.objects.new_task(name, priority=9) for _ in range(300))
    recording.proxy("due")
    loaded = []
    post_init.connect(
        lambda **kwargs: loaded.append(1), sender=Task, weak=False, dispatch_uid="defect 9"
    )
    try:
        assert DBTaskRunner().get_task_to_run(tasks) is not None
    finally:
        post_init.disconnect(sender=Task, dispatch_uid="defect 9")
    assert len(loaded) <= 20


# -- 10: a lock without heartbeat ---------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("os_signals", "end_without_work")
def test_defect_10_task_running_longer_than_max_run_time_is_not_given_to_another(settings):
    settings.MAX_RUN_TIME = 60
    given = []

    @tasks.background(name="long")
    def long():
        Task.objects.update(locked_at=timezone.now() - timedelta(hours=2))
        given.append(DBTaskRunner().get_task_to_run(tasks))
        given.append(Task.objects.get().lock("a rival"))
        given.append(Task.objects.find_available().first())

    long()
    call_command("process_tasks", duration=60, sleep=0.05, verbosity=0)
    assert given == [None, None, None]
    assert not Task.objects.exists()
    assert CompletedTask.objects.get().attempts == 1


@pytest.mark.django_db(transaction=True)
def test_defect_10_lost_attempt_is_counted(mode, settings, recording, runs):
    settings.MAX_RUN_TIME = 60
    recording.proxy(1).lock("a worker that was killed")
    Task.objects.update(locked_at=timezone.now() - timedelta(hours=2))
    assert runs.all() == 1
    assert recording.calls == [((1,), {})]
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at) == (2, None)
    assert "lost" in done.last_error


@pytest.mark.django_db(transaction=True)
def test_defect_10_lost_attempt_is_counted_by_whoever_takes_the_row_over(settings, recording, runs):
    settings.MAX_RUN_TIME = 60
    recording.proxy(1).lock("a worker that was killed")
    Task.objects.update(locked_at=timezone.now() - timedelta(hours=2))
    taken = Task.objects.get().lock("its successor")
    assert (taken.locked_by, taken.attempts) == ("its successor", 1)
    Task.objects.update(locked_at=timezone.now() - timedelta(hours=2))
    runs.this(Task.objects.get())
    assert CompletedTask.objects.get().attempts == 3


@pytest.mark.django_db(transaction=True)
def test_defect_10_task_that_kills_its_workers_fails_in_the_end(mode, settings, recording, runs):
    settings.MAX_RUN_TIME = 60
    settings.MAX_ATTEMPTS = 3
    recording.proxy(1)
    Task.objects.update(attempts=2)
    Task.objects.get().lock("a worker that was killed")
    Task.objects.update(locked_at=timezone.now() - timedelta(hours=2))
    assert runs.all() == 0
    assert recording.calls == []
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at is not None) == (3, True)
    assert "lost" in done.last_error
    assert not Task.objects.exists()
