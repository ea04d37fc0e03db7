"""No claim takes anything of what is paused, and no look finds it."""

from datetime import timedelta

import pytest

from background_task.store import Due
from background_task.store.levels import MOST_QUEUES
from tests.store.cost import measured
from tests.store.rows import NAMES, add, add_behind_a_backlog

QUEUES = ("a", "b", "", None)


def claimed(store, **options):
    return sorted(
        (claim.task_name, claim.queue or "") for claim in store.claim("w", NAMES, **options)
    )


def fill(store):
    for queue in QUEUES:
        add(store, queue=queue, task_name="known", priority=2)
        add(store, queue=queue, task_name="also_known")


@pytest.mark.parametrize(
    ("queue", "left"), [("a", {"b", ""}), ("b", {"a", ""}), (None, {"a", "b"})], ids=str
)
def test_claim_leaves_a_paused_queue_alone(either, queue, left):
    fill(either)
    either.pauses.pause("queue", queue)
    claims = claimed(either, limit=10)
    assert {queue for _, queue in claims} == left
    assert len(claims) == (4 if queue is None else 6)
    assert either.look(NAMES) == Due()
    either.pauses.resume("queue", queue)
    assert len(claimed(either, limit=10)) == 8 - len(claims)


@pytest.mark.parametrize("queues", [(), ("a",), ("a", "b")], ids=str)
def test_claim_leaves_a_paused_function_alone(either, queues):
    fill(either)
    either.pauses.pause("function", "known")
    claims = claimed(either, limit=10, queues=queues)
    assert {name for name, _ in claims} == {"also_known"}
    assert len(claims) == (len(queues) or 4)
    assert either.look(NAMES, queues=queues) == Due()


def test_claim_of_named_queues_leaves_the_paused_one_alone(either):
    fill(either)
    either.pauses.pause("queue", "a")
    assert claimed(either, queues=["a"], limit=10) == []
    assert either.look(NAMES, queues=["a"]) == Due()
    assert {queue for _, queue in claimed(either, queues=["a", "b"], limit=10)} == {"b"}
    assert either.look(NAMES, queues=["a", "b"]) == Due()


def test_claim_with_all_of_its_functions_paused_takes_nothing(either):
    fill(either)
    for name in NAMES:
        either.pauses.pause("function", name)
    assert claimed(either, limit=10) == []
    assert either.look(NAMES) == Due()


def test_claim_beside_a_pause_keeps_the_order_and_the_limit(either):
    either.pauses.pause("queue", "stopped")
    add(either, queue="stopped", priority=9)
    ages = {"a": 10, None: 30, "b": 20}
    tasks = {queue: add(either, queue=queue, due_in=-age) for queue, age in ages.items()}
    first = add(either, queue="b", priority=1, due_in=-1)
    claims = either.claim("w", NAMES, limit=3)
    assert [claim.task_id for claim in claims] == [first.pk, tasks[None].pk, tasks["b"].pk]


def test_claim_beside_more_queues_than_it_looks_into_leaves_the_paused_one_alone(either):
    for number in range(MOST_QUEUES + 2):
        add(either, queue=f"queue {number}")
    either.pauses.pause("queue", "queue 7")
    names = {queue for _, queue in claimed(either, limit=100)}
    assert len(names) == MOST_QUEUES + 1
    assert "queue 7" not in names
    assert either.look(NAMES) == Due()


def test_claim_ahead_beside_a_pause_leaves_fragile_rows(either):
    either.pauses.pause("queue", "stopped")
    for _ in range(3):
        add(either, task_name="known")
    assert len(either.claim("w", NAMES, limit=1, ahead=2, fragile=["known"])) == 1


def test_look_beside_a_pause_tells_what_comes_elsewhere(either):
    now = either.now()
    add(either, queue="stopped")
    add(either, queue="stopped", run_at=now + timedelta(minutes=1))
    add(either, run_at=now + timedelta(hours=1))
    either.pauses.pause("queue", "stopped")
    assert either.look(NAMES, now=now) == Due(next_at=now + timedelta(hours=1))
    add(either, queue="other")
    assert either.look(NAMES, now=now).is_ready


def test_look_calls_nothing_unknown_that_is_paused(either):
    add(either, queue="stopped", task_name="unknown")
    add(either, task_name="also_unknown")
    either.pauses.pause("queue", "stopped")
    either.pauses.pause("function", "also_unknown")
    assert either.look(NAMES) == Due()
    assert either.unknown_names(NAMES) == []
    either.pauses.resume("function", "also_unknown")
    assert either.look(NAMES) == Due(is_unknown=True)
    assert either.unknown_names(NAMES) == ["also_unknown"]


def test_claim_one_takes_what_is_paused(either):
    task = add(either, queue="stopped")
    either.pauses.pause("queue", "stopped")
    either.pauses.pause("function", "known")
    assert either.claim_one(task.pk, "w").task_id == task.pk


@pytest.mark.only_on("mariadb")
def test_pause_holds_queues_that_the_database_takes_for_equal(either):
    """So it is for a worker of one queue, too."""
    add(either, queue="mail")
    add(either, queue="Mail")
    either.pauses.pause("queue", "MAIL")
    assert claimed(either, limit=10) == []
    assert claimed(either, queues=["mail"], limit=10) == []
    assert either.look(NAMES) == Due()


def test_claim_beside_a_paused_backlog_does_not_read_it(store):
    add_behind_a_backlog(store, backlog="stopped", queues=("other", None))
    store.pauses.pause("queue", "stopped")
    with measured() as cost:
        assert len(store.claim("w", NAMES, limit=5)) == 2
    assert cost.rows < 200, cost.plans
    assert cost.scans == []
