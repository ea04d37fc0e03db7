"""Results and progress of tasks that run in a worker: inline, on threads, on an event loop."""

import asyncio

import pytest
from django.db import transaction

from background_task import aprogress, current_task, progress
from background_task.models import CompletedTask, Task
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

EXECUTORS = pytest.mark.parametrize(
    "options",
    [{}, {"threads": 2}, {"concurrency": 5}],
    ids=["inline", "threads", "event loop"],
)


def work_off(count, **options):
    """Run a worker until so many tasks have finished."""
    worker = Worker(**options)

    def is_done(name, fields):
        names = worker.events.names
        return names.count("success") + names.count("failure") >= count

    worker.run(until=is_done)


@EXECUTORS
def test_worker_keeps_each_result(registry, options):
    @registry.background(name="results.square")
    def square(number):
        return {"square": number**2} if number % 2 else None

    @registry.background(name="results.cube")
    async def cube(number):
        await asyncio.sleep(0)
        return [number**3]

    squares = [square(number) for number in range(20)]
    cubes = [cube(number) for number in range(20)]
    work_off(40, **options)
    assert [task.result for task in squares] == [
        {"square": number**2} if number % 2 else None for number in range(20)
    ]
    assert [task.result for task in cubes] == [[number**3] for number in range(20)]


@EXECUTORS
def test_worker_writes_the_last_report_of_each_task(registry, options):
    @registry.background(name="results.step")
    def step():
        for number in range(10):
            progress(number, 100)

    @registry.background(name="results.astep")
    async def astep():
        for number in range(10):
            await aprogress(number, 100)
        current_task().progress(10, 100)

    @registry.background(name="results.fail", max_attempts=1)
    def fail():
        progress(1, 100)
        with transaction.atomic():
            progress(11, 100)
            raise ValueError("rolled back")

    for proxy in (step, astep, fail):
        proxy()
    work_off(3, **options)
    found = {row.task_name: row.progress.done for row in CompletedTask.objects.all()}
    assert found == {"results.step": 9, "results.astep": 10, "results.fail": 11}


def test_report_of_a_run_whose_row_was_taken_over_changes_nothing(registry, store):
    """A worker that was taken for dead comes back while another runs the task."""
    seen = []

    @registry.background(name="results.slow")
    def slow():
        progress(1, 10)
        row = Task.objects.get()
        store.release(store.held_by(row.locked_by))
        other = store.claim_one(row.pk, "other")
        store.report(other, '{"done": 5, "total": 10, "message": "", "at": null}')
        progress(10, 10)
        seen.append(Task.objects.get().progress.done)
        return "late"

    slow()
    registry.run_next_task()
    assert seen == [5]
    assert Task.objects.get().progress.done == 5
    assert not CompletedTask.objects.exists()
