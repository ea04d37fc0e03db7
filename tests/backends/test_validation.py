"""Which tasks are refused, when they are made and when they are queued."""

from datetime import datetime, timedelta, timezone

import pytest

from background_task.models import Task as Row
from background_task.task_framework import InvalidTask, task, task_backends
from tests.backends import tasks

LATER = datetime.now(timezone.utc) + timedelta(hours=1)


class Class:
    @staticmethod
    def method():
        pass


class Callable:
    __name__ = __qualname__ = "Callable"

    def __call__(self):
        pass


def local():
    def function():
        pass

    return function


@pytest.mark.parametrize("function", [len, local(), Callable(), Class], ids=str)
def test_what_is_no_function_of_a_module_is_refused(function):
    with pytest.raises(InvalidTask, match="must be defined at a module level"):
        task(function)


def test_a_method_and_a_coroutine_function_are_taken():
    assert task(Class.method).module_path == "tests.backends.test_validation.Class.method"
    assert tasks.aadd.name == "aadd"


def no_context(first, context):
    pass


def test_a_task_that_takes_the_context_names_it_first():
    for function in (no_context, Class.method):
        with pytest.raises(InvalidTask, match="first argument of 'context'"):
            task(takes_context=True)(function)


@pytest.mark.parametrize("priority", [-101, 101, 3.1, 1e9])
def test_a_priority_beyond_the_range_is_refused(priority):
    with pytest.raises(InvalidTask, match="whole number between -100 and 100"):
        tasks.add.using(priority=priority)


def test_a_naive_time_is_refused_where_times_have_zones():
    with pytest.raises(InvalidTask, match="must be an aware datetime"):
        tasks.add.using(run_after=LATER.replace(tzinfo=None))


def test_a_queue_that_is_not_listed_is_refused():
    with pytest.raises(InvalidTask, match=r"Queue 'unknown' is not valid for backend\."):
        tasks.add.using(queue_name="unknown")
    with pytest.raises(InvalidTask, match="Queue 'other'"):
        tasks.fail_at_first.using(queue_name="other")  # its alias lists none
    assert tasks.add.using(queue_name="unknown", backend="any").queue_name == "unknown"


def test_what_no_column_holds_is_refused():
    for name in ("q" * 191, 7):
        with pytest.raises(InvalidTask, match=r"queue .*use"):
            tasks.add.using(backend="any", queue_name=name)
    assert tasks.add.using(backend="any", queue_name="q" * 190)


def test_a_time_is_refused_where_all_is_run_at_once():
    with pytest.raises(InvalidTask, match="run_after in immediate mode"):
        tasks.at_once.using(run_after=LATER)


@pytest.mark.django_db
def test_a_task_that_was_valid_once_is_checked_again_when_it_is_queued(verbs, settings):
    other = tasks.add.using(queue_name="other")
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND}}
    with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
        verbs.enqueue(other, 1)
    assert not Row.objects.exists()


@pytest.mark.django_db
def test_a_task_of_an_alias_that_is_gone_cannot_be_queued(verbs, settings):
    other = tasks.add.using(backend="any")
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND}}
    with pytest.raises(Exception, match="The connection 'any' doesn't exist"):
        verbs.enqueue(other, 1)


def test_using_gives_a_new_task_and_none_keeps_what_there_is():
    other = tasks.elsewhere.using(priority=0)
    assert (other.priority, other.queue_name) == (0, "other")
    assert (tasks.elsewhere.priority, tasks.elsewhere.queue_name) == (7, "other")
    assert tasks.elsewhere.using() == tasks.elsewhere
    assert other != tasks.elsewhere
    later = tasks.add.using(run_after=LATER)
    assert later.using(run_after=None).run_after == LATER
    assert hash(later) == hash(tasks.add.using(run_after=LATER))


def test_a_task_can_be_called_without_a_queue():
    assert tasks.add.call(1, second=2) == 3
    assert tasks.aadd.call(1, second=2) == 3
    assert not callable(tasks.add)
    assert tasks.add.get_backend() is task_backends["default"]


def test_when_a_task_is_run_is_not_for_the_decorator_to_say():
    with pytest.raises(TypeError):
        task(run_after=LATER)(no_context)
