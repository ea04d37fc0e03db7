"""Claiming: which rows, in which order, and what is left alone."""

from datetime import timedelta

import pytest

from background_task.models import Task
from background_task.store import Store, get_store
from background_task.store.mysql import MySQLStore
from background_task.store.postgresql import PostgreSQLStore
from background_task.store.sqlite import SQLiteStore
from tests.store.rows import LEASE, NAMES, add, add_as_1x, row, worker


def order(claims):
    return [claim.task_id for claim in claims]


@pytest.fixture(params=["own", "plain"])
def either(request, store):
    """The store made for this database, and the plain one that suits every database."""
    return store if request.param == "own" else Store(store.using)


def test_get_store_picks_the_one_made_for_the_database(db, settings):
    expected = {"sqlite": SQLiteStore, "postgresql": PostgreSQLStore, "mariadb": MySQLStore}
    assert type(get_store()) is expected[settings.DATABASE]


def test_claim_without_rows_returns_nothing(either):
    assert either.claim("w", NAMES, limit=10) == []


def test_claim_without_known_names_returns_nothing(either):
    add(either)
    assert either.claim("w", (), limit=10) == []


def test_claim_orders_by_priority_then_time_then_id(either):
    now = either.now()
    low = add(either, priority=-5, due_in=-500)
    first = add(either, priority=3, run_at=now - timedelta(seconds=90))
    same_time = [add(either, priority=3, run_at=now - timedelta(seconds=30)) for _ in range(3)]
    high = add(either, priority=7, due_in=-1)
    claims = either.claim("w", NAMES, limit=10)
    assert order(claims) == [high.pk, first.pk, *(task.pk for task in same_time), low.pk]


def test_claim_ascending_runs_low_numbers_first(either, settings):
    settings.BACKGROUND_TASK_PRIORITY_ORDERING = "ASC"
    nice = add(either, priority=5)
    urgent = add(either, priority=-5)
    middle = add(either, priority=0)
    claims = either.claim("w", NAMES, limit=10)
    assert order(claims) == [urgent.pk, middle.pk, nice.pk]


def test_claim_steps_over_scheduled_rows_of_higher_priority(either):
    for priority in (1, 2, 3):
        add(either, priority=priority, due_in=3600)
    due = add(either, priority=0)
    assert order(either.claim("w", NAMES, limit=10)) == [due.pk]


def test_claim_takes_due_rows_of_levels_that_also_have_scheduled_ones(either):
    later = add(either, priority=5, due_in=3600)
    high, low = add(either, priority=5), add(either, priority=4)
    assert order(either.claim("w", NAMES, limit=10)) == [high.pk, low.pk]
    assert row(later.pk)["locked_by"] is None


def test_claim_takes_at_most_the_limit_and_the_first_ones(either):
    tasks = [add(either, priority=-number) for number in range(5)]
    assert order(either.claim("w", NAMES, limit=2)) == [tasks[0].pk, tasks[1].pk]
    assert order(either.claim("w", NAMES, limit=2)) == [tasks[2].pk, tasks[3].pk]
    assert order(either.claim("w", NAMES, limit=2)) == [tasks[4].pk]
    assert either.claim("w", NAMES, limit=2) == []


def test_claim_of_one_queue_leaves_the_others_and_the_unnamed_one(either):
    add(either, queue=None)
    add(either, queue="other")
    mine = add(either, queue="mine")
    assert order(either.claim("w", NAMES, queues=["mine"], limit=10)) == [mine.pk]


def test_claim_of_all_queues_takes_the_unnamed_one_too(either):
    tasks = [add(either, queue=queue) for queue in (None, "", "other")]
    assert order(either.claim("w", NAMES, limit=10)) == [task.pk for task in tasks]


def test_claim_of_several_queues_keeps_one_order(either):
    now = either.now()
    at = [now - timedelta(seconds=seconds) for seconds in (50, 40, 30, 20)]
    third = add(either, queue="b", run_at=at[1])
    first = add(either, queue="a", priority=9, run_at=at[3])
    second = add(either, queue="a", run_at=at[0])
    fourth = add(either, queue="b", run_at=at[2])
    claims = either.claim("w", NAMES, queues=["b", "a"], limit=3)
    assert order(claims) == [first.pk, second.pk, third.pk]
    assert row(fourth.pk)["locked_by"] is None


@pytest.mark.parametrize("queue", ["a,b", 'it\'s "quoted"', "100%", "%s", "🦆", "ü" * 190])
def test_claim_of_a_queue_with_an_odd_name(either, queue):
    add(either, queue="plain")
    mine = add(either, queue=queue)
    assert order(either.claim("w", NAMES, queues=[queue], limit=10)) == [mine.pk]


def test_claim_finds_a_due_row_below_more_priorities_than_a_recursion_may_have_steps(either):
    """MySQL and MariaDB end a recursive query after 1000 steps."""
    now = either.now()
    levels = [
        Task(task_name="known", priority=number, run_at=now + timedelta(hours=1))
        for number in range(1, 1301)
    ]
    Task.objects.bulk_create(levels)
    due = add(either, priority=0)
    assert order(either.claim("w", NAMES, limit=10)) == [due.pk]


def test_claim_keeps_the_order_over_hundreds_of_priorities(either):
    for priority in range(250):
        add(either, priority=priority)
    claims = either.claim("w", NAMES, limit=240)
    assert [claim.priority for claim in claims] == list(range(249, 9, -1))
    assert [claim.priority for claim in either.claim("w", NAMES, limit=20)] == list(
        range(9, -1, -1)
    )


