"""How many statements each verb sends, however many rows there are."""

import math
from datetime import timedelta
from itertools import cycle

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store import Fleet
from background_task.worker.recovery import recover
from tests.store.rows import LEASE, NAMES, add, add_as_1x, statements, worker

MINUTE = timedelta(minutes=1)
CHECK = {"action": TaskSchedule.CHECK_EXISTING}
MOVE = {"action": TaskSchedule.RESCHEDULE_EXISTING}
REMOVE = {"remove_existing_tasks": True}


@pytest.fixture(autouse=True)
def backlog(transactional_db, store):
    """Rows of every kind; no verb may ask about each of them."""
    now = store.now()
    for number in range(20):
        add(store, task_name="unknown", queue="other", priority=number % 2)
        add(store, due_in=3600, priority=number % 3)
        add(store, locked_by=f"worker {number}", locked_at=now)
        worker(f"worker {number}", now=now)
        CompletedTask.objects.create(task_name="known", run_at=now)
    ContentType.objects.get_for_model(Task)  # Django remembers them from here on
    return now


@pytest.fixture
def clock(settings):
    """SQLite has no clock but the host's."""
    return 0 if settings.DATABASE == "sqlite" else 1


@pytest.fixture
def levels(settings):
    """The backlog's three levels of priority: found at once, or one by one until none is left."""
    return 4 if settings.DATABASE == "mariadb" else 1


def count(act):
    with statements() as kept:
        result = act()
    return len(kept.all), result


def put(**options):
    return enqueue(TaskSpec("known", **options), sender=TaskSpec)


def test_enqueue_takes_one_statement(store):
    assert count(put)[0] == 1


def test_enqueue_with_a_creator_takes_one_statement(store, django_user_model):
    user = django_user_model.objects.create(username="u")
    ContentType.objects.get_for_model(user)
    assert count(lambda: put(creator=user))[0] == 1


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        # The first call, and a second one that meets its row. MariaDB's callers take turns, and
        # look rows up before they lock them; SQLite locks by writing.
        (CHECK, {"sqlite": (2, 1), "postgresql": (2, 1), "mariadb": (4, 2)}),
        (MOVE, {"sqlite": (2, 1), "postgresql": (2, 1), "mariadb": (3, 3)}),
        (REMOVE, {"sqlite": (2, 4), "postgresql": (2, 3), "mariadb": (3, 5)}),
    ],
    ids=["check", "move", "remove"],
)
def test_enqueue_alone_takes_few_statements(store, settings, option, expected):
    first, task = count(lambda: put(queue="q", **option))
    again, _ = count(lambda: put(queue="q", **option))
    assert task.queue == "q"
    assert (first, again) == expected[settings.DATABASE]


@pytest.mark.parametrize(("limit", "ahead"), [(1, 0), (10, 0), (1, 9)])
def test_claim_marks_all_rows_with_one_statement(store, settings, limit, ahead):
    for _ in range(limit + ahead):
        add(store, priority=5)
    number, claims = count(lambda: store.claim("w", NAMES, limit=limit, ahead=ahead))
    assert len(claims) == limit + ahead
    # What is paused, the levels, the rows, the marks; MariaDB asks for the time first.
    assert number == {"postgresql": 1, "sqlite": 4, "mariadb": 5}[settings.DATABASE]


def test_claim_of_several_queues_looks_into_each(store, settings):
    for queue in ("a", "b"):
        for _ in range(5):
            add(store, queue=queue)
    number, claims = count(lambda: store.claim("w", NAMES, queues=["a", "b"], limit=10))
    assert len(claims) == 10
    # Of each queue the levels and the rows; MariaDB also looks for one more level in each.
    assert number == {"postgresql": 7, "sqlite": 6, "mariadb": 9}[settings.DATABASE]


def test_claim_with_nothing_due_looks_at_the_levels_and_pauses_only(store, settings):
    Task.objects.filter(task_name="unknown").delete()
    expected = {"postgresql": 2, "sqlite": 2, "mariadb": 6}
    assert count(lambda: store.claim("w", NAMES, limit=10)) == (expected[settings.DATABASE], [])


def test_claim_with_nothing_known_due_asks_once_per_level_that_has_due_rows(store, settings):
    expected = {"postgresql": 2, "sqlite": 4, "mariadb": 8}
    assert count(lambda: store.claim("w", NAMES, limit=10)) == (expected[settings.DATABASE], [])


def test_claim_of_rows_of_1x_gives_each_a_uid(store, settings):
    for _ in range(3):
        add_as_1x(store, priority=5)
    number, claims = count(lambda: store.claim("w", NAMES, limit=3))
    assert len(claims) == 3
    # MariaDB: one by one. It happens once, after the upgrade.
    assert number == {"postgresql": 1, "sqlite": 4, "mariadb": 5 + 3}[settings.DATABASE]


