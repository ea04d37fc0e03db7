"""Section 12: the worker command, its options and the signals of the operating system."""

import os
import signal
import sys
import time
from unittest import mock

import pytest
from django.core.management import call_command
from django.core.management.base import OutputWrapper
from django.db import connection
from django.utils import autoreload

from background_task.management.commands.process_tasks import Command
from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from background_task.utils import TTW_FAST, TTW_SLOW, SignalManager
from tests.compat.running import Recording, streams_kept, streams_to_log

COMMAND_LOGGER = "background_task.management.commands.process_tasks"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("os_signals"),
    pytest.mark.skipif(os.name != "posix", reason="POSIX signals are not present here"),
]


def work(**options):
    """Run the worker in this process, quietly; 0.05 s idle pauses unless told otherwise."""
    call_command("process_tasks", **{"sleep": 0.05, "verbosity": 0, **options})


@pytest.fixture
def last():
    """A task that tells the worker to stop; lowest priority, so it comes last."""

    @tasks.background(name="last")
    def stop():
        signal.raise_signal(signal.SIGTSTP)

    return lambda **options: stop(priority=-1000, **options)


def test_read_options_of_command_have_old_names_types_and_defaults():
    parser = Command().create_parser("manage.py", "process_tasks")
    defaults = vars(parser.parse_args([]))
    expected = {"duration": 0, "sleep": 5.0, "queue": None, "log_std": False, "dev": False}
    assert {name: defaults[name] for name in expected} == expected
    line = "--duration 7 --sleep 0.5 --queue q --log-std --dev"
    given = vars(parser.parse_args(line.split()))
    expected = {"duration": 7, "sleep": 0.5, "queue": "q", "log_std": True, "dev": True}
    assert {name: given[name] for name in expected} == expected
    assert isinstance(given["sleep"], float)
    assert isinstance(given["duration"], int)


def test_read_class_attributes_of_command_are_there():
    assert Command._tasks is tasks
    assert hasattr(Command, "sig_manager")
    flags = [flag for flags, _ in Command.OPTIONS for flag in flags]
    assert {"--duration", "--sleep", "--queue", "--log-std", "--dev"} <= set(flags)
    assert all(isinstance(kwargs, dict) for _, kwargs in Command.OPTIONS)
    assert callable(Command().run)
    assert "queue" in Command.help


def test_run_with_duration_works_off_due_rows_and_ends_in_time(recording):
    for number in range(3):
        recording.proxy(number)
    begun = time.monotonic()
    work(duration=3)
    assert 3 <= time.monotonic() - begun < 30
    assert sorted(args for args, _ in recording.calls) == [(0,), (1,), (2,)]
    assert not Task.objects.exists()
    assert CompletedTask.objects.count() == 3


def test_run_without_rows_ends_after_duration():
    begun = time.monotonic()
    work(duration=1)
    assert 1 <= time.monotonic() - begun < 30


@pytest.mark.parametrize("duration", [0, -1])
def test_run_without_duration_goes_on_until_told_to_stop(recording, last, duration):
    recording.proxy(1)
    begun = time.monotonic()
    last(schedule=1)
    work(duration=duration)
    assert time.monotonic() - begun > 0.5
    assert not Task.objects.exists()
    assert recording.calls == [((1,), {})]


@pytest.mark.parametrize(("queue", "numbers"), [("a", {1}), (None, {1, 2, 3}), ("", {1, 2, 3})])
def test_run_with_queue_takes_only_that_queue(recording, last, queue, numbers):
    recording.proxy(1, queue="a")
    recording.proxy(2, queue="b")
    recording.proxy(3)
    last(queue=queue or None)
    work(queue=queue)
    assert {args[0] for args, _ in recording.calls} == numbers
    assert Task.objects.count() == 3 - len(numbers)


@pytest.mark.usefixtures("end_without_work")
def test_run_in_async_mode_finishes_everything_it_started(recording, settings):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = 2
    for number in range(6):
        recording.proxy(number)
    work(duration=60)
    assert len(recording.calls) == 6
    assert not Task.objects.exists()
    assert CompletedTask.objects.succeeded().count() == 6


def test_run_method_of_command_works_without_handle(recording, last):
    recording.proxy(1)
    last()
    Command().run(duration=0, sleep=0.05, queue=None, log_std=False, dev=False)
    assert recording.calls == [((1,), {})]


