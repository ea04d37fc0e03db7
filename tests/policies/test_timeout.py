"""``timeout``: the time limit of a single function, or call."""

import asyncio
import re
import threading
import time

import pytest

from background_task import TaskTimeout
from background_task.models import Task
from background_task.worker.limit import Limits
from background_task.worker.terms import terms_of
from tests.policies.running import LONG, completed
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = pytest.mark.parametrize("options", [{"threads": 2}, {"concurrency": 2}], ids=str)


def compute():
    end = time.monotonic() + 60
    while time.monotonic() < end:
        pass


async def compute_later():
    await asyncio.sleep(60)


@pytest.fixture
def define(registry):
    """Defines a task that goes on for a minute, in the manner that the worker can end."""

    def make(options, **given):
        function = compute_later if "concurrency" in options else compute
        return registry.background(name="job", **given)(function)

    return make


def run_one(options):
    worker = Worker(sleep=LONG, **options)
    worker.run(until=lambda name, fields: name in ("success", "retry", "failure", "discard"))
    return worker.events


@WORKERS
def test_timeout_of_the_function_ends_its_run(define, options):
    task = define(options, timeout=0.2)()
    run_one(options)
    row = Task.objects.get(pk=task.pk)
    assert row.attempts == 1
    assert re.search(r"TaskTimeout: job was ended after \d+\.\d s", row.last_error)
    assert "its timeout is 0.2" in row.last_error
    assert "BACKGROUND_TASK_TIMEOUT_SECONDS" not in row.last_error


@WORKERS
def test_timeout_of_the_call_wins_over_that_of_the_function(define, options):
    define(options, timeout=600).using(timeout=0.2)()
    events = run_one(options)
    assert "its timeout is 0.2" in str(events.of("error")[0]["exception"])


@WORKERS
def test_timeout_on_the_last_attempt_fails_for_good(define, options):
    define(options, timeout=0.2, max_attempts=1)()
    run_one(options)
    assert completed().failed_at is not None
    assert "its timeout is 0.2" in completed().last_error


@WORKERS
@pytest.mark.parametrize(
    ("given", "end"),
    [
        ({"discard_on": TaskTimeout}, "discard"),
        ({"retry_on": TaskTimeout}, "retry"),
        ({"retry_on": OSError}, "failure"),
    ],
    ids=str,
)
def test_timeout_is_an_exception_that_options_may_list(define, options, given, end):
    define(options, timeout=0.2, **given)()
    assert end in run_one(options).names


@pytest.mark.parametrize("options", [{}, {"threads": 2}, {"concurrency": 2}], ids=str)
@pytest.mark.parametrize("is_own", [False, True], ids=["decorator", "using"])
def test_timeout_of_zero_lifts_the_setting(registry, settings, options, is_own):
    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = 0.2
    looked, never = [], threading.Event()

    def outlast():
        end = time.monotonic() + 0.4
        while not looked or looked[-1] < end:
            never.wait(0.01)

    async def outlast_later():
        await asyncio.to_thread(outlast)

    function = outlast_later if "concurrency" in options else outlast
    proxy = registry.background(name="job", timeout=None if is_own else 0)(function)
    (proxy.using(timeout=0) if is_own else proxy)()
    worker = Worker(sleep=LONG, **options)
    limits = worker.control.limits

    def look():
        looked.append(time.monotonic())
        return Limits.enforce(limits)

    limits.enforce = look
    worker.run(until=lambda name, fields: name in ("success", "retry", "failure"))
    assert worker.events.names.count("success") == 1


@pytest.mark.parametrize(
    ("setting", "declared", "own", "limit"),
    [
        (None, None, None, None),
        (9, None, None, 9),
        (9, 5, None, 5),
        (9, 5, 2, 2),
        (9, 0, None, None),
        (9, 0, 2, 2),
        (9, 5, 0, None),
        (None, 5, None, 5),
        (None, None, 2, 2),
    ],
)
def test_timeout_of_the_call_comes_first_then_the_function_then_the_setting(
    registry, settings, setting, declared, own, limit
):
    from background_task.store import get_store

    settings.BACKGROUND_TASK_TIMEOUT_SECONDS = setting
    proxy = registry.background(name="job", timeout=declared)(lambda: None)
    row = proxy.using(timeout=own)()
    claim = get_store().claim_one(row.pk, "w")
    run = Limits().run(claim, terms_of(claim, registry._tasks))
    assert (run.limit if run.has_limit else None) == limit
