"""What can be read of a task later, by whoever has its id."""

import copy
import pickle

import pytest
from django import VERSION
from django.core.exceptions import SuspiciousOperation

from background_task.models import CompletedTask, Task as Row
from background_task.task_framework import TaskResultDoesNotExist, TaskResultStatus, task_backends
from tests.backends import tasks
from tests.backends.running import finished, work

try:
    from django.tasks.exceptions import TaskResultMismatch
except ImportError:
    from django_tasks.exceptions import TaskResultMismatch

pytestmark = pytest.mark.django_db

MALFORMED = ["", "123", "no-uuid", "00000000-0000-7000-8000-000000000000", "é" * 32, "x" * 10_000]


def test_an_id_that_leads_nowhere_is_said_so(verbs, backend):
    for result_id in (*MALFORMED, None, 123, b"123"):
        for source in (backend, tasks.add):
            with pytest.raises(TaskResultDoesNotExist):
                verbs.get_result(source, result_id)


def test_a_task_of_background_is_no_result(backend):
    from tests.app.tasks import record

    with pytest.raises(TaskResultDoesNotExist):
        backend.get_result(str(record("a").uid))


def test_reading_a_result_is_one_query_wherever_the_task_is(
    verbs, backend, django_assert_num_queries
):
    waiting, done = tasks.add.enqueue(1), finished(tasks.add.enqueue(1))
    running = tasks.add.enqueue(1)
    Row.objects.filter(uid=running.id).update(locked_by="somebody")
    waiting = tasks.add.enqueue(1)
    for result, status in ((waiting, "READY"), (running, "RUNNING"), (done, "SUCCESSFUL")):
        with django_assert_num_queries(1):
            assert verbs.get_result(backend, result.id).status == status
        with django_assert_num_queries(1):
            verbs.refresh(result)
        assert result.status == status


def test_a_result_that_was_thrown_away_cannot_be_refreshed(verbs):
    result = finished(tasks.add.enqueue(1))
    CompletedTask.objects.all().delete()
    with pytest.raises(TaskResultDoesNotExist, match=result.id):
        verbs.refresh(result)


def test_another_function_does_not_give_out_the_result(verbs):
    result = tasks.add.enqueue(1)
    with pytest.raises(TaskResultMismatch, match=r"tests\.backends\.tasks\.add"):
        verbs.get_result(tasks.echo, result.id)


def test_another_alias_of_ours_gives_it_out():
    result = tasks.add.using(backend="any", queue_name="strange").enqueue(1)
    read = task_backends["default"].get_result(result.id)
    assert (read.backend, read.task.backend, read.task.queue_name) == ("any", "any", "strange")
    assert read == result


def test_a_result_is_as_it_was_until_it_is_refreshed(verbs):
    result = verbs.enqueue(tasks.add, 2, second=3)
    before = copy.deepcopy(result)
    worker = work()
    assert result == before
    verbs.refresh(result)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.is_finished
    assert result.return_value == 5
    assert result.enqueued_at == before.enqueued_at
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.last_attempted_at == result.started_at
    assert (result.attempts, result.worker_ids, result.errors) == (1, [worker.name], [])
    assert verbs.get_result(tasks.add, result.id) == result


def test_a_task_that_failed_tells_why(verbs):
    result = verbs.enqueue(tasks.fail, "it is late")
    worker = work()
    verbs.refresh(result)
    assert (result.status, result.is_finished) == (TaskResultStatus.FAILED, True)
    with pytest.raises(ValueError, match="Task failed"):
        result.return_value  # noqa: B018 - it raises
    (error,) = result.errors
    assert error.exception_class is ValueError
    assert error.exception_class_path == "builtins.ValueError"
    assert error.traceback.startswith("Traceback (most recent call last)")
    assert error.traceback.endswith("ValueError: it is late\n")
    assert "in fail" in error.traceback
    assert (result.attempts, result.worker_ids) == (1, [worker.name])
    assert result.started_at == result.last_attempted_at <= result.finished_at


