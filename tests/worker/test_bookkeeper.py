"""Rollups are put together, and queues looked at, by one worker after the other."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError

from background_task import telemetry
from background_task.models import QueueSample, Rollup
from background_task.models.rollup import FRESH, MINUTE
from background_task.rollup import Tally
from background_task.store import Fleet, get_store
from background_task.store.rollups import Rollups
from background_task.worker import bookkeeper as keeping
from background_task.worker.bookkeeper import Bookkeeper
from background_task.worker.heartbeat import Identity
from background_task.worker.options import Options
from background_task.worker.recorder import Recorder
from tests.store.rows import LEASE, add
from tests.waiting import wait_until
from tests.worker.running import Events, Worker


@pytest.fixture
def identity(db):
    identity = Identity(Fleet("default"), queues="", capacity=1, lease=LEASE)
    identity.register()
    return identity


def keeper(identity, **options):
    recorder = Recorder(Rollups("default"), owners=())
    return Bookkeeper(get_store(), identity, Options(**options), recorder)


def add_old_rollups():
    at = get_store().now() - timedelta(minutes=5)
    for _ in range(2):
        Rollups("default").add({("f", None): Tally(succeeded=1)}, now=at)


def test_turn_looks_at_the_queues_and_puts_rollups_together(identity):
    add(get_store(), queue="mail")
    add_old_rollups()
    pause = keeper(identity)._take_turn()
    assert 0 < pause <= 60
    assert dict(QueueSample.objects.values_list("queue", "due")) == {None: 0, "mail": 1}
    assert list(Rollup.objects.values_list("span", "succeeded")) == [(MINUTE, 2)]


def test_turn_of_another_worker_is_waited_for(identity, monkeypatch):
    monkeypatch.setattr(keeping, "seconds_until_turn", lambda name, living, *, now: 42.0)
    add_old_rollups()
    assert keeper(identity)._take_turn() == 42.0
    assert not QueueSample.objects.exists()
    assert set(Rollup.objects.values_list("span", flat=True)) == {FRESH}


@pytest.mark.parametrize(
    ("error", "told"), [(OperationalError("gone"), []), (ValueError("defect"), ["not_counted"])]
)
def test_turn_that_fails_is_tried_again_later(identity, monkeypatch, error, told):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(keeping, "depths", fail)
    events = Events()
    with telemetry.subscribed(events, to=["not_counted"]):
        assert keeper(identity)._take_turn() == 60
    assert events.names == told


@pytest.mark.django_db(transaction=True)
def test_worker_keeps_the_books_while_a_task_holds_it_up(registry, monkeypatch):
    monkeypatch.setattr(keeping, "DELAY_SECONDS", 0.05)
    may_end, begun = threading.Event(), threading.Event()
    registry.background(name="slow")(lambda: (begun.set(), may_end.wait(30)))()
    add_old_rollups()
    worker = Worker(registry=registry._tasks)
    with worker.running():
        try:
            assert begun.wait(30)
            wait_until(lambda: Rollup.objects.filter(span=MINUTE).exists())
        finally:
            may_end.set()
    assert QueueSample.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_batch", [True, False])
def test_worker_that_soon_ends_by_itself_keeps_the_books_before(registry, is_batch):
    add_old_rollups()
    worker = Worker(registry=registry._tasks, is_batch=is_batch)
    worker.run()
    assert Rollup.objects.filter(span=MINUTE).exists() == is_batch
