"""USE_TZ=False: the table has naive times by the project's clock."""

import sys

import pytest

from background_task.models import Schedule, Task
from tests.process import running

PROGRAM = """
from datetime import timedelta
import django; django.setup()
from background_task import periodic
from background_task.models import Schedule, Task
from background_task.recurrence.zone import instant
from background_task.store import Fleet, get_store
from background_task.tasks import tasks
from background_task.worker.periodic import Ticker

LEASE = timedelta(seconds=60)
periodic("30 9 * * *", name="morning")(tasks.background(name="t")(lambda: None))
store = get_store()
def ticker():
    return Ticker(store, registry=tasks._tasks, lease=LEASE)

first = ticker()
first.run_if_due()
(row,) = first.schedules.read().values()
assert row.next_tick_at.utcoffset() == timedelta(0)
stored = Schedule.objects.get().next_tick_at
assert stored.tzinfo is None and (stored.hour, stored.minute) == (9, 30), stored
assert first.tick(row.next_tick_at - LEASE) == 0
assert first.tick(row.next_tick_at) == 1
assert Task.objects.get().run_at == stored

Fleet("default").register("w", queues="", capacity=1, lease=LEASE)
second = ticker()
now = row.next_tick_at + timedelta(days=3, hours=1)
second.read(now)
assert second.tick(now) == 0  # nobody was there
assert Schedule.objects.get().next_tick_at == stored + timedelta(days=4)
print("all is well")
"""


@pytest.mark.django_db(transaction=True)
def test_ticks_without_time_zones_are_by_the_clock_of_the_project():
    settings = {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"}
    with running(sys.executable, "-c", PROGRAM, settings=settings) as process:
        assert process.wait() == 0, process.output
    assert "all is well" in process.output
    assert Task.objects.count() == Schedule.objects.count() == 1
