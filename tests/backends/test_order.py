"""Which tasks run first, beside those of ``@background``, and which a worker leaves to others."""

from datetime import datetime, timedelta, timezone

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command

from background_task.management.argument import check_backends
from background_task.models import Task as Row
from background_task.pausing import pause, resume
from background_task.task_framework import TaskResultStatus, task_backends
from tests.backends import tasks
from tests.backends.running import finished, make_due, work
from tests.worker.conftest import registry

__all__ = ["registry"]  # a fixture

pytestmark = pytest.mark.django_db

READY = TaskResultStatus.READY


@pytest.fixture
def noted(registry, calls):
    """A task of ``@background`` that notes its call where the others do."""
    return registry.background(name="noted")(lambda text: calls.append(("noted", text)))


def test_both_kinds_run_by_priority_in_one_worker(noted, calls):
    for priority in (-100, -1, 0, 1, 100):
        noted(str(priority), priority=priority)
        tasks.echo.using(priority=priority).enqueue(str(priority))
    worker = work()
    assert worker.summary.succeeded == 10
    assert [value for _, value in calls] == [
        *("100", "100", "1", "1", "0", "0", "-1", "-1", "-100", "-100")
    ]
    assert [name for name, _ in calls] == ["noted", "echo"] * 5


def test_of_equal_priority_the_first_that_is_due_comes_first(calls):
    now = datetime.now(timezone.utc)
    for minutes in (1, 3, 2):
        task = tasks.echo.using(run_after=now - timedelta(minutes=minutes))
        task.enqueue(minutes)
    tasks.echo.enqueue(0)
    work()
    assert [value for _, value in calls] == [3, 2, 1, 0]


def test_what_is_not_due_is_left(calls):
    result = tasks.echo.using(run_after=datetime.now(timezone.utc) + timedelta(hours=1)).enqueue(1)
    work()
    result.refresh()
    assert (result.status, calls) == (READY, [])


def test_a_worker_for_some_queues_leaves_the_others(calls):
    here, there = tasks.echo.using(queue_name="other").enqueue(1), tasks.echo.enqueue(2)
    work(queues=["other"])
    assert calls == [("echo", 1)]
    here.refresh()
    there.refresh()
    assert (here.return_value, there.status) == (1, READY)


def test_a_worker_for_a_backend_runs_nothing_else_and_says_nothing(noted, calls):
    noted("plain")
    tasks.echo.enqueue("default")
    tasks.echo.using(backend="any").enqueue("any")
    worker = work(backends=["any"])
    assert calls == [("echo", "any")]
    assert worker.events.of("unknown") == []
    work(backends=["default", "any"])
    assert calls == [("echo", "any"), ("echo", "default")]
    work()
    assert calls[2:] == [("noted", "plain")]


def test_a_backend_for_a_worker_has_to_be_one_of_ours():
    assert check_backends(["any", "default"]) == ["any", "default"]
    for alias in ("dummy", "gone"):
        message = f"--backend {alias}: TASKS has no DatabaseBackend .* it has 'default', 'any'"
        with pytest.raises(CommandError, match=message):
            call_command("process_tasks", backend=[alias])


def test_rows_of_an_alias_that_is_gone_are_left_and_told_of_once(settings, calls):
    result = tasks.echo.using(backend="any").enqueue(1)
    settings.TASKS = {"default": settings.TASKS["default"]}
    tasks.add.enqueue(1)
    worker = work()
    assert [name for name, _ in calls] == ["add"]
    assert worker.events.of("unknown") == [{"names": ["tests.backends.tasks.echo"]}]
    row = Row.objects.get()
    assert (str(row.uid), row.locked_by, row.attempts) == (result.id, None, 0)
    assert task_backends["default"].get_result(result.id).status == READY


def test_rows_of_an_alias_that_is_gone_are_not_taken_for_those_of_a_function(
    settings, registry, calls
):
    tasks.echo.using(backend="any").enqueue(1)
    settings.TASKS = {"default": settings.TASKS["default"]}
    registry.background(name="tests.backends.tasks.echo")(calls.append)
    work()
    row = Row.objects.get()
    assert (row.locked_by, row.attempts, calls) == (None, 0, [])


def test_rows_of_another_kind_of_backend_are_left_and_told_of(settings, calls):
    tasks.echo.using(backend="any").enqueue(1)
    settings.TASKS = {**settings.TASKS, "any": settings.TASKS["dummy"]}
    worker = work()
    assert calls == []
    assert len(worker.events.of("unknown")) == 1


def test_rows_of_a_queue_that_is_not_allowed_any_more_are_run(settings, calls):
    result = tasks.echo.using(queue_name="other").enqueue(1)
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND}}
    work()
    read = task_backends["default"].get_result(result.id)
    assert (read.return_value, read.task.queue_name) == (1, "other")


def test_the_letters_of_an_alias_count(settings, calls):
    tasks.echo.using(backend="any").enqueue(1)
    Row.objects.update(backend="ANY")
    assert len(work().events.of("unknown")) == 1
    Row.objects.update(backend="any ")
    work()
    assert calls == []


def test_a_worker_of_a_project_without_such_backends_runs_its_own(settings, noted, calls):
    settings.TASKS = {"default": settings.TASKS["dummy"]}
    noted("plain")
    work()
    assert calls == [("noted", "plain")]


def test_an_order_that_the_framework_does_not_know_is_warned_of(settings, calls):
    settings.BACKGROUND_TASK_PRIORITY_ORDERING = "ASC"
    found = [each.msg for each in run_checks() if each.id == "background_task.W008"]
    assert len(found) == 4
    assert found[0].startswith("TASKS['default'] runs tasks of low priority first")
    for priority in (1, -1, 0):
        tasks.echo.using(priority=priority).enqueue(priority)
    work()
    assert [value for _, value in calls] == [-1, 0, 1]
    settings.TASKS = {"default": settings.TASKS["dummy"]}
    assert [each.id for each in run_checks()] == []


def test_a_paused_function_waits_whoever_queued_it(calls):
    pause(function="tests.backends.tasks.echo")
    result, other = tasks.echo.enqueue(1), tasks.add.enqueue(1)
    work()
    assert [name for name, _ in calls] == ["add"]
    resume(function="tests.backends.tasks.echo")
    make_due()
    assert finished(result).return_value == 1
    other.refresh()
    assert other.is_finished
