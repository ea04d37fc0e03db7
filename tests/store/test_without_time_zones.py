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
assert due.is_ready and due.next_at == now + HOUR, due
(claim,) = store.claim("w", ["f"], limit=5)
assert claim.task_id == task.pk and claim.run_at == now - SECOND, claim
assert store.look(["f"]).next_at == now + HOUR
assert store.finish(claim, Retry("error", 10 * SECOND))
assert abs(Task.objects.get(pk=task.pk).run_at - local - 10 * SECOND) < 60 * SECOND
claim = store.claim_one(task.pk, "w")
finish = store.finish(claim, Succeeded())
assert finish.completed.run_at.tzinfo is None
assert finish.repetition.run_at == claim.run_at + HOUR, finish

Task.objects.exclude(pk=later.pk).delete()
for number in range(3):
    repeat = 3600 if number == 2 else 0
    enqueue(TaskSpec("f", (number,), run_at=now - SECOND, repeat=repeat), sender=TaskSpec)
claims = store.claim("v", ["f"], limit=1, ahead=5)
assert [claim.run_at for claim in claims] == [now - SECOND] * 3, claims
finishes = store.finish_many([(claim, Succeeded()) for claim in claims])
assert finishes[2].repetition.run_at == now - SECOND + HOUR, finishes
for claim in claims:
    completed = CompletedTask.objects.get(uid=claim.uid)
    assert abs(completed.run_at - local) < 60 * SECOND, completed.run_at
    assert abs(completed.started_at - local) < 60 * SECOND, completed.started_at
    assert completed.run_at.tzinfo is None

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
    assert (Task.objects.count(), CompletedTask.objects.count()) == (2, 4)
