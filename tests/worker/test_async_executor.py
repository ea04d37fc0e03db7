"""Many ``async def`` tasks on one event loop, and what they do not do to each other."""

import asyncio
import functools
import threading

import pytest
from asgiref.sync import async_to_sync, markcoroutinefunction

from background_task.models import CompletedTask, Task
from background_task.signals import (
    task_error,
    task_failed,
    task_finished,
    task_rescheduled,
    task_started,
    task_successful,
)
from background_task.worker.aio import is_coroutine_function
from tests.app.models import Ledger
from tests.worker.running import Worker
from tests.worker.running_async import DEADLINE, Meeting, work_off

pytestmark = pytest.mark.django_db(transaction=True)

# -- how many, and in which order ---------------------------------------------------------------


@pytest.mark.parametrize("size", [10, pytest.param(1000, id="a thousand")])
def test_so_many_tasks_await_at_the_same_time(registry, size):
    meeting = Meeting(size)

    @registry.background(name="meet")
    async def meet():
        await meeting.join()

    Task.objects.bulk_create(Task.objects.new_task("meet") for _ in range(size))
    worker = work_off(size, concurrency=size)
    assert meeting.present == worker.summary.succeeded == size
    assert CompletedTask.objects.filter(attempts=1, failed_at=None).count() == size


def test_no_more_tasks_run_than_there_are_slots(registry):
    running, most, meeting = set(), [], Meeting(3)

    @registry.background(name="stay")
    async def stay(number):
        running.add(number)
        most.append(len(running))
        if number < 3:
            await meeting.join()
        await asyncio.sleep(0)
        running.remove(number)

    for number in range(9):
        stay(number, priority=-number)
    work_off(9, concurrency=3)
    assert max(most) == 3


def test_priorities_and_times_decide_the_order(registry):
    order = []

    @registry.background(name="note")
    async def note(key):
        order.append(key)

    for priority in (-5, 5, 0, 9, -9):
        note(priority, priority=priority)
    work_off(5, concurrency=2)
    assert order == [9, 5, 0, -5, -9]


def test_slow_task_does_not_hold_up_the_others(registry):
    ended = []

    @registry.background(name="slow")
    async def slow():
        while len(ended) < 20:
            await asyncio.sleep(0.001)

    @registry.background(name="quick")
    async def quick(number):
        ended.append(number)

    slow(priority=1)
    for number in range(20):
        quick(number)
    assert work_off(21, concurrency=2).summary.succeeded == 21


# -- other functions in the same worker ---------------------------------------------------------


def test_plain_functions_run_beside_coroutines_without_blocking_them(registry):
    threads, go_on = {}, threading.Event()

    @registry.background(name="plain")
    def plain():
        threads["plain"] = threading.get_ident()
        assert go_on.wait(DEADLINE)

    @registry.background(name="coroutine")
    async def coroutine():
        threads["coroutine"] = threading.get_ident()
        while "plain" not in threads:
            await asyncio.sleep(0.001)
        go_on.set()

    plain()
    coroutine()
    work_off(2, concurrency=2)
    assert threads["plain"] != threads["coroutine"]


def test_each_kind_is_claimed_for_its_own_slots_only(registry):
    """A hundred plain tasks must not lie with a worker that has one thread for them."""
    go_on = threading.Event()

    @registry.background(name="plain")
    def plain():
        assert go_on.wait(DEADLINE)

    @registry.background(name="coroutine")
    async def coroutine():
        pass

    for _ in range(5):
        plain(priority=1)
    for _ in range(5):
        coroutine()
    worker = Worker(concurrency=100, sleep=0.02)
    with worker.running():
        worker.events.wait_for("success", count=5)
        worker.events.wait_for("start", count=6)
        assert Task.objects.filter(locked_by=worker.name).count() == 1
        assert Task.objects.filter(locked_by=None).count() == 4
        go_on.set()
        worker.events.wait_for("success", count=10)


def test_threads_are_for_plain_functions(registry):
    together = threading.Barrier(3)

    @registry.background(name="meet")
    def meet():
        together.wait(DEADLINE)

    for _ in range(3):
        meet()
    assert work_off(3, concurrency=5, threads=3).summary.succeeded == 3


class Callable:
    async def __call__(self, key):
        await Ledger.objects.acreate(key=key)


async def write(key):
    await Ledger.objects.acreate(key=key)


