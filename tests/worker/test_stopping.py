"""Stopping is not failing (I7), shown on real worker processes."""

import signal
from itertools import pairwise

import pytest

from background_task.models import CompletedTask, Task, Worker
from background_task.tasks import tasks
from tests.app.models import Ledger
from tests.app.tasks import hold, record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until
from tests.worker import tasks as waiting

pytestmark = pytest.mark.django_db(transaction=True)

#: The workers of this file also know the tasks beside it.
SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.worker"]}
#: These have time to clean up, however slow the machine is.
PATIENT = {
    **SETTINGS,
    "TEST_CONSTANTS": {
        "background_task.worker.control.AGAIN_SECONDS": 60,
        "background_task.worker.control.LAST_SECONDS": 60,
    },
}


@pytest.fixture(params=[[], ["--threads", "2"]], ids=["inline", "threads"])
def mode(request):
    return request.param


def has_begun(key):
    wait_until(Ledger.objects.filter(key=f"{key}:started").exists, deadline=30)


def assert_released(task):
    row = Task.objects.get(pk=task.pk)
    assert (row.locked_by, row.locked_at) == (None, None)
    assert (row.attempts, row.last_error, row.failed_at) == (0, "", None)
    assert not Worker.objects.filter(stopped_at=None).exists()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGTSTP", "SIGQUIT"])
def test_signal_lets_the_running_task_finish_and_starts_no_other(mode, name, tmp_path):
    hold("held", str(tmp_path / "go"), priority=1)
    with worker_process("--sleep", "0.1", *mode) as worker:
        has_begun("held")
        worker.send_signal(getattr(signal, name))
        worker.wait_for_line(rf"Stopping \({name}\)")
        record("after")
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert CompletedTask.objects.get().attempts == 1
    assert Task.objects.get().task_name == "tests.app.tasks.record"
    assert Task.objects.get().locked_by is None
    assert f"Stopped ({name})" in worker.output


def test_second_signal_leaves_at_once_and_releases_the_row(mode, tmp_path):
    held = hold("held", str(tmp_path / "never"))
    with worker_process("--sleep", "0.1", *mode) as worker:
        has_begun("held")
        worker.terminate()
        worker.wait_for_line("Stopping")
        worker.interrupt()
        assert worker.wait(20) == 0
    assert_released(held)
    assert "1 released" in worker.output


def test_second_signal_interrupts_a_coroutine(tmp_path):
    held = waiting.hold_later("held", str(tmp_path / "never"))
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        has_begun("held")
        worker.terminate()
        worker.wait_for_line("Stopping")
        worker.terminate()
        assert worker.wait(20) == 0
    assert_released(held)


def test_coroutine_that_is_interrupted_may_clean_up():
    held = waiting.hold_and_clean_up("held")
    with worker_process("--sleep", "0.1", settings=PATIENT) as worker:
        has_begun("held")
        worker.terminate()
        worker.wait_for_line("Stopping")
        worker.terminate()
        assert worker.wait(20) == 0
    assert_released(held)
    assert Ledger.objects.filter(key="held:cleaned up").exists()


def test_coroutine_that_ignores_its_cancellation_is_released(tmp_path):
    held = waiting.ignore_cancellation("held", str(tmp_path / "never"))
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        has_begun("held")
        worker.terminate()
        worker.wait_for_line("Stopping")
        worker.terminate()
        assert worker.wait(20) == 0
    assert_released(held)


def test_signal_to_an_idle_worker_ends_it_at_once():
    with worker_process("--sleep", "300") as worker:
        worker.wait_for_line("worker .* on")
        wait_until(Worker.objects.exists)
        worker.terminate()
        assert worker.wait() == 0


def test_deadline_after_a_signal_releases_what_still_runs(mode, tmp_path):
    held = hold("held", str(tmp_path / "never"))
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.5}
    with worker_process("--sleep", "0.1", *mode, settings=settings) as worker:
        has_begun("held")
        worker.terminate()
        assert worker.wait(20) == 0
    assert_released(held)


def test_end_of_duration_lets_the_running_task_finish(mode, tmp_path):
    hold("held", str(tmp_path / "go"))
    # Longer than the time that a signal would leave it.
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.1}
    with worker_process("--sleep", "0.1", "--duration", "4", *mode, settings=settings) as worker:
        worker.wait_for_line(r"Stopping \(the duration is over\)")
        (tmp_path / "go").touch()
        assert worker.wait() == 0
    assert CompletedTask.objects.get().attempts == 1


def test_end_of_duration_releases_what_runs_longer_than_max_run_time(mode, tmp_path):
    held = hold("held", str(tmp_path / "never"))
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.1, "BACKGROUND_TASK_MAX_RUN_TIME": 0.3}
    with worker_process("--sleep", "0.1", "--duration", "4", *mode, settings=settings) as worker:
        assert worker.wait() == 0
    assert_released(held)


def test_signal_after_the_duration_shortens_the_wait(tmp_path):
    held = hold("held", str(tmp_path / "never"))
    settings = {"BACKGROUND_TASK_SHUTDOWN_SECONDS": 0.3}
    with worker_process("--sleep", "0.1", "--duration", "4", settings=settings) as worker:
        worker.wait_for_line("Stopping")
        worker.terminate()
        assert worker.wait(20) == 0
    assert_released(held)


def test_slow_and_fast_signals_change_the_pause_between_tasks():
    settings = {**SETTINGS}
    with worker_process("--sleep", "0.05", settings=settings) as worker:
        worker.wait_for_line("worker .* on")
        wait_until(Worker.objects.exists)
        worker.send_signal(signal.SIGUSR2)
        for number in range(3):
            record(str(number))
        worker.wait_for_line("Ran task", count=3)
        worker.send_signal(signal.SIGUSR1)
        for number in range(60):
            record(str(number))
        worker.wait_for_line("Ran task", count=63, deadline=29)  # slowly it would take 30
    moments = list(CompletedTask.objects.order_by("run_at").values_list("run_at", flat=True))
    gaps = [(b - a).total_seconds() for a, b in pairwise(moments)]
    assert all(gap >= 0.45 for gap in gaps[:2])
    assert sum(gaps[3:]) < 29


def test_thread_left_running_does_not_keep_the_process(tmp_path):
    waiting.leave_thread(str(tmp_path / "never"))
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        worker.wait_for_line("Ran task")
        worker.terminate()
        assert worker.wait(20) == 0
    assert "Ending although threads of tasks are still running: left behind" in worker.output


def test_handlers_are_put_back_after_a_task_took_them():
    waiting.take_signals()
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        worker.wait_for_line("it had changed the handler of SIGTERM, SIGINT, SIGTSTP")
        worker.terminate()
        assert worker.wait(20) == 0
    assert tasks._tasks["tests.worker.tasks.take_signals"] is waiting.take_signals


def test_task_that_ignores_interruption_is_released_and_the_process_ended(tmp_path):
    stubborn = waiting.ignore_everything("stubborn", str(tmp_path / "never"))
    with worker_process("--sleep", "0.1", settings=SETTINGS) as worker:
        has_begun("stubborn")
        worker.terminate()
        worker.wait_for_line(r"Stopping \(SIGTERM\)")
        worker.terminate()
        assert worker.wait() == 1
    assert_released(stubborn)
    assert "The worker cannot leave" in worker.output
