"""USE_TZ=False: naive times in the project's own zone, everywhere."""

import sys

import pytest

from background_task.models import CompletedTask, Task
from tests.process import running

PROGRAM = """
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo
import django; django.setup()
from background_task.attempt import Retry, Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.producer import TaskSpec, enqueue
from background_task.store import Fleet, get_store

HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
store, fleet = get_store(), Fleet("default")
local = datetime.now(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None)
now = store.now()
assert now.tzinfo is None and abs(now - local) < 60 * SECOND, (now, local)

later = enqueue(TaskSpec("f", ("later",), run_at=now + HOUR), sender=TaskSpec)
task = enqueue(TaskSpec("f", ("now",), run_at=now - SECOND, repeat=3600), sender=TaskSpec)
due = store.look(["f"])
assert due.is_ready and due.next_at is None, due  # both lie on one level
(claim,) = store.claim("w", ["f"], limit=5)
assert claim.task_id == task.pk and claim.run_at == now - SECOND, claim
assert store.look(["f"]).next_at == now + HOUR
assert store.finish(claim, Retry("error", 10 * SECOND))
assert abs(Task.objects.get(pk=task.pk).run_at - local - 10 * SECOND) < 60 * SECOND
claim = store.claim_one(task.pk, "w")
finish = store.finish(claim, Succeeded())
assert finish.completed.run_at.tzinfo is None
assert finish.repetition.run_at == claim.run_at + HOUR, finish

fleet.register("alive", queues="", capacity=1, lease=60 * SECOND)
held = store.claim_one(later.pk, "alive")
assert store.left_behind() == []
Worker.objects.update(expires_at=now - HOUR)
assert store.left_behind() == [held]
print("all is well")
"""


@pytest.mark.django_db(transaction=True)
def test_the_store_works_without_time_zones():
    settings = {"USE_TZ": False, "TIME_ZONE": "Asia/Tokyo"}
    with running(sys.executable, "-c", PROGRAM, settings=settings) as process:
        assert process.wait() == 0, process.output
    assert process.output == "all is well"
    assert (Task.objects.count(), CompletedTask.objects.count()) == (2, 1)
