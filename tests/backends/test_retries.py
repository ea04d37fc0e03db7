"""Tasks that are tried more than once, because somebody asked for it; and lost attempts."""

from datetime import timedelta

import pytest

from background_task import api
from background_task.exceptions import AttemptLostError
from background_task.models import CompletedTask, Task as Row, Worker as WorkerRow
from background_task.store import get_store
from background_task.task_framework import TaskResultStatus, task_backends
from background_task.worker.recovery import recover
from tests.backends import tasks
from tests.backends.running import attempt, finished, work
from tests.store.rows import LEASE, worker

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
READY, FAILED = TaskResultStatus.READY, TaskResultStatus.FAILED


def test_between_two_attempts_a_task_is_ready_again():
    result = tasks.fail_at_first.using(backoff=HOUR).enqueue(2)
    first, second = attempt(), attempt()
    result.refresh()
    assert result.status == READY
    assert not result.is_finished
    assert result.finished_at is None
    with pytest.raises(ValueError, match="has not finished yet"):
        result.return_value  # noqa: B018 - it raises
    assert [each.exception_class for each in result.errors] == [ValueError] * 2
    assert [each.traceback.splitlines()[-1] for each in result.errors] == [
        "ValueError: call 1",
        "ValueError: call 2",
    ]
    assert (result.attempts, result.worker_ids) == (2, [first.name, second.name])
    assert result.enqueued_at <= result.started_at < result.last_attempted_at


def test_after_the_last_attempt_all_of_them_are_told():
    result = tasks.fail_at_first.using(backoff=HOUR).enqueue(2)
    workers = [attempt().name for _ in range(3)]
    result.refresh()
    assert result.return_value == 3
    assert (len(result.errors), result.worker_ids) == (2, workers)
    assert result.started_at < result.last_attempted_at <= result.finished_at


def test_attempts_end():
    result = finished(tasks.fail_at_first.enqueue(9))
    assert result.status == FAILED
    assert (result.attempts, len(result.errors)) == (3, 3)
    assert not Row.objects.exists()


def test_the_context_of_a_later_attempt_knows_of_the_earlier_ones(calls):
    tasks.context_of_second.using(backoff=HOUR).enqueue()
    first, second = attempt(), attempt()
    ((_, context),) = [each for each in calls if each[0] == "context_of_second"]
    assert context.attempt == 2
    assert context.task_result.worker_ids == [first.name, second.name]
    assert [each.exception_class for each in context.task_result.errors] == [LookupError]
    assert context.task_result.started_at < context.task_result.last_attempted_at
    assert not Row.objects.exists()


def test_of_more_attempts_than_are_remembered_the_number_is_right():
    result = finished(tasks.fail_at_first.using(max_attempts=14).enqueue(12))
    assert result.return_value == 13
    assert result.attempts == 13
    assert len(result.errors) == 10
    assert result.worker_ids.count("unknown") == 2


def test_without_asking_a_task_is_tried_once():
    assert finished(tasks.fail.enqueue()).attempts == 1
    result = tasks.fail.using(max_attempts=2, backoff=HOUR).enqueue()
    assert finished(result).status == READY
    attempt()
    result.refresh()
    assert (result.status, result.attempts) == (FAILED, 2)


def lose(result, *, attempts=0):
    """Let a worker claim the row and die; then let others find out."""
    store = get_store()
    Row.objects.update(attempts=attempts)
    WorkerRow.objects.all().delete()
    worker("dead", now=store.now() - 2 * LEASE)
    assert store.claim_one(Row.objects.get(uid=result.id).pk, "dead")
    result.refresh()
    assert (result.status, result.worker_ids[-1]) == (TaskResultStatus.RUNNING, "dead")
    assert recover(store) == 1
    result.refresh()
    return result


def test_a_task_that_is_lost_with_its_only_attempt_has_failed(told):
    result = lose(tasks.add.enqueue(1))
    assert (result.status, result.attempts) == (FAILED, 1)
    assert result.worker_ids == ["dead"]
    (error,) = result.errors
    assert error.exception_class is AttemptLostError
    assert "attempt 1 was lost: its worker dead stopped" in error.traceback
    assert result.started_at == result.last_attempted_at <= result.finished_at
    assert [(each[0], each[2]) for each in told[1:]] == [("task_finished", "FAILED")]
    assert told[1][3] == result


def test_a_task_that_is_lost_with_one_of_several_is_ready_again(told):
    result = lose(tasks.fail_at_first.enqueue(0))
    assert (result.status, result.worker_ids, result.attempts) == (READY, ["dead"], 1)
    assert result.errors[0].exception_class is AttemptLostError
    assert len(told) == 1
    second = work()
    result.refresh()
    assert result.worker_ids == ["dead", second.name]
    assert result.return_value == 1


def test_what_a_task_says_of_itself_is_known_where_it_is_lost():
    result = lose(tasks.insist.enqueue())
    assert result.status == READY
    assert Row.objects.get().run_at > get_store().now() - timedelta(minutes=1)


def test_a_lost_task_of_an_alias_that_is_gone_is_ended(settings, told):
    result = tasks.fail_at_first.enqueue(0)
    del told[:]
    settings.TASKS = {"default": settings.TASKS["default"]}
    store = get_store()
    worker("dead", now=store.now() - 2 * LEASE)
    assert store.claim_one(Row.objects.get().pk, "dead")
    assert recover(store) == 1
    assert CompletedTask.objects.get().failed_at  # retries were the wish of the alias
    read = task_backends["default"].get_result(result.id)
    assert (read.status, read.backend, told) == (FAILED, "retrying", [])


def fail_all():
    """Let each attempt fail as a dead worker's does."""
    store = get_store()
    WorkerRow.objects.all().delete()
    worker("dead", now=store.now() - 2 * LEASE)
    for key in Row.objects.values_list("pk", flat=True):
        assert store.claim_one(key, "dead")
    recover(store)
    assert not Row.objects.exists()


def test_a_unique_task_that_is_tried_anew_is_unique():
    tasks.once.enqueue(1)
    fail_all()
    (uid,) = api.retry_tasks().uids
    assert tasks.once.enqueue(number=1).id == str(uid)
    assert tasks.once.enqueue(2).id != str(uid)
    assert Row.objects.count() == 2


def test_a_unique_task_is_not_tried_anew_beside_another():
    tasks.once.enqueue(1)
    fail_all()
    tasks.once.enqueue(1)
    done = api.retry_tasks()
    assert (done.retried, done.held_back) == (0, 1)
    assert Row.objects.count() == 1


def test_a_limited_task_that_is_tried_anew_counts_in_its_limit():
    tasks.limited.enqueue(1)
    key = Row.objects.get().limit_key
    fail_all()
    assert api.retry_tasks().retried == 1
    assert key is not None
    assert Row.objects.get().limit_key == key


def test_a_task_whose_path_leads_nowhere_can_be_tried_anew():
    tasks.once.enqueue(1)
    fail_all()
    CompletedTask.objects.update(task_name="tests.backends.tasks.gone")
    assert api.retry_tasks().retried == 1
