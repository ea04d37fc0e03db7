"""Section 16, defects 11 to 16: each test fails on django-background-tasks 1.2.8."""

import contextlib
import os
import sys
import threading
import time
import uuid
from datetime import timedelta
from unittest import mock

import pytest
from django.db import DatabaseError, connection
from django.urls import reverse
from django.utils import timezone

from background_task.admin import CompletedTaskAdmin, TaskAdmin
from background_task.models import CompletedTask, Task
from background_task.settings import app_settings
from background_task.tasks import TaskSchedule, tasks
from tests.app.models import Ledger, TextOwner, UUIDOwner
from tests.compat.running import DEADLINE_SECONDS, FailOnce, Recording
from tests.process import running

HOUR = timedelta(hours=1)


# -- 11: repetition -----------------------------------------------------------------------------


@pytest.mark.django_db
def test_defect_11_repetition_with_integer_keys_keeps_text_and_hash(recording, runs):
    old = recording.proxy({9: "nine", 10: "ten"}, repeat=Task.HOURLY)
    for _ in range(2):
        assert runs.next()
        new = Task.objects.get()
        assert (new.task_params, new.task_hash) == (old.task_params, old.task_hash)
        Task.objects.update(run_at=timezone.now() - timedelta(seconds=1))


@pytest.mark.django_db
def test_defect_11_repetition_after_the_end_is_not_created(recording, runs):
    recording.proxy(repeat=Task.HOURLY, repeat_until=timezone.now() + timedelta(minutes=30))
    assert runs.next()
    assert not Task.objects.exists()


def test_defect_11_repetition_after_long_downtime_costs_no_loop():
    then = timezone.now() - timedelta(days=90)
    task = Task.objects.new_task("n", run_at=then, repeat=1)
    begun = time.thread_time()
    with mock.patch.object(Task, "save"):
        new = task.create_repetition()
    assert time.thread_time() - begun < 1.0
    assert abs((new.run_at - timezone.now()).total_seconds()) < 30
    assert (new.run_at - then).total_seconds() % 1 == 0


