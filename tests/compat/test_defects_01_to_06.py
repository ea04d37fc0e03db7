"""Section 16, defects 1 to 6: each test fails on django-background-tasks 1.2.8."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta, timezone as dt_timezone

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from background_task import signals
from background_task.models import CompletedTask, Task
from background_task.tasks import TaskSchedule, autodiscover, tasks
from background_task.utils import SignalManager
from tests.compat.running import DEADLINE_SECONDS, FailOnce, Recording, SignalLog
from tests.process import process_environment

posix_only = pytest.mark.skipif(os.name != "posix", reason="POSIX signals are not present here")


# -- 1: no pinned auto field ------------------------------------------------------------------


@pytest.mark.parametrize("auto_field", ["AutoField", "BigAutoField", "SmallAutoField"])
def test_defect_01_no_project_default_auto_field_invents_a_migration(auto_field):
    environment = process_environment(
        settings={"DEFAULT_AUTO_FIELD": f"django.db.models.{auto_field}"},
        env={"BACKGROUND_TASK_TEST_DATABASE": "sqlite", "BACKGROUND_TASK_TEST_NAME": ":memory:"},
    )
    arguments = ["makemigrations", "background_task", "--check", "--dry-run"]
    result = subprocess.run(
        [sys.executable, "-m", "django", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


# -- 2: signals with accidental caching ---------------------------------------------------------


@pytest.mark.parametrize("name", SignalLog.NAMES)
def test_defect_02_signals_do_not_cache_receivers(name):
    signal_ = getattr(signals, name)
    assert signal_.use_caching is False
    heard = Recording()
    signal_.connect(heard, weak=False, dispatch_uid="defect 2")
    try:
        signal_.send(sender="a sender that cannot be a key of a weak dictionary")
    finally:
        signal_.disconnect(dispatch_uid="defect 2")
    assert len(heard.calls) == 1


# -- 3: autodiscovery ---------------------------------------------------------------------------


def test_defect_03_app_installed_by_its_config_path_is_discovered(make_app):
    source = "from background_task import background\nbackground(name='by path')(print)\n"
    make_app("compat_by_path", tasks=source, installed_as="compat_by_path.apps.Config")
    autodiscover()
    assert "by path" in tasks._tasks


@pytest.mark.parametrize(
    "source", ["import no_such_module_anywhere\n", "from os import no_such_name\n"]
)
def test_defect_03_import_error_inside_a_tasks_module_is_raised(make_app, source):
    make_app("compat_broken", tasks=source)
    with pytest.raises(ImportError, match="no_such"):
        autodiscover()


# -- 4: bookkeeping inside the task's own try ---------------------------------------------------


@pytest.fixture
def raising_receiver(request):
    """``raising_receiver(name)`` connects a receiver that always raises."""
    connected = []

    def connect(name):
        def refuse(**kwargs):
            raise RuntimeError("this receiver always fails")

        getattr(signals, name).connect(refuse, weak=False, dispatch_uid="defect 4")
        connected.append(name)

    yield connect
    for name in connected:
        getattr(signals, name).disconnect(dispatch_uid="defect 4")


@pytest.mark.django_db(transaction=True)
def test_defect_04_raising_successful_receiver_never_repeats_a_finished_task(
    mode, runs, recording, raising_receiver, records_of
):
    records = records_of("")
    raising_receiver("task_successful")
    recording.proxy(1)
    assert runs.next()
    Task.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    assert runs.next() is False
    assert recording.calls == [((1,), {})]
    assert CompletedTask.objects.get().attempts == 1
    told = [r for r in records.records if r.exc_info and r.exc_info[0] is RuntimeError]
    assert len(told) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["task_started", "task_successful", "task_finished"])
def test_defect_04_raising_receiver_leaves_a_success_and_its_repetition(
    runs, recording, raising_receiver, name
):
    recording.proxy(1, repeat=Task.HOURLY)
    raising_receiver(name)
    assert tasks.run_next_task() is True
    assert recording.calls == [((1,), {})]
    done, following = CompletedTask.objects.get(), Task.objects.get()
    assert (done.attempts, done.failed_at) == (1, None)
    assert (following.attempts, following.locked_by) == (0, None)
    assert following.run_at > timezone.now()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["task_error", "task_rescheduled", "task_finished"])
def test_defect_04_raising_receiver_leaves_a_retry_recorded(failing, raising_receiver, name):
    failing()
    raising_receiver(name)
    assert tasks.run_next_task() is True
    stored = Task.objects.get()
    assert (stored.attempts, stored.locked_by, stored.failed_at) == (1, None, None)
    assert "this task always fails" in stored.last_error
    assert stored.run_at > timezone.now()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["task_error", "task_failed", "task_finished"])
def test_defect_04_raising_receiver_leaves_a_failure_recorded(
    failing, raising_receiver, settings, name
):
    settings.MAX_ATTEMPTS = 1
    failing()
    raising_receiver(name)
    assert tasks.run_next_task() is True
    assert not Task.objects.exists()
    assert CompletedTask.objects.failed().count() == 1


@pytest.mark.django_db(transaction=True)
def test_defect_04_receivers_after_a_raising_one_are_called(runs, recording, raising_receiver):
    raising_receiver("task_successful")
    with SignalLog() as log:
        recording.proxy(1)
        assert runs.next()
    assert log.names == ["task_created", "task_started", "task_successful", "task_finished"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["DELETE FROM", "INSERT INTO"])
def test_defect_04_database_error_between_archive_and_delete_leaves_no_half_finished_task(
    runs, recording, statement
):
    recording.proxy(1)
    table = "background_task" if statement == "DELETE FROM" else "background_task_completedtask"
    failure = FailOnce(statement, table, DatabaseError("it broke in the middle"))
    with connection.execute_wrapper(failure):
        tasks.run_next_task()
    assert failure.happened
    Task.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    runs.all()
    assert recording.calls == [((1,), {})]
    assert not Task.objects.exists()
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at) == (1, None)


@pytest.mark.django_db(transaction=True)
def test_defect_04_failure_without_a_row_is_logged(mode, runs, failing, records_of):
    records = records_of("background_task")
    runs.this("failing", [], {})
    told = [r for r in records.records if r.levelname == "ERROR"]
    assert [r.exc_info[0] for r in told] == [ValueError]


# -- 5: schedule=0 and values of other types ----------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("now", [0, timedelta(0), 0.0, TaskSchedule(run_at=0), {"run_at": 0}])
def test_defect_05_schedule_of_zero_overrides_the_decorators(now):
    proxy = tasks.background(name="later", schedule=3600)(Recording())
    assert abs((proxy(schedule=now).run_at - timezone.now()).total_seconds()) < 30
    assert tasks.run_next_task() is True


@pytest.mark.django_db
def test_defect_05_schedule_of_nothing_keeps_the_decorators(recording):
    proxy = tasks.background(name="later", schedule=3600)(recording)
    for nothing in (None, {}, TaskSchedule()):
        assert (proxy(schedule=nothing).run_at - timezone.now()).total_seconds() > 3500


@pytest.mark.django_db
def test_defect_05_schedule_in_fractions_of_a_second_is_accepted(recording):
    delay = recording.proxy(schedule=90.5).run_at - timezone.now()
    assert 80 < delay.total_seconds() <= 90.5


@pytest.mark.django_db
@pytest.mark.parametrize(
    "value",
    [
        "tomorrow",
        {"run_at": "tomorrow"},
        [60],
        object(),
        float("nan"),
        float("inf"),
        -float("inf"),
        1e300,
        timedelta.max,
    ],
    ids=repr,
)
def test_defect_05_schedule_that_is_no_time_is_refused_with_its_value(recording, value):
    with pytest.raises((TypeError, ValueError)) as refused:
        recording.proxy(schedule=value)
    given = "tomorrow" if "tomorrow" in repr(value) else repr(value)
    assert given in str(refused.value)
    assert not Task.objects.exists()


def test_defect_05_schedule_that_is_no_time_is_refused_when_it_is_made():
    with pytest.raises(TypeError, match="tomorrow"):
        TaskSchedule(run_at="tomorrow")


@pytest.mark.parametrize("value", ["tomorrow", float("nan"), object()])
def test_defect_05_schedule_that_is_no_time_is_refused_by_the_decorator(value):
    with pytest.raises((TypeError, ValueError)):
        tasks.background(name="never", schedule=value)(Recording())


def test_defect_05_schedule_compared_with_anything_else_is_unequal():
    moment = datetime(2031, 5, 6, tzinfo=dt_timezone.utc)
    for other in (None, 10, "10", moment, object()):
        assert TaskSchedule(run_at=10) != other


# -- 6: signals of the operating system ---------------------------------------------------------


@posix_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("os_signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_defect_06_signal_to_stop_lets_the_running_task_finish(recording, name):
    number = getattr(signal, name)

    @tasks.background(name="stopped in the middle")
    def stopped():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            raise AssertionError(f"{name} would kill the worker")
        signal.raise_signal(number)
        recording("after the signal")

    stopped()
    later = recording.proxy("never started", priority=-1)
    begun = time.monotonic()
    call_command("process_tasks", duration=30, sleep=0.05, verbosity=0)
    assert time.monotonic() - begun < 15
    assert recording.calls == [(("after the signal",), {})]
    left = Task.objects.get()
    assert (left, left.locked_by, left.attempts) == (later, None, 0)
    assert CompletedTask.objects.succeeded().count() == 1


@posix_only
@pytest.mark.usefixtures("os_signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_defect_06_signal_manager_handles_every_signal_to_stop(name):
    manager = SignalManager()
    number = getattr(signal, name)
    assert signal.getsignal(number) not in (signal.SIG_DFL, signal.default_int_handler)
    signal.raise_signal(number)
    assert manager.kill_now is True


@posix_only
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("os_signals")
def test_defect_06_signal_to_stop_ends_the_idle_sleep():
    idle = threading.Event()

    def look(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if sql.lstrip().startswith(("SELECT", "WITH")) and "run_at" in sql:
            idle.set()
        return result

    def stop():
        assert idle.wait(DEADLINE_SECONDS)
        os.kill(os.getpid(), signal.SIGTSTP)

    stopper = threading.Thread(target=stop)
    begun = time.monotonic()
    stopper.start()
    with connection.execute_wrapper(look):
        call_command("process_tasks", sleep=25.0, verbosity=0)
    stopper.join(DEADLINE_SECONDS)
    assert time.monotonic() - begun < 15


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("end_without_work")
def test_defect_06_command_works_outside_the_main_thread(recording):
    recording.proxy(1)
    outcome = []

    def work():
        try:
            call_command("process_tasks", duration=60, sleep=0.05, verbosity=0)
            outcome.append("ended")
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(DEADLINE_SECONDS)
    assert outcome == ["ended"]
    assert recording.calls == [((1,), {})]
    assert not Task.objects.exists()


def test_defect_06_signal_manager_can_be_created_outside_the_main_thread():
    created = []
    thread = threading.Thread(target=lambda: created.append(SignalManager()))
    thread.start()
    thread.join(DEADLINE_SECONDS)
    assert [manager.kill_now for manager in created] == [False]