def test_of_a_running_task_the_worker_is_known(calls):
    result = tasks.look.enqueue()
    worker = work()
    ((_, seen),) = calls
    assert seen.id == result.id
    assert seen.status == TaskResultStatus.RUNNING
    assert seen.worker_ids == [worker.name]
    assert seen.attempts == 1
    assert seen.started_at == seen.last_attempted_at >= result.enqueued_at
    assert seen.finished_at is None
    with pytest.raises(ValueError, match="Task has not finished yet"):
        seen.return_value  # noqa: B018 - it raises


def test_none_is_a_return_value():
    result = finished(tasks.elsewhere.enqueue())
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value is None


def test_a_return_value_comes_back():
    values = [0, "", [], {}, False, "\0 ☃ 😀", {"a": [1.5, None, {}]}]
    results = [tasks.echo.enqueue(value) for value in values]
    assert [finished(result).return_value for result in results] == values


def test_a_return_value_is_normalised():
    assert finished(tasks.give.enqueue("bytes")).return_value == "Grüße"
    assert finished(tasks.give.enqueue("tuple")).return_value == [1, [2]]


def test_what_json_cannot_hold_makes_a_return_a_failure():
    result = finished(tasks.give.enqueue("object"))
    assert result.status == TaskResultStatus.FAILED
    assert result._return_value is None
    (error,) = result.errors
    assert error.exception_class is TypeError
    assert "Unsupported type" in error.traceback.splitlines()[-1]


def test_a_path_that_leads_to_something_else_is_suspicious(verbs, backend):
    result = tasks.add.enqueue(1)
    for path in ("subprocess.check_output", "tests.backends.tasks.not_a_task"):
        Row.objects.update(task_name=path)
        with pytest.raises(SuspiciousOperation) as raised:
            verbs.get_result(backend, result.id)
        assert str(raised.value) == f"Task {result.id} does not point to a Task ({path})"


def test_a_path_that_leads_nowhere_is_an_import_error(verbs, backend):
    result = tasks.add.enqueue(1)
    for path in ("tests.gone.add", "tests.backends.tasks.gone", "gone", ""):
        Row.objects.update(task_name=path)
        with pytest.raises(ImportError):
            verbs.get_result(backend, result.id)


def test_a_copy_is_a_result_of_its_own():
    result = finished(tasks.fail.enqueue())
    other = copy.deepcopy(result)
    assert other == result
    other.errors.clear()
    other.worker_ids.append("more")
    assert len(result.errors) == len(result.worker_ids) == 1


def test_a_result_can_be_pickled_where_tasks_can():
    result = finished(tasks.add.using(priority=7, queue_name="other").enqueue(1))
    if VERSION < (6, 1):
        with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
            pickle.dumps(result)
        return
    loaded = pickle.loads(pickle.dumps(result))
    assert loaded == result
    assert loaded.task == result.task
    loaded.refresh()
    assert loaded.return_value == 2


def test_what_was_finished_by_hand_is_read_as_well(backend):
    result = tasks.add.enqueue(1)
    Row.objects.update(failed_at=result.enqueued_at)
    read = backend.get_result(result.id)
    assert read.status == TaskResultStatus.FAILED
    assert len(read.errors) == 1
    assert not CompletedTask.objects.exists()


def test_a_result_whose_value_is_not_to_be_kept_says_none(settings):
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": {"keep_result": False}}}
    result = finished(tasks.add.enqueue(1))
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value is None


def test_a_key_that_is_no_text_becomes_text():
    assert finished(tasks.echo.enqueue({1: {2: 3}})).return_value == {"1": {"2": 3}}


def test_errors_that_belong_to_no_attempt_do_no_harm():
    result = finished(tasks.fail.enqueue())
    (row,) = CompletedTask.objects.all()
    for number in ("9", "-5", "0"):
        errors = row.errors.replace('"attempt":1', f'"attempt":{number}')
        assert errors != row.errors
        CompletedTask.objects.update(errors=errors)
        result.refresh()
        assert (result.attempts, len(result.errors)) == (1, 1)
