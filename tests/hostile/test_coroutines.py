"""Whatever a coroutine raises or leaves behind: its outcome lands, the next goes on (I11)."""

import os

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.utils import timezone, translation

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.hostile import tasks as hostile
from tests.hostile.conftest import throwaway_streams
from tests.hostile.test_outcome import HARMLESS, assert_retried
from tests.worker.running import Worker
from tests.worker.running_async import LONG

pytestmark = pytest.mark.django_db(transaction=True)

ENDS = {"success", "retry", "failure", "release"}


@pytest.fixture
def run_then_look(registry):
    """Run what a test schedules, and then a task that finds everything as it should be."""
    seen = []

    def state():
        print("the output can be written to")  # noqa: T201
        connection.ensure_connection()
        return (connection.in_atomic_block, connection.get_autocommit(), connection.needs_rollback)

    @registry.background(name="look")
    async def look():
        zone, language = timezone.get_current_timezone_name(), translation.get_language()
        seen.append((await sync_to_async(state)(), os.getcwd(), zone, language))
        await Ledger.objects.acreate(key="next")

    def run(schedule):
        directory = os.getcwd()
        schedule()
        look(priority=-1)
        with throwaway_streams():
            worker = Worker(concurrency=1, threads=1, sleep=LONG)
            worker.run(until=lambda *_: sum(map(worker.events.names.count, ENDS)) == 2)
        assert seen == [((False, True, False), directory, "UTC", "en-us")]
        assert list(Ledger.objects.values_list("key", flat=True)) == ["next"]
        assert CompletedTask.objects.filter(task_name="look", attempts=1).count() == 1
        assert not Task.objects.filter(locked_by__isnull=False).exists()
        return worker

    return run


@pytest.mark.parametrize("what", hostile.ERRORS)
def test_raise_of_anything_is_retried_once_with_its_real_text(what, run_then_look):
    worker = run_then_look(lambda: hostile.throw_later(what))
    # Python's own rule: no StopIteration leaves a coroutine as it is.
    is_translated = what == "stop iteration"
    text = "coroutine raised StopIteration" if is_translated else hostile.ERRORS[what][1]
    assert_retried(worker, text)


@pytest.mark.parametrize("what", hostile.ERRORS)
def test_raise_of_anything_in_a_query_is_retried_once(what, registry, run_then_look):
    def throw():
        raise hostile.ERRORS[what][0]()

    @registry.background(name="throw")
    async def throw_there():
        await sync_to_async(throw)()

    worker = run_then_look(throw_there)
    is_translated = what == "stop iteration"
    assert_retried(worker, "StopIteration" if is_translated else hostile.ERRORS[what][1])


@pytest.mark.parametrize("what", hostile.MESSES)
def test_mess_after_success_is_put_in_order(what, registry, run_then_look):
    @registry.background(name="mess")
    async def mess():
        await sync_to_async(hostile.MESSES[what])()

    worker = run_then_look(mess)
    assert CompletedTask.objects.filter(task_name="mess", attempts=1, failed_at=None).exists()
    assert bool(worker.events.of("mess")) == (what not in HARMLESS)


@pytest.mark.parametrize("what", hostile.MESSES)
def test_mess_after_error_keeps_the_error(what, registry, run_then_look):
    @registry.background(name="mess")
    async def mess():
        await sync_to_async(hostile.MESSES[what])()
        raise ValueError("real error after a mess")

    run_then_look(mess)
    assert "real error after a mess" in Task.objects.get().last_error
