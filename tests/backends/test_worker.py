"""What becomes of tasks that a worker runs."""

import pytest

from background_task.exceptions import InvalidPayloadError, ResultNotKeptError
from background_task.models import CompletedTask, Task as Row
from background_task.task_framework import TaskResultStatus, task_backends
from tests.backends import tasks
from tests.backends.running import finished, work
from tests.worker.conftest import threads

__all__ = ["threads"]  # a fixture

pytestmark = pytest.mark.django_db

FAILED, SUCCESSFUL = TaskResultStatus.FAILED, TaskResultStatus.SUCCESSFUL


@pytest.mark.parametrize("task", [tasks.add, tasks.aadd], ids=["function", "coroutine"])
def test_a_task_is_called_with_its_arguments(task, calls):
    result = finished(task.enqueue(1, second=2))
    assert calls == [(task.name, (1, 2))]
    assert (result.status, result.return_value, result.attempts) == (SUCCESSFUL, 3, 1)


@pytest.mark.django_db(transaction=True)
def test_a_worker_with_threads_or_without_runs_them_all(threads):
    results = [task.enqueue(number) for number in range(3) for task in (tasks.add, tasks.aadd)]
    failing = tasks.fail.enqueue()
    worker = work(threads=threads)
    for result in results:
        result.refresh()
        assert (result.status, result.worker_ids) == (SUCCESSFUL, [worker.name])
    failing.refresh()
    assert (failing.status, failing.worker_ids) == (FAILED, [worker.name])
    assert worker.summary.succeeded == len(results)
    assert not Row.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_worker_with_an_event_loop_runs_them_all():
    results = [task.enqueue(number) for number in range(3) for task in (tasks.add, tasks.aadd)]
    failing = tasks.afail.enqueue()
    work(concurrency=3)
    for result in results:
        result.refresh()
        assert (result.status, result.return_value) == (SUCCESSFUL, result.args[0] + 1)
    failing.refresh()
    assert (failing.status, failing.errors[0].exception_class) == (FAILED, LookupError)


def test_the_context_tells_of_the_run(calls):
    result = finished(tasks.context.enqueue("hello"))
    assert result.return_value == f"{result.id} 1 hello"
    ((_, context),) = calls
    assert context.task_result.id == result.id
    assert context.task_result.task == result.task
    assert (context.task_result.args, context.task_result.kwargs) == (["hello"], {})


def test_a_coroutine_takes_the_context_too():
    result = finished(tasks.acontext.enqueue(text="hello"))
    assert result.return_value == f"{result.id} 1 hello"


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        (tasks.fail, ValueError),
        (tasks.fail_hopelessly, tasks.Hopeless),
        (tasks.leave, SystemExit),
        (tasks.interrupt, KeyboardInterrupt),
        (tasks.fail_twice, tasks.NestedError),
    ],
    ids=lambda value: getattr(value, "name", value.__class__.__name__),
)
def test_whatever_a_task_raises_it_has_failed_and_the_worker_goes_on(task, kind):
    failing, other = task.enqueue(), tasks.add.using(priority=-1).enqueue(1)
    work()
    failing.refresh()
    other.refresh()
    assert failing.status == FAILED
    assert failing.errors[0].exception_class is kind
    last = failing.errors[0].traceback.rstrip("\n").rpartition("\n")[2]
    assert last.startswith(kind.__name__) or f".{kind.__name__}" in last
    assert other.status == SUCCESSFUL


def test_an_exception_that_holds_another_can_be_kept():
    (error,) = finished(tasks.fail_twice.enqueue()).errors
    assert error.traceback.endswith("NestedError: the first\n")
    assert "ValueError: the first\n" in error.traceback


@pytest.mark.parametrize("path", ["subprocess.check_output", "tests.backends.tasks.not_a_task"])
def test_a_path_to_something_else_is_never_called(path):
    result = tasks.add.enqueue(1)
    Row.objects.update(task_name=path)
    work()
    row = CompletedTask.objects.get()
    assert row.failed_at
    assert f"Task {result.id} does not point to a Task ({path})" in row.last_error
    assert "SuspiciousOperation" in row.last_error


def test_a_path_that_leads_nowhere_fails_and_the_worker_goes_on():
    for path in ("tests.gone.add", "tests.backends.tasks.gone", "gone", ""):
        result = tasks.add.enqueue(1)
        Row.objects.filter(uid=result.id).update(task_name=path)
    other = tasks.add.using(priority=-1).enqueue(2)
    work()
    other.refresh()
    assert other.status == SUCCESSFUL
    failed = CompletedTask.objects.filter(failed_at__isnull=False)
    assert failed.count() == 4
    for row in failed:
        assert "ImportError" in row.last_error or "ModuleNotFoundError" in row.last_error


def test_a_module_that_ends_the_process_does_not_end_the_worker():
    result = tasks.add.enqueue(1)
    Row.objects.update(task_name="tests.backends.exiting.task")
    other = tasks.add.using(priority=-1).enqueue(2)
    work()
    with pytest.raises(ImportError, match=r"exiting\.task ended with SystemExit\(3\)"):
        tasks.add.get_result(result.id)
    other.refresh()
    assert other.status == SUCCESSFUL
    assert "SystemExit(3)" in CompletedTask.objects.get(failed_at__isnull=False).last_error


def test_arguments_that_cannot_be_read_fail_and_the_worker_goes_on():
    result = tasks.add.enqueue(1)
    Row.objects.update(task_params="[broken")
    other = tasks.add.using(priority=-1).enqueue(2)
    work()
    other.refresh()
    assert other.status == SUCCESSFUL
    assert "is not JSON" in CompletedTask.objects.get(failed_at__isnull=False).last_error
    with pytest.raises(InvalidPayloadError, match="is not JSON"):
        tasks.add.get_result(result.id)


def test_a_task_can_queue_another(calls):
    finished(tasks.queue_another.enqueue())
    assert calls == [("add", (1, 1))]


def test_a_result_that_is_too_large_is_a_failure(monkeypatch):
    monkeypatch.setattr("background_task.worker.queued.LARGEST_RESULT", 10)
    assert finished(tasks.echo.enqueue("x" * 8)).return_value == "x" * 8
    (error,) = finished(tasks.echo.enqueue("x" * 9)).errors
    assert error.exception_class is ResultNotKeptError


def test_many_are_worked_off_with_what_each_has_become():
    results = [
        (tasks.fail if number % 3 == 0 else tasks.echo).enqueue(str(number)) for number in range(9)
    ]
    work()
    read = [task_backends["default"].get_result(result.id) for result in results]
    assert [each.status for each in read] == [FAILED, SUCCESSFUL, SUCCESSFUL] * 3
    assert [each.return_value for each in read if each.status == SUCCESSFUL] == [
        *("1", "2", "4", "5", "7", "8")
    ]