def test_claim_one_takes_two_statements(store, clock):
    task = add(store)
    assert count(lambda: store.claim_one(task.pk, "w"))[0] == clock + 2


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Succeeded(), 4),
        (Failed("error"), 4),
        (Retry("error", MINUTE), 1),
        (Released("stopping"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_finish_takes_few_statements(store, clock, outcome, expected):
    claim = store.claim_one(add(store).pk, "w")
    number, finish = count(lambda: store.finish(claim, outcome))
    assert finish is not None
    assert number == clock + expected


def test_finish_with_a_repetition_takes_one_more(store, clock):
    claim = store.claim_one(add(store, repeat=60).pk, "w")
    assert count(lambda: store.finish(claim, Succeeded()))[0] == clock + 5


def test_finish_of_a_stale_claim_stops_at_the_first_statement(store, clock):
    claim = store.claim_one(add(store).pk, "w")
    store.release([claim])
    assert count(lambda: store.finish(claim, Succeeded())) == (clock + 1, None)


def test_retry_of_a_stale_claim_stops_after_looking_for_a_cancelled_task(store, clock):
    claim = store.claim_one(add(store).pk, "w")
    store.release([claim])
    assert count(lambda: store.finish(claim, Retry("error", MINUTE))) == (clock + 2, None)


# -- many at once --------------------------------------------------------------------------------


def claimed(store, rows, **values):
    for _ in range(rows):
        add(store, priority=5, **values)
    claims = store.claim("w", NAMES, limit=rows)
    assert len(claims) == rows
    return claims


def succeeded(claims):
    return [(claim, Succeeded()) for claim in claims]


@pytest.mark.parametrize("results", [(None,), ("7", None)], ids=["no results", "results"])
@pytest.mark.parametrize("rows", [1, 100])
def test_finish_many_takes_as_many_statements_for_many_rows_as_for_one(
    store, settings, rows, results
):
    claims = claimed(store, rows)
    ends = [(claim, Succeeded(result)) for claim, result in zip(claims, cycle(results))]
    with statements() as kept:
        finishes = store.finish_many(ends)
    assert None not in finishes
    expected = {
        "postgresql": ["WITH"],
        "sqlite": ["INSERT", "DELETE"],
        # The time, the locks, what repeats.
        "mariadb": ["SELECT", "SELECT", "SELECT", "INSERT", "DELETE"],
    }
    assert [sql.split()[0] for sql in kept.all] == expected[settings.DATABASE]


@pytest.mark.parametrize("rows", [1, 100])
def test_finish_many_of_repeating_rows_takes_few_statements(store, settings, rows):
    claims = claimed(store, rows, repeat=60)
    number, finishes = count(lambda: store.finish_many(succeeded(claims)))
    assert None not in finishes
    fields = Task._meta.concrete_fields[1:]
    # Older versions of Django do not give SQLite more than 999 values at once.
    inserts = math.ceil(rows / connection.ops.bulk_batch_size(fields, claims))
    assert number == {"postgresql": 7, "sqlite": 7 + inserts, "mariadb": 6}[settings.DATABASE]


def test_finish_many_of_stale_claims_stops_at_the_locks(store, settings):
    claims = claimed(store, 10)
    store.release(claims)
    number, finishes = count(lambda: store.finish_many(succeeded(claims)))
    assert finishes == [None] * 10
    assert number == {"postgresql": 3, "sqlite": 3, "mariadb": 2}[settings.DATABASE]


def test_finish_many_of_nothing_asks_nothing(store):
    assert count(lambda: store.finish_many([])) == (0, [])


def test_release_takes_one_statement_for_many_claims(store):
    claims = claimed(store, 100)
    assert count(lambda: store.release(claims)) == (1, 100)


@pytest.mark.parametrize(("rows", "batch"), [(60, 60), (60, 7), (61, 20)])
def test_drain_takes_a_fixed_number_of_statements_for_each_batch(store, settings, rows, batch):
    """To claim and to finish a batch, and to find nothing at the end."""
    for _ in range(rows):
        add(store, priority=5)

    def drain():
        finished = 0
        while claims := store.claim("w", NAMES, limit=batch):
            finished += len(store.finish_many(succeeded(claims)))
        return finished

    number, finished = count(drain)
    assert finished == rows
    batches = -(-rows // batch)
    each, end = {"postgresql": (2, 2), "sqlite": (6, 4), "mariadb": (10, 8)}[settings.DATABASE]
    # The last batch, if it is not full, has also looked at the levels below.
    rest = {"postgresql": 0, "sqlite": 2, "mariadb": 6}[settings.DATABASE] * bool(rows % batch)
    assert number <= each * batches + rest + end


# -- leases --------------------------------------------------------------------------------------


def test_idle_look_looks_at_the_levels_only(store, clock, levels):
    Task.objects.filter(task_name="unknown").delete()
    number, due = count(lambda: store.look(NAMES))
    assert due.next_at is not None
    assert number == clock + levels


def test_look_at_due_rows_asks_up_to_three_times_per_level(store, clock, levels):
    number, due = count(lambda: store.look(NAMES))
    assert due.is_unknown
    # What is paused; on two levels known names, others, and what comes next.
    assert number == clock + levels + 1 + 5


def test_recover_with_nobody_dead_takes_two_statements(store, clock):
    assert count(lambda: recover(store)) == (clock + 2, 0)


def test_recover_takes_one_statement_for_each_row_after_three(store, clock, backlog):
    worker("dead", now=backlog - 2 * LEASE)
    for _ in range(3):
        add(store, locked_by="dead", locked_at=backlog)
    number, recovered = count(lambda: recover(store))
    assert recovered == 3
    assert number == clock + 3 + 3 * (clock + 1)


def test_renew_takes_one_statement(store, clock):
    assert count(lambda: Fleet(store.using).renew("worker 1", lease=LEASE)) == (clock + 1, True)


def test_register_takes_two_statements(store, clock):
    fleet = Fleet(store.using)
    number, _ = count(lambda: fleet.register("new", queues="", capacity=1, lease=LEASE))
    assert number == clock + 2
    assert Worker.objects.filter(name="new").exists()
