"""``OPTIONS["immediate"]``: a task is run where it is queued, by the road that all take."""

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from background_task.models import CompletedTask, Task as Row
from background_task.task_framework import TaskResultStatus
from tests.backends import tasks
from tests.backends.running import attempt

pytestmark = pytest.mark.django_db


def test_a_task_has_run_when_enqueue_returns(verbs, told, calls):
    result = verbs.enqueue(tasks.at_once, 4)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert result.return_value == 0.25
    assert calls == [("at_once", 4)]
    assert result.worker_ids == ["background_task.backends.DatabaseBackend"]
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert [each[0] for each in told] == ["task_enqueued", "task_started", "task_finished"]
    assert verbs.get_result(tasks.at_once, result.id) == result
    assert not Row.objects.exists()


def test_its_failure_is_a_result_and_no_exception(verbs):
    result = verbs.enqueue(tasks.at_once, 0)
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is ZeroDivisionError
    assert CompletedTask.objects.count() == 1


def test_an_exit_of_a_task_is_its_failure():
    result = tasks.leave.using(backend="immediate").enqueue()
    assert result.errors[0].exception_class is SystemExit


def test_ctrl_c_is_the_callers():
    with pytest.raises(KeyboardInterrupt):
        tasks.interrupt.using(backend="immediate").enqueue()
    assert Row.objects.get().attempts == 0


def test_a_coroutine_function_is_run_too(verbs):
    assert verbs.enqueue(tasks.aadd.using(backend="immediate"), 1).return_value == 2


def test_another_attempt_is_a_workers(calls):
    task = tasks.fail.using(backend="immediate", max_attempts=2, backoff=3600)
    result = task.enqueue()
    assert (result.status, result.attempts) == (TaskResultStatus.READY, 1)
    attempt()
    result.refresh()
    assert (result.status, result.attempts) == (TaskResultStatus.FAILED, 2)


@pytest.mark.django_db(transaction=True)
def test_it_is_run_before_the_callers_transaction_is_committed():
    with transaction.atomic():
        result = tasks.at_once.enqueue(1)
        assert result.is_finished
        transaction.set_rollback(True)
    assert not Row.objects.exists()
    assert not CompletedTask.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_is_run_in_a_coroutine_outside_of_any_transaction():
    result = async_to_sync(tasks.at_once.aenqueue)(1)
    assert result.return_value == 1.0
