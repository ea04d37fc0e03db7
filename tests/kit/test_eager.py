"""Eager mode: calls that are run at once."""

import unittest

import pytest
from django.core import checks
from django.db import transaction

from background_task.models import CompletedTask, Task
from background_task.signals import task_created
from background_task.testing import drain, eager
from tests.app.models import Ledger

pytestmark = pytest.mark.django_db


@pytest.fixture
def failing(registry):
    @registry.background(name="failing")
    def failing():
        raise LookupError("on purpose")

    return failing


def test_eager_call_has_run_when_it_returns(calls):
    with eager():
        task = calls.proxy("at once")
        assert calls == ["at once"]
    assert task.status == "succeeded"
    assert not Task.objects.exists()
    calls.proxy("not at once")
    assert calls == ["at once"]


def test_eager_call_goes_the_ordinary_road(registry):
    @registry.background(name="double")
    def double(pair):
        return [pair, type(pair).__name__]

    created = []

    def receive(task, **kwargs):
        created.append(task.status)

    task_created.connect(receive)
    try:
        with eager():
            task = double((1, 2))
    finally:
        task_created.disconnect(receive)
    assert task.result == [[1, 2], "list"]
    assert created == ["waiting"]


def test_eager_bulk_using_and_now(calls):
    with eager():
        calls.proxy.bulk([((1,), {}), ((2,), {})])
        calls.proxy.using(queue="mail")(3)
        calls.proxy.now(4)
    assert calls == [1, 2, 3, 4]
    assert CompletedTask.objects.count() == 3
    assert CompletedTask.objects.filter(queue="mail").count() == 1


def test_eager_leaves_what_is_scheduled_for_later(calls):
    with eager():
        calls.proxy("later", schedule=60)
        calls.proxy("tick", repeat=60)
    assert calls == ["tick"]
    assert Task.objects.count() == 2


def test_eager_tasks_that_queue_tasks(registry, calls):
    @registry.background(name="begin")
    def begin():
        calls.append("begin")
        calls.proxy("middle")
        calls.append("end")

    with eager():
        begin()
    assert calls == ["begin", "middle", "end"]


def test_eager_error_is_raised_where_it_was_called_once_it_is_recorded(failing):
    with eager(), pytest.raises(LookupError, match="on purpose"):
        failing()
    task = Task.objects.get()
    assert task.attempts == 1
    assert "on purpose" in task.last_error


def test_eager_error_is_recorded_only_if_so_wished(failing):
    with eager(raise_errors=False):
        task = failing()
    assert task.status == "waiting"
    assert Task.objects.get().attempts == 1


def test_eager_modes_are_nested(failing, calls):
    outer = eager()
    with outer:
        with eager(raise_errors=False):
            with outer, pytest.raises(LookupError):
                failing()
            failing()
        with pytest.raises(LookupError):
            failing()
    calls.proxy("in the queue")
    assert not calls


@eager()
def test_eager_decorates_functions(calls):
    calls.proxy("at once")
    assert calls == ["at once"]


def test_eager_decorates_test_cases(calls):
    @eager()
    class Case(unittest.TestCase):
        def test_call(self):
            calls.proxy("at once")

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert (result.errors, result.failures, result.testsRun) == ([], [], 1)
    assert calls == ["at once"]
    calls.proxy("in the queue")
    assert calls == ["at once"]


def test_eager_setting_runs_calls_at_once(calls, settings):
    settings.BACKGROUND_TASK_EAGER = True
    calls.proxy("at once")
    settings.BACKGROUND_TASK_EAGER = False
    calls.proxy("in the queue")
    assert calls == ["at once"]


def test_eager_setting_is_warned_of_where_sites_are_checked(settings):
    def messages():
        found = checks.run_checks(tags=["background_task"], include_deployment_checks=True)
        return [message.id for message in found]

    assert messages() == []
    settings.BACKGROUND_TASK_EAGER = True
    assert messages() == ["background_task.W007"]
    assert checks.run_checks(tags=["background_task"]) == []


def test_eager_call_that_an_existing_task_replaces_runs_nothing(registry, calls):
    once = registry.background(name="once", unique=True)(lambda: calls.append("ran"))
    once()
    with eager():
        assert once() is None
    assert not calls
    drain()
    assert calls == ["ran"]


@pytest.mark.django_db(transaction=True)
def test_eager_call_is_part_of_the_callers_transaction(registry):
    @registry.background(name="write")
    def write():
        Ledger.objects.create(key="written")

    def write_in_vain():
        with transaction.atomic():
            write()
            assert Ledger.objects.exists()
            raise LookupError

    with eager():
        with pytest.raises(LookupError):
            write_in_vain()
        assert not Ledger.objects.exists()
        assert not CompletedTask.objects.exists()
        write()
    assert CompletedTask.objects.count() == Ledger.objects.count() == 1
