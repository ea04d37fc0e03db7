"""I8: what a verb costs depends on the rows it returns, not on what else lies in the table."""

from datetime import timedelta

import pytest
from django.db import connection

from background_task.attempt import Failed, Retry, Succeeded
from background_task.dashboard.live import read_held
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store.find import find
from tests.store.backlog import HOLDERS, backlog
from tests.store.cost import measured
from tests.store.rows import LEASE, add, worker

NAMES = ("known", "also_known")
#: Rows of the index around those that are returned, the rows of workers, and so on.
SLACK = 60


@pytest.fixture(scope="module")
def rows(django_db_setup, django_db_blocker):
    """Committed once for all tests of this module; each of them is rolled back."""
    with django_db_blocker.unblock(), backlog(live=100, finished=20) as store:
        yield store


@pytest.fixture
def store(rows, db):
    return rows


def assert_cheap(cost, *, rows):
    """Read no more than the rows in question and a few around them, and by our indexes."""
    __tracebackhide__ = True
    assert cost.scans == []
    assert cost.rows <= SLACK + 5 * rows, cost.plans


def mine(store, count, **values):
    return [add(store, queue="mine", **values) for _ in range(count)]


def test_claim_of_a_queue_reads_what_it_returns(store):
    mine(store, 30)
    with measured() as cost:
        assert len(store.claim("w", NAMES, queues=["mine"], limit=10)) == 10
    assert_cheap(cost, rows=10)
    assert "bgtask_claim_queue" in cost.indexes


def test_claim_of_all_queues_reads_what_it_returns(store):
    with measured() as cost:
        assert len(store.claim("w", NAMES, limit=10)) == 10
    assert_cheap(cost, rows=10)
    assert "bgtask_claim" in cost.indexes


def test_claim_of_what_backends_have_queued_reads_what_it_returns(store):
    mine(store, 5, backend="default")
    mine(store, 5)
    with measured() as cost:
        claims = store.claim("w", NAMES, backends={"default": True}, queues=["mine"], limit=10)
    assert {claim.backend for claim in claims} == {None, "default"}
    assert_cheap(cost, rows=10)
    assert "bgtask_claim_queue" in cost.indexes


def test_result_is_found_by_its_id_alone(store):
    waiting, done = mine(store, 2, backend="default")
    store.finish(store.claim_one(done.pk, "w"), Succeeded())
    for row, model in ((waiting, Task), (done, CompletedTask)):
        with measured() as cost:
            found = find(store.using, row.uid)
        assert (type(found), found.uid) == (model, row.uid)
        assert_cheap(cost, rows=1)


def test_claim_with_nothing_due_reads_the_levels_only(store):
    with measured() as cost:
        assert store.claim("w", NAMES, queues=["idle"], limit=10) == []
    assert_cheap(cost, rows=7)
    with measured() as cost:
        assert store.claim("w", NAMES, queues=["empty"], limit=10) == []
    assert_cheap(cost, rows=0)


def test_claim_below_levels_with_thousands_of_scheduled_rows_steps_over_them(store):
    Task.objects.filter(queue="other").update(locked_by="alive 1")
    lowest = add(store, priority=-100)
    with measured() as cost:
        assert [claim.task_id for claim in store.claim("w", NAMES, limit=10)] == [lowest.pk]
    # MariaDB has no partial indexes: rows that are held still stand in the claim index.
    if connection.vendor != "mysql":
        assert_cheap(cost, rows=8)


@pytest.mark.parametrize("queues", [("idle",), ("mine", "idle"), ("empty",)], ids=str)
def test_look_reads_the_levels_only(store, queues):
    with measured() as cost:
        due = store.look(NAMES, queues=queues)
    assert not due.is_ready
    assert (due.next_at is None) == (queues == ("empty",))
    assert_cheap(cost, rows=7 * len(queues))


def test_left_behind_reads_held_rows_only(store):
    with measured() as cost:
        assert store.left_behind() == []
    assert_cheap(cost, rows=20 + 20)
    worker("dead", now=store.now() - 2 * LEASE)
    tasks = [add(store, locked_by="dead", locked_at=store.now()) for _ in range(5)]
    with measured() as cost:
        assert [claim.task_id for claim in store.left_behind()] == [task.pk for task in tasks]
    assert_cheap(cost, rows=25 + 21)
    assert "bgtask_owner" in cost.indexes


def test_held_by_reads_the_owners_rows_only(store):
    with measured() as cost:
        assert len(store.held_by("alive 7")) == 1
    assert_cheap(cost, rows=1)
    assert "bgtask_owner" in cost.indexes


@pytest.mark.parametrize(
    "outcome",
    [Succeeded(), Failed("error"), Retry("error", timedelta(seconds=5))],
    ids=lambda outcome: type(outcome).__name__,
)
@pytest.mark.parametrize("reduced", [False, True])
def test_finish_reads_its_row_only(store, outcome, reduced):
    claim = store.claim_one(mine(store, 1, repeat=60)[0].pk, "w")
    with measured() as cost:
        assert store.finish(claim, outcome, reduced=reduced)
    assert_cheap(cost, rows=3)


def test_find_finish_and_release_read_one_row_only(store):
    claims = [store.claim_one(task.pk, "w") for task in mine(store, 2)]
    store.finish(claims[0], Succeeded())
    with measured() as cost:
        assert store.find_finish(claims[0], Succeeded())
        assert store.release(claims) == 1
        assert not store.is_held(claims[1])
    assert_cheap(cost, rows=3)


def test_claim_one_reads_its_row_only(store):
    (task,) = mine(store, 1)
    with measured() as cost:
        assert store.claim_one(task.pk, "w")
    assert_cheap(cost, rows=2)


@pytest.mark.parametrize(
    "option",
    [
        {},
        {"action": TaskSchedule.CHECK_EXISTING},
        {"action": TaskSchedule.RESCHEDULE_EXISTING},
        {"remove_existing_tasks": True},
    ],
    ids=str,
)
def test_enqueue_reads_rows_of_the_same_call_only(store, option):
    with measured() as cost:
        assert enqueue(TaskSpec("known", ("new",), **option), sender=TaskSpec)
    assert_cheap(cost, rows=0)
    add(store)
    with measured() as cost:
        enqueue(TaskSpec("known", queue="mine", **option), sender=TaskSpec)
    assert_cheap(cost, rows=22)


def test_read_what_workers_hold_reads_no_other_rows(store):
    with measured() as cost:
        assert len(read_held(store.using)) == HOLDERS
    assert_cheap(cost, rows=HOLDERS)
