"""What ``enqueue`` stores and returns, in functions and in coroutines."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest
from asgiref.sync import async_to_sync
from django import VERSION
from django.db import connection, transaction

from background_task.backends import DatabaseBackend
from background_task.models import CompletedTask, Task as Row
from background_task.payload import argument
from background_task.task_framework import TaskResultStatus, task_backends
from tests.backends import tasks
from tests.backends.running import finished, make_due, work

pytestmark = pytest.mark.django_db

LOGGER = "django.tasks" if VERSION >= (6, 0) else "django_tasks"
TOMORROW = datetime.now(timezone.utc) + timedelta(days=1)


@pytest.mark.parametrize("task", [tasks.add, tasks.aadd], ids=["function", "coroutine"])
def test_a_new_result_says_that_nothing_has_happened_yet(verbs, task):
    result = verbs.enqueue(task, 1, second=[2, {"three": None}])
    assert str(UUID(result.id)) == result.id
    assert len(result.id) <= 64
    assert result.status == TaskResultStatus.READY
    assert result.is_finished is False
    assert result.enqueued_at is not None
    assert result.started_at is result.last_attempted_at is result.finished_at is None
    with pytest.raises(ValueError, match="Task has not finished yet"):
        result.return_value  # noqa: B018 - it raises
    assert result.task == task
    assert (result.args, result.kwargs) == ([1], {"second": [2, {"three": None}]})
    assert result.backend == "default"
    assert (result.attempts, result.errors, result.worker_ids) == (0, [], [])


def test_a_call_is_one_row_that_says_what_is_to_be_run(verbs):
    task = tasks.add.using(priority=-7, queue_name="other", run_after=TOMORROW, backend="any")
    result = verbs.enqueue(task, 1)
    row = Row.objects.get()
    assert (str(row.uid), row.backend) == (result.id, "any")
    assert row.task_name == task.module_path == "tests.backends.tasks.add"
    assert (row.priority, row.queue, row.run_at) == (-7, "other", TOMORROW)
    assert (row.locked_by, row.started_at, row.attempts) == (None, None, 0)


def test_a_call_is_one_query(verbs, django_assert_num_queries):
    with django_assert_num_queries(1) as queries:
        verbs.enqueue(tasks.add.using(run_after=TOMORROW, priority=3), 1)
    assert queries.captured_queries[0]["sql"].startswith("INSERT")


def test_the_result_of_enqueue_is_equal_to_what_is_read_later(verbs, backend):
    task = tasks.add.using(priority=5, queue_name="other", run_after=TOMORROW)
    result = verbs.enqueue(task, (1, 2), second={"a": ({1: True},)})
    assert result.args == [[1, 2]]
    read = verbs.get_result(backend, result.id)
    assert read == result
    assert read.task == task


@pytest.mark.parametrize("zone", [timezone.utc, timezone(timedelta(hours=5, minutes=45))])
def test_a_time_before_which_a_task_is_not_to_run_comes_back_as_it_was(zone):
    task = tasks.add.using(run_after=TOMORROW.astimezone(zone))
    read = task.get_result(task.enqueue(1).id)
    assert read.task.run_after == TOMORROW
    assert read.task.run_after.utcoffset() == TOMORROW.astimezone(zone).utcoffset()


@pytest.mark.parametrize("has_zones", [True, False])
def test_no_such_time_comes_back_as_none(settings, has_zones):
    settings.USE_TZ = has_zones
    result = tasks.add.enqueue(1)
    assert tasks.add.get_result(result.id).task.run_after is None


def test_without_time_zones_a_time_may_be_naive(settings):
    settings.USE_TZ = False
    task = tasks.add.using(run_after=datetime(2126, 1, 2, 3, 4, 5, 678901))
    assert task.get_result(task.enqueue(1).id).task == task


def test_a_task_with_a_time_is_run_when_that_has_come(calls):
    result = tasks.add.using(run_after=TOMORROW).enqueue(1)
    work()
    assert calls == []
    make_due()
    assert finished(result).return_value == 2
    assert tasks.add.get_result(result.id).task.run_after == TOMORROW


def test_what_json_does_not_know_is_refused_or_turned_into_what_it_knows(verbs):
    result = verbs.enqueue(tasks.add, b"Gr\xc3\xbc\xc3\x9fe", (1, range(2), {7: bytearray(b"a")}))
    assert result.args == ["Grüße", [1, [0, 1], {"7": [97]}]]
    for value in (object(), {1, 2}, TOMORROW, UUID(int=1), {}.keys()):
        with pytest.raises(TypeError, match="Unsupported type"):
            verbs.enqueue(tasks.add, value)
    with pytest.raises(ValueError, match="Unsupported value"):
        verbs.enqueue(tasks.add, b"\xff")
    assert Row.objects.count() == 1


def test_what_looks_like_one_of_our_own_stored_forms_stays_what_it_is(verbs):
    value = {argument.TAG: ["datetime", "2026-01-01T00:00:00"]}
    result = verbs.enqueue(tasks.echo, value)
    assert result.args == [value]
    assert finished(result).return_value == value
    assert tasks.calls == [("echo", value)]


def test_a_call_that_the_function_does_not_take_is_refused(verbs):
    with pytest.raises(TypeError, match=r"tests\.backends\.tasks\.add cannot be called so"):
        verbs.enqueue(tasks.add)
    with pytest.raises(TypeError, match="unexpected keyword"):
        verbs.enqueue(tasks.add, 1, third=3)
    assert verbs.enqueue(tasks.context).args == []  # without the context
    assert Row.objects.count() == 1


def test_each_priority_that_is_valid_can_be_stored():
    for priority in (-100, 0, 100, True, 3.0):
        task = tasks.add.using(priority=priority)
        result = task.enqueue(1)
        assert tasks.add.get_result(result.id).task == task
        assert Row.objects.get(uid=result.id).priority == priority


def test_it_is_logged_with_its_id(verbs, caplog):
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        result = verbs.enqueue(tasks.add, 1)
    (line,) = [each for each in caplog.records if each.name == LOGGER]
    assert line.levelname == "DEBUG"
    assert "enqueued" in line.getMessage()
    assert result.id in line.getMessage()


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_rolled_back_takes_its_tasks_with_it():
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        assert tasks.add.get_result(result.id) == result  # not only after the commit
        transaction.set_rollback(True)
    assert not Row.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_others_see_a_task_once_it_is_committed():
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        transaction.on_commit(lambda: seen.append(_seen_by_others(result.id)))
        seen = [_seen_by_others(result.id)]
    assert seen == [False, True]


def _seen_by_others(uid):
    def look():
        try:
            return Row.objects.filter(uid=uid).exists()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(look).result()


@pytest.mark.django_db(transaction=True)
def test_coroutines_may_queue_side_by_side():
    async def queue_all():
        return await asyncio.gather(*(tasks.add.aenqueue(number) for number in range(10)))

    results = async_to_sync(queue_all)()
    assert [result.args for result in results] == [[number] for number in range(10)]
    assert {str(row.uid) for row in Row.objects.all()} == {result.id for result in results}


def test_all_that_a_backend_can_support_is_supported(backend):
    assert type(backend) is DatabaseBackend
    assert backend.supports_defer
    assert backend.supports_async_task
    assert backend.supports_get_result
    assert backend.supports_priority


def test_a_backend_keeps_nothing_between_calls(backend):
    result = tasks.add.enqueue(1)
    del task_backends["default"]
    assert task_backends["default"] is not backend
    assert task_backends["default"].get_result(result.id) == result
    assert not CompletedTask.objects.exists()
