"""Coroutines beside each other on one event loop: what one does harms no other."""

import asyncio
import threading

import pytest
from django.utils import timezone, translation

from background_task.models import Task
from tests.waiting import wait_until
from tests.worker.running import Worker
from tests.worker.running_async import DEADLINE, LONG, Meeting, work_off

pytestmark = pytest.mark.django_db(transaction=True)


def test_zone_language_and_variables_stay_with_their_task(registry):
    seen, meeting = {}, Meeting(2)

    @registry.background(name="look")
    async def look(zone, language):
        before = (timezone.get_current_timezone_name(), translation.get_language())
        timezone.activate(zone)
        translation.activate(language)
        await meeting.join()
        seen[zone] = (before, timezone.get_current_timezone_name(), translation.get_language())

    look("Asia/Tokyo", "ja")
    look("Europe/Berlin", "de")
    work_off(2)
    assert seen == {
        "Asia/Tokyo": (("UTC", "en-us"), "Asia/Tokyo", "ja"),
        "Europe/Berlin": (("UTC", "en-us"), "Europe/Berlin", "de"),
    }


def test_what_a_task_leaves_running_is_cancelled_and_told(registry):
    fates = []

    async def linger():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            fates.append("cancelled")
            raise

    @registry.background(name="start")
    async def start():
        asyncio.create_task(linger())  # noqa: RUF006 - that is what is tested
        await asyncio.sleep(0)

    @registry.background(name="next")
    async def after():
        pass

    start(priority=1)
    after()
    worker = work_off(2, concurrency=1)
    assert "it left 1 asyncio tasks behind" in worker.events.of("mess")[0]["what"]
    wait_until(lambda: fates == ["cancelled"])


def test_own_asyncio_task_that_exits_does_not_end_the_worker(registry):
    async def leave():
        raise SystemExit(3)

    @registry.background(name="start")
    async def start():
        await asyncio.gather(asyncio.create_task(leave()))

    @registry.background(name="next")
    async def after():
        pass

    start(priority=1)
    after()
    worker = work_off(1, concurrency=1)
    assert "SystemExit: 3" in Task.objects.get().last_error
    assert worker.summary.succeeded == worker.summary.retried == 1


def test_task_that_cancels_all_others_harms_their_attempts_only(registry):
    meeting = Meeting(3)

    @registry.background(name="wait")
    async def wait():
        await meeting.join()
        await asyncio.Event().wait()

    @registry.background(name="cancel")
    async def cancel():
        await meeting.join()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()

    wait()
    wait()
    cancel()
    worker = work_off(2, end="retry")
    assert (worker.summary.succeeded, worker.summary.retried) == (1, 2)
    assert all("CancelledError" in row.last_error for row in Task.objects.all())


def test_task_that_blocks_the_loop_is_named_once(registry):
    worker = Worker(concurrency=10, sleep=LONG)

    @registry.background(name="block")
    async def block(number):
        if number == 1:
            assert wait_until(lambda: worker.events.of("blocked"), deadline=DEADLINE)

    block(1, priority=1)
    block(2)
    worker.run(until=lambda *_: worker.events.names.count("success") == 2)
    told = worker.events.of("blocked")
    assert [str(event["claim"]) for event in told] == ["block"]
    assert told[0]["seconds"] >= 1
    assert __file__ in told[0]["where"]
    assert told[0]["where"].endswith(("in block", "in <lambda>"))


def test_defect_of_ours_costs_neither_the_slot_nor_the_worker(registry, monkeypatch):
    def fail(mess):
        monkeypatch.undo()
        raise RuntimeError("a defect of ours")

    monkeypatch.setattr("background_task.worker.run_async.put_in_order", fail)

    @registry.background(name="fail")
    async def failing():
        raise ValueError

    @registry.background(name="next")
    async def after():
        pass

    failing(priority=1)
    after()
    worker = work_off(1, concurrency=1)
    assert "a defect of ours" in str(worker.events.of("defect")[0]["exception"])
    assert worker.summary.succeeded == 1
    assert Task.objects.get().locked_by is None  # handed back when the worker ended


def test_claim_that_may_be_somebody_elses_by_now_is_asked_for_before_it_begins(registry):
    """The rivals: a worker that stood still for longer than its lease, and who took over."""
    runs = []

    @registry.background(name="note")
    async def note():
        runs.append(1)

    note()
    worker = Worker(concurrency=1, sleep=LONG)
    real, asked = worker.loop.identity.is_overdue, []

    def is_overdue():
        if threading.current_thread().name == "background_task event loop" and not asked:
            asked.append(True)
            return True
        return real()

    worker.loop.identity.is_overdue = is_overdue
    worker.run(until=lambda name, _: name == "success")
    assert asked
    assert runs == [1]
    assert len(worker.events.of("adopt")) == 1