TWO_DATABASES = """
import django
django.setup()
from django.core.management import call_command
for alias in ("default", "other"):
    call_command("migrate", database=alias, verbosity=0)
from background_task.models import CompletedTask, Task
Task.objects.new_task("n", repeat=Task.HOURLY).save(using="other")
task = Task.objects.using("other").get()
locked = task.lock("somebody")
locked.create_repetition()
locked.create_completed_task()
for alias in ("default", "other"):
    rows = Task.objects.using(alias).count(), CompletedTask.objects.using(alias).count()
    print(alias, *rows, flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_defect_11_repetition_and_archive_stay_in_the_database_of_the_row(tmp_path):
    databases = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / alias)}
        for alias in ("default", "other")
    }
    command = (sys.executable, "-c", TWO_DATABASES)
    with running(*command, settings={"DATABASES": databases}) as process:
        assert process.wait(deadline=60) == 0, process.output
    assert process.lines[-2:] == ["default 0 0", "other 2 1"]


@pytest.mark.django_db(transaction=True)
def test_defect_11_database_error_at_the_repetition_neither_loses_nor_doubles_the_chain(
    recording, runs
):
    task = recording.proxy(1, repeat=Task.HOURLY)
    failure = FailOnce("INSERT INTO", "background_task", DatabaseError("it broke in the middle"))
    with connection.execute_wrapper(failure):
        tasks.run_next_task()
    assert failure.happened
    runs.all()
    assert recording.calls == [((1,), {})]
    assert CompletedTask.objects.get().attempts == 1
    assert Task.objects.get().run_at == task.run_at + HOUR


# -- 12: existing rows --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_defect_12_failed_insert_brings_back_what_it_would_have_replaced(recording):
    kept = recording.proxy(1)
    failure = FailOnce("INSERT INTO", "background_task", DatabaseError("the disk is full"))
    with connection.execute_wrapper(failure), pytest.raises(DatabaseError, match="disk"):
        recording.proxy(1, remove_existing_tasks=True)
    assert list(Task.objects.all()) == [kept]


@pytest.mark.django_db
def test_defect_12_remove_existing_in_a_named_queue_leaves_other_queues_alone(recording):
    elsewhere = recording.proxy(1, queue="a")
    recording.proxy(1, queue="b")
    new = recording.proxy(1, queue="b", remove_existing_tasks=True)
    assert set(Task.objects.all()) == {elsewhere, new}


class MeetBeforeInsert:
    """Lets two rivals insert only after both have looked, unless one waits for the other."""

    def __init__(self):
        self._barrier = threading.Barrier(2)

    def __call__(self, execute, sql, params, many, context):
        if sql.startswith(('INSERT INTO "background_task" ', "INSERT INTO `background_task` ")):
            with contextlib.suppress(threading.BrokenBarrierError):
                self._barrier.wait(1.0)
        return execute(sql, params, many, context)


def both_at_once(call):
    """Run ``call`` in two threads that meet before they insert; returns what they returned."""
    meeting, results = MeetBeforeInsert(), []

    def run():
        try:
            with connection.execute_wrapper(meeting):
                results.append(call())
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS * 2)
    assert len(results) == 2
    return results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "options",
    [
        {"schedule": {"action": TaskSchedule.CHECK_EXISTING}},
        {"schedule": {"action": TaskSchedule.RESCHEDULE_EXISTING}},
        {"remove_existing_tasks": True},
    ],
    ids=["check", "reschedule", "remove"],
)
@pytest.mark.parametrize("queue", [None, "q"])
def test_defect_12_two_callers_at_once_end_with_one_waiting_row(recording, options, queue):
    both_at_once(lambda: recording.proxy(1, queue=queue, **options))
    assert Task.objects.count() == 1


# -- 13: creators -------------------------------------------------------------------------------


@pytest.fixture(params=["uuid", "text", "large", "digits"])
def creator(request):
    match request.param:
        case "uuid":
            return UUIDOwner.objects.create(id=uuid.uuid4())
        case "text":
            return TextOwner.objects.create(code="not a number")
        case "digits":
            return TextOwner.objects.create(code="0012")
    return Ledger.objects.create(id=2**40, key="large")


@pytest.mark.django_db
def test_defect_13_creator_with_any_primary_key_is_kept(recording, runs, creator):
    recording.proxy(creator=creator)
    assert Task.objects.get().creator == creator
    assert Task.objects.created_by(creator).count() == 1
    assert runs.next()
    assert CompletedTask.objects.get().creator == creator
    assert CompletedTask.objects.created_by(creator).count() == 1
    other = UUIDOwner.objects.create()
    assert not CompletedTask.objects.created_by(other).exists()


@pytest.mark.django_db
def test_defect_13_creator_is_prefetched_with_the_rows(recording, django_assert_num_queries):
    for _ in range(3):
        recording.proxy(creator=UUIDOwner.objects.create())
    with django_assert_num_queries(2):
        found = [row.creator for row in Task.objects.prefetch_related("creator")]
    assert all(isinstance(owner, UUIDOwner) for owner in found)


# -- 14: is the owner running -------------------------------------------------------------------


def test_defect_14_process_of_another_user_counts_as_running():
    with mock.patch("os.kill", side_effect=PermissionError):
        assert Task(locked_by="4711").locked_by_pid_running() is True


def test_defect_14_question_never_signals_a_process_on_windows():
    with mock.patch("os.kill") as kill, mock.patch("os.name", "nt"):
        answer = Task(locked_by=str(os.getpid())).locked_by_pid_running()
    kill.assert_not_called()
    assert answer is False


@pytest.mark.django_db
@pytest.mark.parametrize("locked_by", ["0", "-1"])
def test_defect_14_question_never_addresses_a_process_group(locked_by):
    """Process numbers 0 and below mean groups to kill(); nothing of the kind owns a row."""
    with mock.patch("os.kill") as kill:
        assert Task(locked_by=locked_by).locked_by_pid_running() is False
    kill.assert_not_called()


# -- 15: admin ----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("admin_class", [TaskAdmin, CompletedTaskAdmin])
def test_defect_15_list_filter_is_spelt_so_that_django_reads_it(admin_class):
    assert admin_class.list_filter


@pytest.mark.django_db
@pytest.mark.parametrize("model", ["task", "completedtask"])
def test_defect_15_list_can_be_filtered_by_task_name(admin_client, model):
    wanted, other = Task.objects.new_task("wanted"), Task.objects.new_task("other")
    for row in (wanted, other):
        row.save()
        row.create_completed_task()
    url = reverse(f"admin:background_task_{model}_changelist")
    response = admin_client.get(url, {"task_name": "wanted"})
    assert response.status_code == 200
    assert [row.task_name for row in response.context["cl"].queryset] == ["wanted"]
    assert response.context["cl"].has_filters


@pytest.mark.django_db
@pytest.mark.parametrize("action", ["inc_priority", "dec_priority"])
def test_defect_15_action_overwrites_nothing_that_happened_meanwhile(admin_client, action):
    task = Task.objects.new_task("n")
    task.save()
    raced = []

    def race(execute, sql, params, many, context):
        if sql.startswith("UPDATE") and "priority" in sql and not raced:
            raced.append(sql)
            rows = Task.objects.filter(pk=task.pk)
            rows.update(locked_by="a worker", locked_at=timezone.now(), priority=10)
        return execute(sql, params, many, context)

    url = reverse("admin:background_task_task_changelist")
    with connection.execute_wrapper(race):
        admin_client.post(url, {"action": action, "_selected_action": [task.pk]})
    assert raced
    task.refresh_from_db()
    assert (task.locked_by, task.priority) == ("a worker", 11 if action == "inc_priority" else 9)


# -- 16: settings -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["MAX_ATTEMPTS", "MAX_RUN_TIME"])
def test_defect_16_prefixed_setting_is_read_and_wins(settings, name):
    setattr(settings, name, 3)
    setattr(settings, f"BACKGROUND_TASK_{name}", 8)
    assert getattr(app_settings, name) == 8
    assert getattr(app_settings, f"BACKGROUND_TASK_{name}") == 8


@pytest.mark.django_db
def test_defect_16_prefixed_max_attempts_decides_when_a_task_fails(settings, failing, runs):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    failing()
    assert runs.next()
    assert CompletedTask.objects.failed().count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("extra", [2, 3])
def test_defect_16_size_of_the_pool_follows_the_setting(settings, runs, extra):
    size = (os.cpu_count() or 1) + extra
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = size
    together, met = threading.Barrier(size), Recording()

    @tasks.background(name="meeting")
    def meet():
        together.wait(DEADLINE_SECONDS / 2)
        met()

    for _ in range(size):
        meet()
    runs.start(size)
    assert len(met.calls) == size
