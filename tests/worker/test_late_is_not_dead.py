"""A lease that is over proves nothing to somebody who has not watched the database (I4)."""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.models import Task, Worker as WorkerRow
from background_task.store import Fleet, get_store
from background_task.tasks import tasks
from tests.worker.running import Worker, is_idle

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def late(calls):
    """A row that a worker holds whose lease an outage has just eaten."""
    calls.proxy("once")
    store = get_store()
    Fleet(store.using).register(
        "late", queues="", capacity=1, lease=timedelta(0), now=store.now() - timedelta(seconds=1)
    )
    (claim,) = store.claim("late", ["noted"])
    return claim


TAKERS = {
    "run_next_task": lambda row: tasks.run_next_task(),
    "run_task": lambda row: tasks.run_task(row),
    "run_task by name": lambda row: tasks.run_task("noted", ("another",), {}),
    "lock": lambda row: row.lock("me"),
    "claim_one": lambda row: get_store().claim_one(row.pk, "me"),
    "unlocked": lambda row: Task.objects.unlocked(timezone.now()).update(priority=7),
}


@pytest.mark.parametrize("taker", TAKERS)
def test_nobody_takes_the_row_of_a_worker_that_is_only_late(taker, late, calls):
    before = Task.objects.filter(pk=late.task_id).values().get()
    TAKERS[taker](Task.objects.get(pk=late.task_id))
    assert "once" not in calls
    assert Task.objects.filter(pk=late.task_id).values().get() == before
    assert get_store().is_held(late)
    assert WorkerRow.objects.get().stopped_at is None
    assert Fleet("default").renew("late", lease=timedelta(seconds=60))


def test_row_is_taken_once_somebody_has_declared_its_worker_dead(late, calls):
    assert get_store().left_behind() == [late]
    assert tasks.run_next_task()
    assert calls == ["once"]


def test_claim_under_a_name_that_was_declared_dead_meanwhile_is_handed_back(calls):
    """The process stood still between the look at its lease and the claim's statement."""
    calls.proxy("once")
    store = get_store()
    worker = Worker(store=store, lease=timedelta(seconds=2))
    former = worker.name
    real = store.claim
    recoverable = []

    def claim_late(owner, *args, **kwargs):
        if owner == former:
            threading.Event().wait(0.6)  # more than a quarter of the lease
            Fleet(store.using).retire(owner)
        return real(owner, *args, **kwargs)

    def until(name, fields):
        if name == "start":
            recoverable.extend(get_store().left_behind(declare=False))
        return is_idle(name, fields)

    store.claim = claim_late
    worker.run(until=until)
    assert calls == ["once"]
    assert recoverable == []
    assert worker.name != former