def test_run_finishes_the_running_task_before_a_graceful_stop(recording):
    @tasks.background(name="stopped in the middle")
    def stopped():
        signal.raise_signal(signal.SIGTSTP)
        recording("after the signal")

    stopped()
    later = recording.proxy("never started", priority=-1)
    work()
    assert recording.calls == [(("after the signal",), {})]
    assert list(Task.objects.all()) == [later]
    assert Task.objects.get().locked_by is None
    assert CompletedTask.objects.succeeded().count() == 1


def test_run_goes_on_after_tasks_that_fail(recording, failing, last):
    failing(priority=5)
    recording.proxy(1)
    last()
    work()
    assert recording.calls == [((1,), {})]
    assert Task.objects.get().task_name == "failing"


def test_run_with_dev_uses_the_reloader_of_django(recording, last):
    recording.proxy(1)
    last()
    calls = mock.Mock()
    with (
        mock.patch.object(autoreload, "raise_last_exception", calls.raise_last_exception),
        mock.patch.object(autoreload, "run_with_reloader", calls.run_with_reloader),
    ):
        work(dev=True)
        ((run, *args), kwargs) = calls.run_with_reloader.call_args
        assert recording.calls == []
        run(*args, **kwargs)
    assert recording.calls == [((1,), {})]
    calls.raise_last_exception.assert_called()


def test_configure_log_std_sends_prints_to_the_log(records_of):
    records = records_of(COMMAND_LOGGER)
    with streams_to_log():
        print("to the output")  # noqa: T201
        print("to the errors", file=sys.stderr)  # noqa: T201
    assert any("to the output" in message for message in records.messages("INFO"))
    assert any("to the errors" in message for message in records.messages("ERROR"))


def test_run_with_log_std_logs_what_tasks_print(records_of, last):
    @tasks.background(name="prints")
    def prints():
        print("said by the task")  # noqa: T201
        print("complained by the task", file=sys.stderr)  # noqa: T201

    records = records_of(COMMAND_LOGGER)
    prints()
    last()
    with streams_kept():
        work(log_std=True, stdout=OutputWrapper(sys.stdout))
    assert any("said by the task" in message for message in records.messages("INFO"))
    assert any("complained by the task" in message for message in records.messages("ERROR"))


def test_create_signal_manager_installs_the_old_handlers():
    manager = SignalManager()
    assert (manager.kill_now, SignalManager.kill_now) == (False, False)
    assert manager.time_to_wait == SignalManager.time_to_wait == TTW_FAST
    signal.raise_signal(signal.SIGUSR2)
    assert (manager.time_to_wait, manager.kill_now) == (TTW_SLOW, False)
    signal.raise_signal(signal.SIGUSR1)
    assert (manager.time_to_wait, manager.kill_now) == (TTW_FAST, False)
    signal.raise_signal(signal.SIGTSTP)
    assert manager.kill_now is True
    assert SignalManager.kill_now is False


def test_call_methods_of_signal_manager_with_signal_and_frame():
    manager = SignalManager()
    manager.slow_down(signal.SIGUSR2, None)
    assert manager.time_to_wait == TTW_SLOW
    manager.speed_up(signal.SIGUSR1, None)
    assert manager.time_to_wait == TTW_FAST
    manager.exit_gracefully(signal.SIGTSTP, None)
    assert manager.kill_now is True


def test_run_after_slow_signal_pauses_between_tasks(recording, last):
    @tasks.background(name="slows")
    def slows():
        signal.raise_signal(signal.SIGUSR2)

    slows(priority=9)
    recording.proxy(1)
    last()
    begun = time.monotonic()
    work()
    assert time.monotonic() - begun >= 1.0
    assert recording.calls == [((1,), {})]


def test_run_in_two_workers_after_each_other_in_one_process(recording, last):
    first = Recording()
    tasks.background(name="first")(first)()
    last()
    work()
    recording.proxy(1)
    last()
    work()
    assert (first.calls, recording.calls) == ([((), {})], [((1,), {})])


def test_run_idle_says_at_debug_level_that_it_waits(records_of):
    records = records_of(COMMAND_LOGGER)
    work(duration=1)
    assert "waiting for tasks" in records.messages("DEBUG")
    assert "waiting for tasks" not in records.messages("INFO")


@pytest.mark.usefixtures("end_without_work")
def test_run_tasks_starts_each_with_an_empty_log_of_queries(mode, settings):
    """A worker with DEBUG would otherwise hoard the queries of all tasks."""
    settings.DEBUG = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = 1
    logged = []

    @tasks.background(name="asks")
    def asks():
        logged.append(len(connection.queries_log))
        for _ in range(30):
            Task.objects.exists()

    asks()
    asks()
    work(duration=60)
    assert len(logged) == 2
    assert max(logged) < 15
