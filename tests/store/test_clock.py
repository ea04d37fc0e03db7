"""I6: the database's clock decides; a host whose clock is wrong changes nothing."""

from datetime import datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone

from background_task.attempt import Failed, Retry, Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.store import Due, Fleet
from background_task.worker.recovery import recover
from tests.store.rows import LEASE, NAMES, add, everything, row, worker

HOUR = timedelta(hours=1)
NEARLY = timedelta(minutes=1)

# SQLite is a file on this host: it has no clock but the host's.
# Inside a transaction nobody else sees the rows, and the process's clock counts.
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.only_on("postgresql", "mariadb"),
    pytest.mark.parametrize("hours", [-1, 1], ids=["slow", "fast"]),
]


@pytest.fixture
def host(hours, monkeypatch):
    """This host's clock is an hour off; ``host()`` is what it shows."""

    def show():
        return datetime.now(timezone.utc) + hours * HOUR

    monkeypatch.setattr(django_timezone, "now", show)
    return show


def test_now_is_the_databases(store, host, hours):
    assert abs(store.now() - (host() - hours * HOUR)) < NEARLY


def test_claim_takes_what_is_due_and_nothing_else(store, host):
    due = add(store, due_in=-5)
    add(store, due_in=60)
    add(store, due_in=30 * 60)
    assert [claim.task_id for claim in store.claim("w", NAMES, limit=10)] == [due.pk]
    assert abs(row(due.pk)["locked_at"] - store.now()) < NEARLY
    assert abs(row(due.pk)["started_at"] - store.now()) < NEARLY


def test_look_tells_when_the_next_row_is_due(store, host):
    soon = add(store, due_in=60)
    assert store.look(NAMES) == Due(next_at=soon.run_at)


def test_nobody_is_taken_for_dead(store, host):
    Fleet(store.using).register("alive", queues="", capacity=1, lease=LEASE)
    Fleet(store.using).renew("alive", lease=LEASE)
    task = add(store)
    store.claim_one(task.pk, "alive")
    locked_by_1x = add(store, locked_by="4242", locked_at=store.now())
    before = everything()
    assert store.left_behind() == []
    assert recover(store) == 0
    for pk in (task.pk, locked_by_1x.pk):
        assert store.claim_one(pk, "thief") is None
    assert everything() == before
    assert Fleet(store.using).is_anyone_alive()


def test_the_dead_are_found(store, host, settings):
    settings.BACKGROUND_TASK_MAX_RUN_TIME = 600
    worker("dead", now=store.now() - LEASE - NEARLY)
    held = add(store, locked_by="dead", locked_at=store.now())
    expired = add(store, locked_by="4242", locked_at=store.now() - timedelta(seconds=610))
    assert {claim.task_id for claim in store.left_behind()} == {held.pk, expired.pk}
    assert abs(Worker.objects.get().stopped_at - store.now()) < NEARLY


def test_outcomes_carry_the_databases_time(store, host):
    for outcome in (Succeeded(), Failed("error")):
        claim = store.claim_one(add(store).pk, "w")
        completed = store.finish(claim, outcome).completed
        assert abs(completed.run_at - store.now()) < NEARLY
        if outcome != Succeeded():
            assert abs(completed.failed_at - store.now()) < NEARLY
    task = add(store)
    claim = store.claim_one(task.pk, "w")
    store.finish(claim, Retry("error", 2 * HOUR))
    assert abs(row(task.pk)["run_at"] - store.now() - 2 * HOUR) < NEARLY


def test_the_next_run_is_the_first_that_is_not_past(store, host):
    task = add(store, repeat=1800, due_in=-60)
    claim = store.claim_one(task.pk, "w")
    repetition = store.finish(claim, Succeeded()).repetition
    assert repetition.run_at == task.run_at + timedelta(seconds=1800)
    assert Task.objects.count() == CompletedTask.objects.count() == 1


def test_stopped_workers_are_forgotten_after_a_day_and_not_before(store, host):
    now = store.now()
    for name, ago in (("old", timedelta(hours=24, minutes=5)), ("young", timedelta(hours=23.9))):
        worker(name, now=now - ago)
        Fleet(store.using).retire(name, now=now - ago)
    Fleet(store.using).register("new", queues="", capacity=1, lease=LEASE)
    assert sorted(Worker.objects.values_list("name", flat=True)) == ["new", "young"]
