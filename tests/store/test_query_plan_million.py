"""I8 on a million rows, outside transactions, as a worker sends its statements.

Half of them are finished; the rest is scheduled, or due in a queue that is not asked for. The
statements are those that the store's verbs send: the database explains each just before it runs.
"""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model

from background_task.attempt import Failed, Retry, Succeeded
from background_task.doctor import diagnose
from background_task.models import CompletedTask, Task, Worker
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store import Fleet
from background_task.store.archive import Archive
from background_task.store.diagnosis import MOST_ROWS
from background_task.worker.recovery import recover
from tests.store.backlog import HOLDERS, backlog
from tests.store.cost import measured
from tests.store.rows import LEASE, add, worker

NAMES = ("known", "also_known")
LEVELS = 7
#: Rows of the index around those that are returned, the rows of workers, and so on.
SLACK = 60
#: PostgreSQL: pages on the way to a row, in the table and each index that the row is written to.
PAGES = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def db(django_db_setup, django_db_blocker):
    """In place of pytest-django's, which would put each test into a transaction."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture(scope="module")
def million(db):
    with backlog(live=500, finished=500) as store:
        assert Task.objects.count() == 500_000 + HOLDERS
        yield store


@pytest.fixture
def store(million):
    """Committed, too; afterwards all is as it was."""
    last = [model.objects.latest("pk").pk for model in (Task, CompletedTask, Worker)]
    yield million
    Task.objects.filter(locked_by__startswith="w ").update(locked_by=None, locked_at=None)
    for model, pk in zip((Task, CompletedTask, Worker), last, strict=True):
        model.objects.filter(pk__gt=pk)._raw_delete("default")


def assert_cheap(cost, *, rows):
    """Read the rows in question and a few around them, by indexes; sort no more than those."""
    __tracebackhide__ = True
    assert cost.plans
    assert cost.scans == []
    assert cost.rows <= SLACK + 5 * rows, cost.plans
    assert cost.pages <= PAGES * (LEVELS + rows), cost.plans
    assert cost.sorted <= rows, cost.plans
    assert [sql for sql, _ in cost.plans if "COUNT(" in sql.upper()] == []


def mine(store, count, **values):
    return [add(store, queue="mine", **values) for _ in range(count)]


@pytest.mark.parametrize("ahead", [0, 40])
def test_claim_of_a_queue_reads_an_index_range_of_the_size_it_returns(store, ahead):
    mine(store, 60)
    with measured() as cost:
        claims = store.claim("w a", NAMES, queues=["mine"], limit=10, ahead=ahead)
    assert len(claims) == 10 + ahead
    assert_cheap(cost, rows=10 + ahead)
    assert "bgtask_claim_queue" in cost.indexes


@pytest.mark.parametrize("ahead", [0, 40])
def test_claim_of_all_queues_reads_an_index_range_of_the_size_it_returns(store, ahead):
    with measured() as cost:
        claims = store.claim("w a", NAMES, limit=10, ahead=ahead)
    assert len(claims) == 10 + ahead
    assert_cheap(cost, rows=10 + ahead)
    assert "bgtask_claim" in cost.indexes


def test_claim_of_two_queues_reads_an_index_range_of_each(store):
    mine(store, 10)
    with measured() as cost:
        assert len(store.claim("w a", NAMES, queues=["mine", "idle"], limit=10)) == 10
    assert_cheap(cost, rows=10 + 2 * LEVELS)
    assert "bgtask_claim_queue" in cost.indexes


def test_claim_with_nothing_due_reads_the_levels_only(store):
    with measured() as cost:
        assert store.claim("w a", NAMES, queues=["idle"], limit=10) == []
    assert_cheap(cost, rows=LEVELS)


def test_claim_one_reads_one_row(store):
    (task,) = mine(store, 1)
    with measured() as cost:
        assert store.claim_one(task.pk, "w a")
    assert_cheap(cost, rows=1)


@pytest.mark.parametrize("queues", [("idle",), ("mine", "idle")], ids=str)
def test_look_reads_the_levels_only(store, queues):
    with measured() as cost:
        due = store.look(NAMES, queues=queues)
    assert due.next_at is not None
    assert_cheap(cost, rows=LEVELS * len(queues))
    assert "bgtask_claim_queue" in cost.indexes


def test_finish_many_reads_its_rows_only(store):
    mine(store, 50)
    claims = store.claim("w a", NAMES, queues=["mine"], limit=50)
    with measured() as cost:
        ends = store.finish_many([(claim, Succeeded()) for claim in claims])
    assert len(claims) == 50
    assert None not in ends
    assert_cheap(cost, rows=50)


@pytest.mark.parametrize("outcome", [Failed("error"), Retry("error", timedelta(seconds=5))])
def test_finish_reads_its_row_only(store, outcome):
    claim = store.claim_one(mine(store, 1, repeat=60)[0].pk, "w a")
    with measured() as cost:
        assert store.finish(claim, outcome)
    assert_cheap(cost, rows=1)


def test_held_by_and_release_read_the_owners_rows_only(store):
    mine(store, 5)
    assert len(store.claim("w a", NAMES, queues=["mine"], limit=5)) == 5
    with measured() as cost:
        claims = store.held_by("w a")
        assert store.release(claims) == 5
    assert_cheap(cost, rows=5)
    assert "bgtask_owner" in cost.indexes


def test_recover_reads_the_held_rows_only(store):
    worker("w dead", now=store.now() - 2 * LEASE)
    for task in mine(store, 5):
        Task.objects.filter(pk=task.pk).update(locked_by="w dead", locked_at=store.now())
    with measured() as cost:
        assert recover(store) == 5
    assert_cheap(cost, rows=2 * (HOLDERS + 5))
    assert "bgtask_owner" in cost.indexes


def test_renew_reads_its_row_only(store):
    with measured() as cost:
        assert Fleet(store.using).renew("alive 7", lease=timedelta(days=1))
    assert_cheap(cost, rows=1)


@pytest.mark.parametrize("statuses", [(), ("succeeded",)])
def test_purge_reads_its_batch_only(store, statuses):
    oldest = CompletedTask.objects.earliest("run_at").run_at
    for number in range(50):
        CompletedTask.objects.create(
            task_name="old", run_at=oldest - timedelta(days=1, seconds=number)
        )
    archive = Archive(store.using)
    rows = archive.older_than(oldest, statuses=statuses)
    with measured() as cost:
        assert next(archive.purge(rows, batch_size=50)) == 50
    assert_cheap(cost, rows=50)
    assert any("run_at" in name for name in cost.indexes)


def test_pruning_reads_its_batch_only(store):
    """From the oldest on, and after those that were passed over."""
    archive = Archive(store.using)
    oldest = CompletedTask.objects.earliest("run_at").run_at
    for number in range(150):
        CompletedTask.objects.create(
            task_name="old", run_at=oldest - timedelta(days=1, seconds=number)
        )
    passed = archive.entries(after=None, before=oldest, most=100)[-1]
    for start in (None, passed):
        with measured() as cost:
            entries = archive.entries(after=start, before=oldest, most=50)
            assert archive.discard([entry.pk for entry in entries]) == 50
        assert_cheap(cost, rows=50)
        assert any("run_at" in name for name in cost.indexes)


@pytest.mark.parametrize(
    "option",
    [
        {"action": TaskSchedule.CHECK_EXISTING},
        {"action": TaskSchedule.RESCHEDULE_EXISTING},
        {"remove_existing_tasks": True},
    ],
    ids=str,
)
def test_enqueue_reads_rows_of_the_same_call_only(store, option):
    with measured() as cost:
        assert enqueue(TaskSpec("known", ("new",), **option), sender=TaskSpec)
        enqueue(TaskSpec("known", ("new",), **option), sender=TaskSpec)
    assert_cheap(cost, rows=2)
    assert "bgtask_hash" in cost.indexes


def test_created_by_reads_the_rows_of_that_creator_only(store):
    user = get_user_model()(pk=4711)
    for model in (Task, CompletedTask):
        record = model.objects.create(task_name="x", run_at=store.now(), creator=user)
        with measured() as cost:
            assert list(model.objects.all().created_by(user)) == [record]
        assert_cheap(cost, rows=1)
        assert any(name.endswith("_creator") for name in cost.indexes)


def test_failed_and_succeeded_of_the_last_hour_read_an_index_range(store):
    hour = timedelta(hours=1)
    now = store.now()
    CompletedTask.objects.create(task_name="x", run_at=now, failed_at=now)
    with measured() as cost:
        assert CompletedTask.objects.failed(within=hour).get().task_name == "x"
    assert_cheap(cost, rows=1)
    with measured() as cost:
        assert list(CompletedTask.objects.succeeded(within=hour / 60)[:5])
    assert_cheap(cost, rows=10)


def test_the_doctor_looks_at_bounded_numbers_of_rows(store):
    with measured() as cost:
        report = diagnose(store.using)
    assert report.facts["due_rows"] == MOST_ROWS
    assert not report.facts["due_rows_are_all"]
    # Not the plans: Django reads one row of each table, any one, to learn its columns.
    assert cost.rows <= 3 * MOST_ROWS, cost.plans
    assert [sql for sql, _ in cost.plans if "COUNT(" in sql.upper()] == []
