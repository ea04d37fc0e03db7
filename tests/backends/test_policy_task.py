"""The options of ``@background``, given to a task of ``django.tasks``."""

import copy
from datetime import datetime, timedelta, timezone

import pytest

from background_task.exceptions import (
    AlreadyScheduledError,
    InvalidOptionError,
    InvalidOptionTypeError,
    TaskDiscardedError,
    TaskTimeout,
)
from background_task.models import CompletedTask, Gate, Task as Row
from background_task.policy_task import PolicyTask
from background_task.queued_task import find_queued
from background_task.task_framework import TaskResultStatus
from background_task.task_result import task_of
from tests.backends import tasks
from tests.backends.running import finished, make_due, work

pytestmark = pytest.mark.django_db

LATER = datetime.now(timezone.utc) + timedelta(days=1)
FAILED, READY = TaskResultStatus.FAILED, TaskResultStatus.READY


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_attempts": 0}, InvalidOptionError, r"max_attempts 0 .* use 1"),
        ({"timeout": "long"}, InvalidOptionTypeError, "timeout"),
        ({"unique": 7}, InvalidOptionTypeError, "unique 7 is of type int"),
        ({"unique_until": "finish"}, InvalidOptionError, "no effect without unique"),
        ({"on_conflict": "shout", "unique": True}, InvalidOptionError, "on_conflict 'shout'"),
        ({"rate_limit": "often"}, InvalidOptionError, "rate_limit"),
        ({"concurrency_key": "{gone}", "max_concurrency": 1}, InvalidOptionError, "gone"),
        ({"repeat": "each blue moon"}, InvalidOptionError, "repeat"),
        ({"repeat_count": 3}, InvalidOptionError, "repeat_count 3 has no effect without repeat"),
        ({"catch_up": "all"}, InvalidOptionError, "no effect without repeat"),
        ({"repeat": 60, "repeat_count": 0}, InvalidOptionError, "repeat_count 0"),
        ({"repeat": 60, "repeat_until": 60}, InvalidOptionTypeError, "repeat_until 60"),
        ({"priorty": 1}, InvalidOptionTypeError, "using has no option priorty; it takes priority"),
        ({"func": len}, InvalidOptionTypeError, "using has no option func"),
        ({"takes_context": True}, InvalidOptionTypeError, "using has no option takes_context"),
        ({"overrides": "{}"}, InvalidOptionTypeError, "using has no option overrides"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_said(options, error, message):
    with pytest.raises(error, match=message):
        tasks.add.using(**options)


def test_a_coroutine_function_cannot_be_one_transaction():
    with pytest.raises(InvalidOptionTypeError, match="atomic=True needs a plain function"):
        tasks.aadd.using(atomic=True)


def test_what_a_task_says_can_be_read():
    assert isinstance(tasks.insist, PolicyTask)
    assert repr(tasks.insist).startswith("PolicyTask(")
    assert "func=<function insist" in repr(tasks.insist)
    assert "max_attempts=5" in repr(tasks.insist)
    assert "timeout" not in repr(tasks.insist)
    assert tasks.insist.using(timeout=3).timeout == 3
    assert tasks.insist.using(timeout=3) != tasks.insist
    assert copy.deepcopy(tasks.insist) == tasks.insist == copy.copy(tasks.insist)
    assert len({tasks.insist, tasks.insist.using(), tasks.add}) == 2


def test_exceptions_can_be_final_or_none_at_all():
    result = finished(tasks.fail.using(max_attempts=9, retry_on=LookupError).enqueue())
    assert (result.status, result.attempts) == (FAILED, 1)
    result = finished(tasks.fail.using(discard_on=ValueError).enqueue())
    assert (result.status, result.attempts) == (FAILED, 1)
    (error,) = result.errors
    assert error.exception_class is TaskDiscardedError
    assert error.traceback == "ValueError is in discard_on"


def test_what_waited_for_too_long_is_not_run(calls):
    result = tasks.add.using(expires=timedelta(minutes=5)).enqueue(1)
    Row.objects.update(run_at=datetime.now(timezone.utc) - timedelta(minutes=6))
    work()
    result.refresh()
    assert (result.status, calls) == (FAILED, [])
    assert result.errors[0].exception_class is TaskDiscardedError
    assert "it expired at" in result.errors[0].traceback


@pytest.mark.django_db(transaction=True)
def test_a_task_that_takes_too_long_is_ended():
    result = finished(tasks.wait_for_ever.using(timeout=0.05).enqueue())
    assert result.status == FAILED
    assert result.errors[0].exception_class is TaskTimeout
    assert result.errors[0].traceback.splitlines()[-1].endswith("its timeout is 0.05")


def test_a_value_that_is_not_to_be_kept_is_not():
    result = finished(tasks.add.using(keep_result=False).enqueue(1))
    assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, None)


