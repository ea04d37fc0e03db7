"""``current_task()``: what a task function may ask about its own run."""

import asyncio
import threading
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

import background_task
from background_task import Snooze, current_task
from background_task.models import Task
from background_task.tasks import tasks
from tests.app.models import TextOwner
from tests.policies.running import LONG, Bench, completed
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

DEADLINE = 30.0


def in_coroutine(registry, function, **options):
    """Define a coroutine function of the test's own, and run one row of it by ``--async``."""
    registry.background(name="job", **options)(function)()
    worker = Worker(sleep=LONG, concurrency=3)
    worker.run(until=lambda name, fields: name in ("success", "retry", "failure"))
    assert "error" not in worker.events.names, worker.events.of("error")
    return worker


@pytest.fixture
def seen():
    return []


def test_current_task_is_the_row_that_runs(any_bench, seen):
    def job():
        seen.append((current_task(), current_task().is_stopping()))

    row = any_bench.task(job)(queue="q")
    any_bench.work()
    ((task, was_stopping),) = seen
    assert (task.id, task.name, task.queue, task.attempt) == (row.uid, "job", "q", 1)
    assert task.id == completed().uid
    assert task.claim.task_id == row.pk
    assert task.using == "default"
    assert not was_stopping


def test_current_task_is_none_outside_before_and_after(any_bench, seen):
    assert current_task() is None
    any_bench.task(lambda: seen.append(current_task() is not None))()
    any_bench.work()
    assert seen == [True]
    assert current_task() is None


def test_public_name_is_the_same_function(any_bench, seen):
    from background_task.current import current_task as inner

    any_bench.task(lambda: seen.append((background_task.current_task(), inner())))()
    any_bench.work()
    ((one, other),) = seen
    assert one is other is not None


def test_each_task_sees_itself(any_bench, seen):
    def job(key):
        seen.append((key, current_task().id))

    proxy = any_bench.task(job)
    rows = [proxy(key) for key in range(10)]
    any_bench.work(10)
    assert sorted(seen) == [(key, row.uid) for key, row in enumerate(rows)]


def test_attempt_grows_and_a_snooze_does_not_count(any_bench, seen):
    left = [ValueError(), Snooze(0), ValueError()]

    def job():
        seen.append(current_task().attempt)
        if left:
            raise left.pop(0)

    any_bench.task(job, backoff=0)()
    any_bench.work(4)
    assert seen == [1, 2, 2, 3]


def test_creator_is_the_instance_that_was_given(registry, seen):
    owner = TextOwner.objects.create(code="owner")

    for way in ("inline", "threads", "code"):
        bench = Bench(registry, way)
        job = bench.task(lambda: seen.append(current_task().creator))
        for creator in (owner, None):
            job(creator=creator)
            bench.work()
    assert seen == [owner, None] * 3


def test_creator_that_has_vanished_is_none(bench, seen):
    owner = TextOwner.objects.create(code="owner")
    bench.task(lambda: seen.append(current_task().creator))(creator=owner)
    owner.delete()
    bench.work()
    assert seen == [None]


def test_creator_of_a_row_that_was_deleted_meanwhile_is_none(bench, seen):
    def job():
        Task.objects.all().delete()
        seen.append(current_task().creator)

    bench.task(job)(creator=TextOwner.objects.create(code="owner"))
    bench.work()
    assert seen == [None]


# -- deadline -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "timeout"), [(None, 600), (5, 600), (600, None)])
def test_deadline_is_when_the_limit_ends_the_run(any_bench, settings, seen, setting, timeout):
    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = setting
    any_bench.task(lambda: seen.append(current_task().deadline), timeout=timeout)()
    before = timezone.now()
    any_bench.work()
    after = timezone.now()
    if any_bench.way == "code":
        assert seen == [None], "nothing watches over what is run from code"
    else:
        assert before <= seen[0] - timedelta(minutes=10) <= after


@pytest.mark.parametrize(("setting", "timeout"), [(None, None), (5, 0)])
def test_deadline_of_a_run_without_limit_is_none(any_bench, settings, seen, setting, timeout):
    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = setting
    any_bench.task(lambda: seen.append(current_task().deadline), timeout=timeout)()
    any_bench.work()
    assert seen == [None]


