"""Claiming ahead: what a worker takes beyond what it can run at once."""

from datetime import timedelta

import pytest

from background_task.models import Task
from background_task.store.result import CLAIM_FIELDS
from tests.store.rows import NAMES, add, add_as_1x, row

SECOND = timedelta(seconds=1)


def order(claims):
    return [claim.task_id for claim in claims]


def taken():
    return set(Task.objects.exclude(locked_by=None).values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("limit", "ahead", "expected"), [(1, 0, 1), (1, 3, 4), (3, 1, 4), (2, 90, 6), (90, 2, 6)]
)
def test_claim_ahead_takes_at_most_so_many_more(any_store, limit, ahead, expected):
    tasks = [add(any_store, priority=-number) for number in range(6)]
    claims = any_store.claim("w", NAMES, limit=limit, ahead=ahead)
    assert order(claims) == [task.pk for task in tasks[:expected]]
    assert taken() == set(order(claims))


def test_claim_ahead_takes_no_row_that_has_lost_an_attempt(any_store):
    attempts = [1, 0, 2, 0, 3, 0]
    tasks = [
        add(any_store, priority=-number, attempts=spent) for number, spent in enumerate(attempts)
    ]
    claims = any_store.claim("w", NAMES, limit=2, ahead=3)
    assert order(claims) == [tasks[0].pk, tasks[1].pk, tasks[3].pk]
    assert [claim.attempts for claim in claims] == [1, 0, 0]
    assert taken() == set(order(claims))


def test_claim_without_room_ahead_takes_rows_that_have_lost_attempts(any_store):
    for number in range(4):
        add(any_store, priority=-number, attempts=number)
    assert len(any_store.claim("w", NAMES, limit=4)) == 4


def test_claim_ahead_of_rows_that_all_lost_an_attempt_takes_the_limit(any_store):
    tasks = [add(any_store, priority=-number, attempts=1) for number in range(4)]
    assert order(any_store.claim("w", NAMES, limit=1, ahead=9)) == [tasks[0].pk]
    assert order(any_store.claim("w", NAMES, limit=1, ahead=9)) == [tasks[1].pk]


def test_claim_ahead_keeps_the_order_by_priority_then_time_then_id(any_store):
    now = any_store.now()
    last = add(any_store, priority=-1, due_in=-900)
    second = add(any_store, priority=5, run_at=now - SECOND)
    first = add(any_store, priority=5, run_at=now - 2 * SECOND)
    same_time = [add(any_store, priority=2, run_at=now - SECOND) for _ in range(3)]
    add(any_store, priority=9, due_in=3600)
    claims = any_store.claim("w", NAMES, limit=2, ahead=8)
    assert order(claims) == [first.pk, second.pk, *(task.pk for task in same_time), last.pk]


def test_claim_ahead_ascending_keeps_that_order(any_store, settings):
    settings.BACKGROUND_TASK_PRIORITY_ORDERING = "ASC"
    nice, urgent = add(any_store, priority=5), add(any_store, priority=-5)
    lost = add(any_store, priority=1, attempts=1)
    assert order(any_store.claim("w", NAMES, limit=1, ahead=9)) == [urgent.pk, nice.pk]
    assert row(lost.pk)["locked_by"] is None


@pytest.mark.parametrize("queues", [["a"], ["a", "b"], []], ids=len)
def test_claim_ahead_leaves_other_queues_and_other_functions(any_store, queues):
    mine = [add(any_store, queue="ab"[number % 2], priority=-number) for number in range(6)]
    add(any_store, queue="c", priority=-9)
    add(any_store, task_name="unknown", queue="a", priority=9)
    add(any_store, due_in=3600, queue="a", priority=9)
    served = {"a"} if queues == ["a"] else {"a", "b"} if queues else {"a", "b", "c"}
    claims = any_store.claim("w", NAMES, queues=queues, limit=1, ahead=20)
    assert {claim.queue for claim in claims} == served
    assert (
        order(claims)[: len(mine) // 2]
        == [task.pk for task in mine if task.queue in served][: len(mine) // 2]
    )
    assert [claim.priority for claim in claims] == sorted(
        (claim.priority for claim in claims), reverse=True
    )


@pytest.mark.parametrize("queues", [["a", "b"], []], ids=len)
def test_claim_ahead_of_several_queues_counts_places_over_all_of_them(any_store, queues):
    first = add(any_store, queue="b", priority=9, attempts=4)
    lost = add(any_store, queue="a", priority=8, attempts=4)
    fresh = [add(any_store, queue="ab"[number], priority=7 - number) for number in range(2)]
    claims = any_store.claim("w", NAMES, queues=queues, limit=1, ahead=3)
    assert order(claims) == [first.pk, *(task.pk for task in fresh)]
    assert row(lost.pk)["locked_by"] is None


def test_claim_ahead_takes_rows_of_1x(any_store):
    tasks = [add_as_1x(any_store, priority=-number, attempts=number % 2) for number in range(4)]
    claims = any_store.claim("w", NAMES, limit=1, ahead=3)
    assert order(claims) == [tasks[0].pk, tasks[2].pk]
    assert len({claim.uid for claim in claims}) == 2


def test_claims_taken_ahead_are_like_all_others(any_store):
    """Same number, same owner, same fence; and each carries its row."""
    for number in range(4):
        add(any_store, claim_number=number or None, verbose_name=f"Büro {number}", queue="q")
    claims = any_store.claim("w", NAMES, limit=1, ahead=3)
    assert sorted(claim.number for claim in claims) == [1, 2, 3, 4]
    for claim in claims:
        stored = row(claim.task_id)
        shown = {"pk": "id"}
        expected = [stored[shown.get(name, name)] for name in CLAIM_FIELDS]
        values = {"pk": claim.task_id, "claim_number": claim.number}
        assert [
            values[name] if name in values else getattr(claim, name) for name in CLAIM_FIELDS
        ] == expected
        assert (stored["locked_by"], stored["attempts"]) == ("w", 0)
        assert any_store.is_held(claim)
    assert any_store.release(claims[1:]) == 3
    assert taken() == {claims[0].task_id}
    again = any_store.claim("x", NAMES, limit=1, ahead=9)
    assert [(claim.task_id, claim.number, claim.attempts) for claim in again] == [
        (claim.task_id, claim.number + 1, 0) for claim in claims[1:]
    ]
