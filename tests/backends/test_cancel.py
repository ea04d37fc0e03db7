"""Tasks of ``django.tasks`` that somebody cancels."""

from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from background_task import TaskCancelled, acancel, cancel
from background_task.exceptions import TaskCancelledError
from background_task.models import CompletedTask, Task as Row
from background_task.store import get_store
from background_task.task_framework import TaskResultStatus
from tests.backends import tasks
from tests.backends.running import LONG, work
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

FAILED = TaskResultStatus.FAILED


def test_a_task_that_waits_has_failed_and_that_is_told(told):
    result = tasks.add.enqueue(1)
    assert cancel(result.id) == "cancelled"
    result.refresh()
    assert (result.status, result.attempts, result.started_at) == (FAILED, 0, None)
    assert result.finished_at is not None
    (error,) = result.errors
    assert error.exception_class is TaskCancelledError
    assert error.traceback == "cancelled: it had not begun"
    assert [(each[0], each[2]) for each in told] == [
        ("task_enqueued", "READY"),
        ("task_finished", "FAILED"),
    ]
    assert told[1][3] == result
    assert cancel(result.id) == "finished"
    assert len(told) == 2


def test_a_task_that_waits_is_discarded_at_once(told):
    result = tasks.add.enqueue(1)
    assert get_store().discard(UUID(result.id), reason="why not") == "discarded"
    result.refresh()
    assert result.errors[-1].traceback == "why not"
    assert [(each[0], each[2]) for each in told] == [
        ("task_enqueued", "READY"),
        ("task_finished", "FAILED"),
    ]


def test_nobody_is_told_of_what_is_rolled_back(told):
    result = tasks.add.enqueue(1)
    with transaction.atomic():
        assert cancel(result.id) == "cancelled"
        transaction.set_rollback(True)
    result.refresh()
    assert result.status == TaskResultStatus.READY
    assert len(told) == 1


def test_a_claimed_task_that_goes_back_has_ended_instead(told):
    result = tasks.add.enqueue(1)
    store = get_store()
    claim = store.claim_one(Row.objects.get().pk, "w")
    assert cancel(result.id) == "requested"
    assert store.release([claim]) == 0
    result.refresh()
    assert result.status == FAILED
    assert told[-1][3] == result
    assert [each[0] for each in told] == ["task_enqueued", "task_finished"]


@pytest.mark.parametrize("options", [{}, {"threads": 2}], ids=str)
def test_a_task_that_runs_is_ended(monkeypatch, settings, told, options):
    monkeypatch.setattr("background_task.worker.cancel.ASK_SECONDS", 0.05)
    settings.BACKGROUND_TASK_CANCEL_GRACE_SECONDS = 0.05
    result = tasks.cancel_itself.enqueue()
    Worker(sleep=LONG, **options).run(until=lambda name, fields: name == "cancel")
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 1)
    assert [each.exception_class for each in result.errors] == [TaskCancelled, TaskCancelledError]
    assert [each[0] for each in told] == ["task_enqueued", "task_started", "task_finished"]
    assert told[-1][2] == "FAILED"


def test_a_task_of_a_backend_without_signals_is_cancelled_quietly(settings, told):
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND, "OPTIONS": {"signals": False}}}
    result = tasks.add.enqueue(1)
    assert cancel(result.id) == "cancelled"
    result.refresh()
    assert result.status == FAILED
    assert told == []


def test_a_task_that_is_not_there_any_more_can_be_cancelled():
    result = tasks.add.enqueue(1)
    Row.objects.update(task_name="tests.backends.tasks.gone")
    assert cancel(result.id) == "cancelled"
    assert CompletedTask.objects.get().cancelled_at


@pytest.mark.django_db
def test_a_coroutine_cancels_one():
    result = tasks.add.enqueue(1)
    assert async_to_sync(acancel)(result.id) == "cancelled"
    work()
    result.refresh()
    assert (result.status, tasks.calls) == (FAILED, [])