def wrapped(key):
    return write(key)


@markcoroutinefunction
def marked(key):
    return write(key)


@pytest.mark.parametrize(
    ("function", "is_recognised"),
    [
        (write, True),
        (functools.partial(write, "written"), True),
        (Callable(), True),
        (marked, True),
        (wrapped, False),
        (lambda key: write(key), False),
        (Ledger, False),
        (len, False),
    ],
)
def test_coroutine_functions_are_recognised(function, is_recognised):
    assert is_coroutine_function(function) is is_recognised


@pytest.mark.parametrize("function", [write, Callable(), marked, wrapped])
def test_whatever_returns_an_awaitable_is_awaited(registry, function):
    registry.background(name="any")(function)
    Task.objects.new_task("any", ("written",)).save()
    work_off(1)
    assert Ledger.objects.get().key == "written"


def test_async_to_sync_works_in_plain_functions(registry):
    @registry.background(name="plain")
    def plain():
        async_to_sync(write)("written")

    plain()
    assert work_off(1).summary.succeeded == 1
    assert Ledger.objects.get().key == "written"


def test_async_generator_fails_at_once(registry):
    @registry.background(name="generator")
    async def generator():
        yield

    generator()
    work_off(1, end="failure")
    assert "is a generator function" in CompletedTask.objects.get().last_error


# -- outcomes, events and signals ---------------------------------------------------------------


def test_failure_is_retried_with_a_traceback_that_begins_in_the_task(registry):
    @registry.background(name="fail")
    async def fail():
        await asyncio.sleep(0)
        raise ValueError("real error")

    fail()
    worker = work_off(1, end="retry")
    row = Task.objects.get()
    assert (row.attempts, row.locked_by, row.failed_at) == (1, None, None)
    assert "ValueError: real error" in row.last_error
    assert row.last_error.splitlines()[1].endswith(", in fail")
    told = worker.events.of("error")[0]["exception"]
    assert told.__traceback__.tb_frame.f_code.co_name == "fail"
    told = [name for name in worker.events.names if name in ("start", "error", "retry")]
    assert told == ["start", "error", "retry"]


def test_wrong_arguments_are_a_failure(registry):
    @registry.background(name="one")
    async def one(argument):
        pass

    Task.objects.new_task("one").save()
    work_off(1, end="retry")
    assert "missing 1 required positional argument" in Task.objects.get().last_error


def test_function_that_vanished_leaves_the_row_to_others(registry):
    @registry.background(name="gone")
    async def gone():
        pass

    class Vanishing(dict):
        def get(self, name):
            return None

    gone()
    worker = work_off(1, end="release", registry=Vanishing(registry._tasks))
    assert worker.events.of("release")[0]["reason"] == "no function is registered as 'gone'"
    assert Task.objects.get().attempts == 0


@pytest.mark.parametrize("ends_well", [True, False])
def test_signals_are_those_of_every_task_and_may_use_the_database(registry, ends_well):
    seen = []

    def receive(sender, signal, **kwargs):
        Ledger.objects.create(key="receiver")
        seen.append(next(name for name, known in signals.items() if known is signal))

    signals = {
        "started": task_started,
        "error": task_error,
        "rescheduled": task_rescheduled,
        "failed": task_failed,
        "successful": task_successful,
        "finished": task_finished,
    }

    @registry.background(name="task")
    async def task():
        if not ends_well:
            raise ValueError

    for signal in signals.values():
        signal.connect(receive)
    try:
        task()
        worker = work_off(1, end="success" if ends_well else "retry")
    finally:
        for signal in signals.values():
            signal.disconnect(receive)
    if ends_well:
        assert seen == ["started", "successful", "finished"]
    else:
        assert seen == ["started", "error", "rescheduled", "finished"]
    assert Ledger.objects.count() == len(seen)
    assert not worker.events.of("defect")


def test_receiver_of_task_error_sees_the_exception_that_is_handled(registry):
    import sys

    seen = []

    def receive(task, **kwargs):
        seen.append((task.task_name, sys.exc_info()[1]))

    @registry.background(name="fail")
    async def fail():
        raise ValueError("real error")

    task_error.connect(receive)
    try:
        fail()
        work_off(1, end="retry")
    finally:
        task_error.disconnect(receive)
    assert [(name, str(error)) for name, error in seen] == [("fail", "real error")]
