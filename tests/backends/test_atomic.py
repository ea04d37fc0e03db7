"""Tasks that are one transaction with their end."""

import pytest

from background_task.exceptions import InvalidOptionTypeError
from background_task.models import CompletedTask, Task as Row
from background_task.task_framework import InvalidTask, TaskResultStatus
from tests.app.models import Ledger
from tests.backends import tasks
from tests.backends.running import finished, work
from tests.worker.conftest import threads

__all__ = ["threads"]  # a fixture

pytestmark = pytest.mark.django_db


@pytest.mark.django_db(transaction=True)
def test_its_value_is_told_once(threads, told):
    result = tasks.pay.enqueue("a")
    work(threads=threads)
    result.refresh()
    assert result.return_value == "paid a"
    assert [each[0] for each in told] == ["task_enqueued", "task_started", "task_finished"]
    ended = told[-1][3]
    assert (ended.status, ended.return_value) == (TaskResultStatus.SUCCESSFUL, "paid a")
    assert ended == result
    assert Ledger.objects.count() == 1


def test_a_value_that_json_cannot_hold_takes_everything_back(told):
    result = finished(tasks.pay.enqueue(None))
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is TypeError
    assert not Ledger.objects.exists()
    assert [each[2] for each in told] == ["READY", "RUNNING", "FAILED"]


def test_a_failure_takes_everything_back():
    result = finished(tasks.pay.enqueue("fail"))
    assert result.errors[0].exception_class is ValueError
    assert (Row.objects.count(), CompletedTask.objects.count()) == (0, 1)
    assert not Ledger.objects.exists()


def test_a_backend_may_say_so_for_all_its_tasks(settings):
    options = {"OPTIONS": {"atomic": True}}
    settings.TASKS = {"default": {**settings.TASKS["default"], **options}}
    result = finished(tasks.keep.enqueue("b"))
    assert result.status == TaskResultStatus.FAILED
    assert not Ledger.objects.exists()
    finished(tasks.keep.using(atomic=False).enqueue("b"))
    assert Ledger.objects.count() == 1


def test_a_coroutine_function_cannot_be_one(settings):
    with pytest.raises(InvalidOptionTypeError, match="atomic=True needs a plain function"):
        tasks.aadd.using(atomic=True)
    task = tasks.aadd.using(atomic=False)
    options = {"OPTIONS": {"atomic": True}}
    settings.TASKS = {"default": {**settings.TASKS["default"], **options}}
    with pytest.raises(InvalidTask, match=r"coroutine function.*use atomic=False"):
        tasks.aadd.enqueue(1)
    assert finished(task.enqueue(1)).return_value == 2
