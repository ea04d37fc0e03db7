"""Our decorator: the options of ``@background`` for tasks of every version of the framework."""

from datetime import datetime, timezone

import pytest
from django import VERSION

from background_task import fixed
from background_task.backends import task
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.policy_task import PolicyTask
from background_task.task_framework import InvalidTask, TaskResultStatus, task as plain_task
from tests.backends import tasks


def function(number=1, *, text=""):
    """Do nothing."""


class Own(PolicyTask):
    """One of a project's own."""


def test_with_and_without_parentheses_it_makes_a_task():
    for made in (task(function), task()(function)):
        assert type(made) is PolicyTask
        assert made.func is function
        assert (made.priority, made.queue_name, made.backend) == (0, "default", "default")
        assert (made.run_after, made.takes_context, made.max_attempts) == (None, False, None)
        assert made == plain_task(function)


def test_it_takes_what_the_framework_takes_and_our_options():
    made = task(
        priority=7, queue_name="other", max_attempts=3, backoff=fixed(2), unique="number", repeat=60
    )(function)
    assert (made.priority, made.queue_name, made.unique, made.repeat) == (7, "other", "number", 60)
    assert made.policy().max_attempts == 3
    assert made.policy().backoff == fixed(2)
    assert tasks.context.takes_context


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"retries": 3}, InvalidOptionTypeError, "task has no option retries; it takes priority"),
        ({"run_after": datetime.now(timezone.utc)}, InvalidOptionTypeError, r"\.using\(run_after"),
        ({"max_attempts": 0}, InvalidOptionError, "max_attempts 0"),
        (
            {"unique": "nothing"},
            InvalidOptionError,
            "function does not take; it takes number, text",
        ),
        ({"priority": 101}, InvalidTask, "between -100 and 100"),
        ({"queue_name": "unknown"}, InvalidTask, "Queue 'unknown' is not valid"),
    ],
)
def test_what_cannot_work_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        task(**options)(function)


def test_where_another_backend_stands_the_options_have_no_effect():
    made = task(backend="dummy", max_attempts=3)(tasks.add.func)
    result = made.enqueue(1)
    assert result.status == TaskResultStatus.READY
    assert result.task.max_attempts == 3
    assert made.get_backend().results[-1].args == [1]


def test_a_task_class_of_the_project_is_used(settings, monkeypatch):
    monkeypatch.setattr("background_task.backends.DatabaseBackend.task_class", Own)
    assert type(task(function)) is Own


@pytest.mark.skipif(VERSION < (6, 1), reason="there, @task takes no options")
def test_the_decorator_of_the_framework_takes_them_too():
    assert plain_task(max_attempts=3)(function) == task(max_attempts=3)(function)
    with pytest.raises(TypeError, match="retries"):
        plain_task(retries=3)(function)