def test_another_call_of_a_unique_task_returns_the_first_one(verbs, told):
    first = verbs.enqueue(tasks.once, 1)
    second = verbs.enqueue(tasks.once, number=1)
    assert second == first
    assert len(told) == 1
    assert verbs.enqueue(tasks.once, 2).id != first.id
    assert Row.objects.count() == len(told) == 2
    work()
    assert verbs.enqueue(tasks.once, 1).id != first.id


def test_another_call_does_not_run_the_first_one(calls):
    first = tasks.once.using(run_after=LATER).enqueue(1)
    second = tasks.once.using(backend="immediate").enqueue(1)
    assert (second.id, second.status, calls) == (first.id, READY, [])


def test_another_call_of_a_unique_task_may_be_refused_or_take_its_place():
    first = tasks.once.enqueue(1)
    with pytest.raises(AlreadyScheduledError):
        tasks.once.using(on_conflict="raise").enqueue(1)
    second = tasks.once.using(on_conflict="replace").enqueue(1)
    assert second.id != first.id
    assert [str(row.uid) for row in Row.objects.all()] == [second.id]
    third = tasks.once.using(on_conflict="extend", run_after=LATER).enqueue(1)
    assert third.id == second.id
    assert Row.objects.get().run_at == LATER


def test_a_unique_key_may_be_kept_until_the_end(calls):
    task = tasks.once_until_the_end
    first = task.enqueue(1)
    Row.objects.update(locked_by="somebody")
    assert task.enqueue(1).id == first.id
    assert task.enqueue(1).status == TaskResultStatus.RUNNING


def test_a_limit_goes_with_the_task():
    tasks.limited.enqueue(1)
    assert Row.objects.get().limit_key
    work()
    assert CompletedTask.objects.get().failed_at is None
    assert "1" in Gate.objects.get().name


def test_a_repeating_task_has_a_result_for_each_run(calls):
    result = finished(tasks.repeat.enqueue())
    assert result.return_value == 1
    following = Row.objects.get()
    assert (following.backend, following.task_name) == ("default", tasks.repeat.module_path)
    assert str(following.uid) != result.id
    other = tasks.repeat.get_result(str(following.uid))
    assert (other.status, other.attempts, other.errors) == (READY, 0, [])
    make_due()
    assert finished(other).return_value == 2


def test_a_task_of_another_backend_may_be_queued_here(settings, calls):
    plain = "django.tasks" if type(tasks.plain).__module__.startswith("django.") else "django_tasks"
    assert type(tasks.plain).__module__.startswith(plain)
    result = finished(tasks.plain.using(backend="default", priority=3).enqueue(1))
    assert result.return_value == 1
    assert type(result.task) is type(tasks.plain)
    assert (result.task.backend, result.task.priority, result.backend) == ("default", 3, "default")


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 2, "backoff": 0, "timeout": 5, "keep_result": True},
        {"retry_on": (LookupError, OSError), "discard_on": {KeyError}, "expires": 60},
        {"max_attempts": 2, "unique": True, "unique_until": "finish"},
    ],
)
def test_what_a_call_said_of_itself_is_known_to_its_result(options):
    task = tasks.fail.using(**options, queue_name="other")
    result = task.enqueue()
    read = tasks.fail.get_result(result.id)
    assert read.task.policy() == task.policy() != tasks.fail.policy()
    if "unique" not in options:
        assert read == result
        assert read.task != tasks.fail.using(queue_name="other")
    read.task.using(priority=1).enqueue()
    rows = Row.objects.order_by("priority")
    first, second = (task_of(row).policy() for row in rows)
    assert first == second
    assert "unique" not in (rows[1].options or "")


def test_progress_can_be_told_of():
    result = finished(tasks.tell_progress.enqueue())
    assert result.return_value == "1 tests.backends.tasks.tell_progress"
    assert CompletedTask.objects.get().task_name == "tests.backends.tasks.tell_progress"


def test_what_was_said_first_stays_when_more_is_said():
    tasks.fail.using(expires=timedelta(hours=1)).using(timeout=3).enqueue()
    policy = task_of(Row.objects.get()).policy()
    assert (policy.expires, policy.timeout) == (timedelta(hours=1), timedelta(seconds=3))


def test_another_function_in_the_place_of_one_is_another(monkeypatch):
    path = tasks.echo.module_path
    assert find_queued(path, "default").policy.max_attempts == 1
    monkeypatch.setattr(tasks, "echo", tasks.echo.using(max_attempts=4))
    assert find_queued(path, "default").policy.max_attempts == 4
