"""Periodic tasks of a test, and tickers that are told what time it is."""

from datetime import datetime, timedelta, timezone

import pytest

from background_task import periodic, telemetry
from background_task.models import Schedule, Task
from background_task.recurrence.zone import instant
from background_task.store import get_store
from background_task.store.schedule import Schedules
from background_task.tasks import tasks
from background_task.worker.periodic import Ticker
from tests.worker.running import Events

LEASE = timedelta(seconds=60)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
DAY = 24 * HOUR
#: A full hour, of a day without anything special.
NOON = datetime(2030, 5, 14, 12, tzinfo=timezone.utc)


@pytest.fixture
def registry():
    """The registered functions; what a test registers is forgotten after it."""
    before = dict(tasks._tasks)
    tasks._tasks.clear()
    yield tasks
    tasks._tasks.clear()
    tasks._tasks.update(before)


@pytest.fixture
def schedules(db):
    return Schedules(get_store().using)


@pytest.fixture
def make_ticker(db, registry):
    """Another worker with the functions that are registered now."""

    def make(functions=None):
        known = dict(registry._tasks) if functions is None else functions
        return Ticker(get_store(), registry=known, lease=LEASE)

    return make


def read_and_tick(ticker, now):
    """A look at the table and at the clock, as after a quarter of a lease."""
    ticker.read(now)
    return ticker.tick(now)


@pytest.fixture
def hourly(registry):
    """A function that ticks each full hour."""

    @periodic(3600)
    @registry.background(name="t", queue="q", priority=7)
    def function(*args, **kwargs):
        pass

    return function


@pytest.fixture
def events():
    kept = Events()
    with telemetry.subscribed(kept):
        yield kept


def due():
    """The times of all tasks that are in the queue."""
    return [instant(task.run_at) for task in Task.objects.order_by("run_at")]


def hours(*numbers):
    return [NOON + number * HOUR for number in numbers]


def row():
    return Schedule.objects.get()


def redeclared(registry, schedule, **written):
    """The functions of another version of the code."""
    registry._tasks.clear()
    periodic(schedule, **written)(registry.background(name="t")(lambda *args: None))