# -- stopping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"threads": 2}, {"concurrency": 2}, {}], ids=str)
def test_is_stopping_becomes_true_when_the_worker_is_told_to_stop(registry, seen, options):
    begun, never = threading.Event(), threading.Event()

    def leave_off():
        task = current_task()
        seen.append(task.is_stopping())
        begun.set()
        while not task.is_stopping():
            never.wait(0.005)
        seen.append(task.is_stopping())
        raise Snooze(0, reason="the worker stops")

    async def leave_off_later():
        await asyncio.to_thread(leave_off)

    job = leave_off_later if "concurrency" in options else leave_off
    registry.background(name="job")(job)()
    worker = Worker(sleep=LONG, **options)
    with worker.running():
        assert begun.wait(DEADLINE)
        worker.stop()
    assert seen == [False, True]
    row = Task.objects.get()
    assert (row.attempts, row.locked_by, row.last_error) == (0, None, "")


# -- where the context goes ---------------------------------------------------------------------


def test_current_task_goes_into_asyncio_tasks_and_threads_of_a_coroutine(registry, seen):
    def ask():
        return current_task().id

    async def inner():
        await asyncio.sleep(0)
        return ask()

    async def job():
        own = ask()
        children = await asyncio.gather(inner(), asyncio.create_task(inner()))
        threads = [await asyncio.to_thread(ask), await sync_to_async(ask)()]
        seen.append({own, *children, *threads})

    in_coroutine(registry, job)
    assert seen == [{completed().uid}]


def test_coroutines_that_run_at_the_same_time_see_themselves(registry, seen):
    met = []

    @registry.background(name="job")
    async def job(key):
        met.append(key)
        while len(met) < 3:
            await asyncio.sleep(0)
        seen.append((key, current_task().id))

    rows = [job(key) for key in range(3)]
    worker = Worker(sleep=LONG, concurrency=3)
    worker.run(until=lambda *_: worker.events.names.count("success") == 3)
    assert sorted(seen) == [(key, row.uid) for key, row in enumerate(rows)]


def test_coroutine_function_in_a_worker_without_event_loop_sees_itself(registry, seen, bench):
    async def job():
        await asyncio.sleep(0)
        seen.append(current_task().id)

    registry.background(name="job")(job)()
    bench.work()
    assert seen == [completed().uid]


def test_creator_in_a_coroutine_is_read_in_a_thread(registry, seen):
    owner = TextOwner.objects.create(code="owner")

    @registry.background(name="job")
    async def job():
        task = current_task()
        seen.append(await asyncio.to_thread(lambda: task.creator))

    job(creator=owner)
    worker = Worker(sleep=LONG, concurrency=3)
    worker.run(until=lambda name, fields: name in ("success", "error"))
    assert seen == [owner]


def test_thread_that_the_function_starts_itself_is_outside(bench, seen):
    def job():
        thread = threading.Thread(target=lambda: seen.append(current_task()))
        thread.start()
        thread.join(DEADLINE)

    bench.task(job)()
    bench.work()
    assert seen == [None]


def test_task_that_runs_another_from_within_is_itself_again_afterwards(registry, seen):
    @registry.background(name="inner")
    def inner():
        seen.append(current_task().name)

    @registry.background(name="outer")
    def outer():
        row = inner()
        tasks.run_task(row)
        seen.append(current_task().name)

    outer()
    tasks.run_next_task()
    assert seen == ["inner", "outer"]


def test_function_that_is_called_by_name_without_a_row_has_no_current_task(registry, seen):
    registry.background(name="job")(lambda: seen.append(current_task()))
    tasks.run_task("job")
    assert seen == [None]


def test_now_has_no_current_task(registry, seen):
    registry.background(name="job")(lambda: seen.append(current_task())).now()
    assert seen == [None]


def test_receivers_of_a_failed_attempt_are_outside(bench, seen):
    from background_task.signals import task_error

    def look(**arguments):
        seen.append(current_task())

    task_error.connect(look)
    try:
        bench.raising(ValueError())()
        bench.work()
    finally:
        task_error.disconnect(look)
    assert seen == [None]
