"""Recovery: who is judged dead, and what that costs."""

from datetime import timedelta

import pytest

from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.store import Fleet
from background_task.worker.recovery import recover
from tests.store.rows import LEASE, NAMES, add, add_as_1x, everything, row, worker

SECOND = timedelta(seconds=1)


@pytest.fixture
def now(store):
    return store.now()


def claimed_by(store, name, **values):
    task = add(store, **values)
    return store.claim_one(task.pk, name)


def test_left_behind_leaves_the_living_alone(store, now):
    worker("alive", now=now)
    claimed_by(store, "alive")
    before = everything()
    assert store.left_behind(now=now + LEASE) == []
    assert recover(store) == 0
    assert everything() == before


def test_left_behind_returns_the_claims_of_a_worker_whose_lease_ran_out(store, now):
    worker("dead", now=now)
    claim = claimed_by(store, "dead")
    moment = now + LEASE + SECOND
    assert store.left_behind(now=moment) == [claim]
    assert Worker.objects.get().stopped_at == moment
    assert store.left_behind(now=now) == [claim], "once declared, it stays declared"


def test_left_behind_returns_what_a_stopped_worker_forgot(store, now):
    worker("retired", now=now)
    claim = claimed_by(store, "retired")
    Fleet(store.using).retire("retired")
    assert store.left_behind(now=now) == [claim]


def test_left_behind_however_long_a_live_worker_holds_the_row(store, now, settings):
    """I4: MAX_RUN_TIME says nothing about an owner that has a heartbeat."""
    settings.BACKGROUND_TASK_MAX_RUN_TIME = 1
    worker("alive", now=now, lease=timedelta(days=30))
    claimed_by(store, "alive")
    assert store.left_behind(now=now + timedelta(days=29)) == []


@pytest.mark.parametrize("owner", ["4242", "anything users wrote"])
def test_left_behind_gives_owners_without_heartbeat_max_run_time(store, now, settings, owner):
    settings.BACKGROUND_TASK_MAX_RUN_TIME = 600
    task = add_as_1x(store, locked_by=owner, locked_at=now)
    assert store.left_behind(now=now + timedelta(seconds=599)) == []
    (claim,) = store.left_behind(now=now + timedelta(seconds=601))
    assert (claim.task_id, claim.number, claim.owner) == (task.pk, 0, owner)
    assert claim.uid == row(task.pk)["uid"]


def test_left_behind_returns_the_oldest_first_and_at_most_the_limit(store, now):
    worker("dead", now=now - 2 * LEASE)
    for seconds in (3, 1, 2):
        add(store, locked_by="dead", locked_at=now - seconds * SECOND, priority=seconds)
    assert [claim.priority for claim in store.left_behind(limit=2)] == [3, 2]


def test_left_behind_does_not_touch_leases_that_hold(store, now):
    worker("alive", now=now)
    worker("dead", now=now - 2 * LEASE)
    store.left_behind(now=now)
    assert dict(Worker.objects.values_list("name", "stopped_at")) == {"alive": None, "dead": now}


def test_recover_spends_the_attempt_and_the_row_is_due_at_once(store, now):
    worker("dead", now=now - 2 * LEASE)
    task = add(store, attempts=1)
    store.claim_one(task.pk, "dead")
    before = row(task.pk)
    assert recover(store) == 1
    after = row(task.pk)
    assert "attempt 2 was lost: its worker dead stopped" in after["last_error"]
    assert after == before | {
        "attempts": 2,
        "last_error": after["last_error"],
        "errors": after["errors"],
        "locked_by": None,
        "locked_at": None,
    }
    assert recover(store) == 0
    (claim,) = store.claim("w", NAMES)
    assert (claim.number, claim.attempt) == (2, 3)


def test_recover_ends_a_task_that_kills_its_worker_every_time(store, now, settings):
    """I5."""
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 3
    task = add(store, repeat=3600)
    for attempt in (1, 2, 3):
        worker(f"dead {attempt}", now=now - 2 * LEASE)
        assert store.claim_one(task.pk, f"dead {attempt}").attempt == attempt
        assert recover(store) == 1
    assert not Task.objects.exists()
    completed = CompletedTask.objects.get()
    assert completed.attempts == 3
    assert completed.failed_at is not None
    assert "attempt 3 was lost" in completed.last_error


def test_finish_by_a_worker_taken_for_dead_counts_until_the_row_is_recovered(store, now):
    worker("slow", now=now)
    first, second = claimed_by(store, "slow"), claimed_by(store, "slow")
    (left, _) = store.left_behind(now=now + LEASE + SECOND)
    assert store.finish(first, Succeeded())
    assert left == first
    recover(store)
    before = everything()
    assert store.finish(second, Succeeded()) is None
    assert everything() == before


def test_renew_extends_the_lease_until_somebody_declared_it_over(store, now):
    fleet = Fleet(store.using)
    worker("w", now=now)
    late = now + 10 * LEASE
    assert fleet.renew("w", lease=LEASE, now=late), "nobody has said that it is dead"
    assert Worker.objects.get().expires_at == late + LEASE
    store.left_behind(now=late + LEASE + SECOND)
    before = everything()
    assert not fleet.renew("w", lease=LEASE, now=now)
    assert everything() == before


def test_register_forgets_workers_that_stopped_days_ago(store, now):
    worker("old", now=now - timedelta(days=3))
    worker("recent", now=now - timedelta(hours=3))
    fleet = Fleet(store.using)
    fleet.retire("old", now=now - timedelta(days=2))
    fleet.retire("recent", now=now - timedelta(hours=2))
    worker("new", now=now)
    assert sorted(Worker.objects.values_list("name", flat=True)) == ["new", "recent"]
    assert fleet.last_seen() == now
    assert fleet.is_anyone_alive()