def test_claim_leaves_rows_of_unknown_functions_and_is_not_blocked_by_them(either):
    unknown = [add(either, task_name="unknown", priority=99).pk for _ in range(10)]
    mine = add(either)
    assert order(either.claim("w", NAMES, limit=1)) == [mine.pk]
    assert Task.objects.filter(pk__in=unknown, locked_by=None).count() == 10


def test_claim_leaves_failed_rows(either):
    add(either, failed_at=either.now())
    assert either.claim("w", NAMES, limit=10) == []


def test_claim_leaves_rows_that_others_hold(either):
    worker("alive", now=either.now())
    add(either, locked_by="alive", locked_at=either.now())
    add(either, locked_by="12345", locked_at=either.now())
    add(either, locked_by="12345", locked_at=either.now() - timedelta(days=365))  # for recovery
    assert either.claim("w", NAMES, limit=10) == []


def test_claim_takes_a_row_at_the_moment_it_is_due_and_not_before(either):
    task = add(either, due_in=0)
    moment = row(task.pk)["run_at"]
    assert either.claim("w", NAMES, now=moment - timedelta(microseconds=1)) == []
    assert order(either.claim("w", NAMES, now=moment)) == [task.pk]


def test_claim_marks_the_row_and_returns_what_is_needed_to_run_it(either):
    now = either.now()
    task = add(
        either, verbose_name="Büro", queue="q", priority=4, attempts=2, unique_key="k",
        task_params='[[1], {"a": "\\u00e9"}]',
    )  # fmt: skip
    before = row(task.pk)
    (claim,) = either.claim("host:1:token", NAMES, now=now)
    after = row(task.pk)
    assert after == before | {
        "locked_by": "host:1:token",
        "locked_at": now,
        "started_at": now,
        "claim_number": 1,
        "unique_key": None,
    }
    assert (claim.number, claim.owner, claim.uid) == (1, "host:1:token", task.uid)
    for name in ("task_name", "task_params", "verbose_name", "queue", "priority", "attempts"):
        assert getattr(claim, name) == before[name]
    assert claim.run_at == before["run_at"]
    assert claim.attempt == 3
    assert str(claim) == "Büro"


def test_claim_numbers_grow_with_every_claim_and_the_first_start_is_kept(either):
    task = add(either)
    began = either.now()
    for number in (1, 2, 3):
        (claim,) = either.claim("w", NAMES, now=began + timedelta(seconds=number))
        assert claim.number == number == row(task.pk)["claim_number"]
        assert row(task.pk)["started_at"] == began + timedelta(seconds=1)
        assert either.release([claim]) == 1


def test_claim_of_a_row_inserted_by_1x_gives_it_a_uid_and_a_number(either):
    task = add_as_1x(either)
    assert (task.uid, task.claim_number) == (None, None)
    (claim,) = either.claim("w", NAMES)
    after = row(task.pk)
    assert claim.number == after["claim_number"] == 1
    assert claim.uid == after["uid"] is not None
    assert either.release([claim]) == 1


def test_claim_of_many_rows_inserted_by_1x_gives_each_its_own_uid(either):
    for _ in range(5):
        add_as_1x(either)
    claims = either.claim("w", NAMES, limit=5)
    assert len({claim.uid for claim in claims}) == 5
    stored = dict(Task.objects.values_list("pk", "uid"))
    assert {claim.task_id: claim.uid for claim in claims} == stored


def test_claim_one_takes_a_row_that_is_not_due(either):
    task = add(either, due_in=3600, queue="any")
    claim = either.claim_one(task.pk, "w")
    assert (claim.task_id, claim.number, claim.owner) == (task.pk, 1, "w")
    assert row(task.pk)["locked_by"] == "w"


def test_claim_one_of_a_row_that_is_held_returns_none_and_changes_nothing(either):
    worker("alive", now=either.now())
    task = add(either, locked_by="alive", locked_at=either.now())
    before = row(task.pk)
    assert either.claim_one(task.pk, "w") is None
    assert row(task.pk) == before


def test_claim_one_of_a_missing_row_returns_none(either):
    assert either.claim_one(123456789, "w") is None


def test_claim_one_of_a_row_left_behind_spends_the_lost_attempt(either):
    worker("dead", now=either.now() - timedelta(hours=1), lease=LEASE)
    task = add(either, locked_by="dead", locked_at=either.now(), claim_number=7, attempts=1)
    assert either.claim_one(task.pk, "w") is None  # late is not dead: nobody has declared it so
    assert [found.task_id for found in either.left_behind(declare=False)] == []
    assert [found.task_id for found in either.left_behind()] == [task.pk]
    claim = either.claim_one(task.pk, "w")
    assert (claim.number, claim.attempts, claim.attempt) == (8, 2, 3)


def test_claim_one_of_a_row_locked_by_1x_waits_for_max_run_time(either, settings):
    settings.BACKGROUND_TASK_MAX_RUN_TIME = 600
    task = add_as_1x(either, locked_by="4242", locked_at=either.now() - timedelta(seconds=590))
    assert either.claim_one(task.pk, "w") is None
    claim = either.claim_one(task.pk, "w", now=either.now() + timedelta(seconds=20))
    assert (claim.number, claim.attempts) == (1, 1)


def test_held_by_returns_exactly_the_owners_claims(either):
    first, second = add(either), add(either)
    add(either)
    (claim,) = either.claim("w", NAMES)
    either.claim("x", NAMES)
    assert either.held_by("w") == [claim]
    assert claim.task_id == first.pk
    assert [held.task_id for held in either.held_by("x")] == [second.pk]
    assert either.held_by("nobody") == []


def test_is_held_until_the_row_is_given_back(either):
    add(either)
    (claim,) = either.claim("w", NAMES)
    assert either.is_held(claim)
    either.release([claim])
    assert not either.is_held(claim)
