"""What is excluded is to one worker what a paused queue is to all."""

from datetime import timedelta

import pytest

from background_task.store import Due, Store
from background_task.store.levels import MOST_QUEUES
from tests.store.cost import measured
from tests.store.rows import NAMES, add, add_behind_a_backlog

QUEUES = ("a", "b", "", None)


@pytest.fixture(params=["own", "plain"])
def either(request, store):
    return store if request.param == "own" else Store(store.using)


def claimed(store, **options):
    return {claim.queue or "" for claim in store.claim("w", NAMES, limit=100, **options)}


@pytest.mark.parametrize(
    ("excluded", "left"),
    [
        (["a"], {"b", ""}),
        (["a", "b"], {""}),
        ([""], {"a", "b"}),
        (["", "a", "b"], set()),
        (["unknown"], {"a", "b", ""}),
    ],
    ids=str,
)
def test_claim_leaves_excluded_queues_to_others(either, excluded, left):
    for queue in QUEUES:
        add(either, queue=queue)
    some = either.without(excluded)
    assert claimed(some) == left
    assert some.look(NAMES) == Due()
    assert claimed(either) == {"a", "b", ""} - left


def test_claim_beside_an_excluded_and_a_paused_queue_takes_from_neither(either):
    for queue in QUEUES:
        add(either, queue=queue)
    either.pauses.pause("queue", "b")
    assert claimed(either.without(["a"])) == {""}
    assert claimed(either) == {"a"}


def test_claim_beside_more_queues_than_it_looks_into_leaves_the_excluded_one_alone(either):
    names = {f"queue {number}" for number in range(MOST_QUEUES + 2)}
    for name in names:
        add(either, queue=name)
    assert claimed(either.without(["queue 7"])) == names - {"queue 7"}


def test_look_beside_an_excluded_queue_tells_what_comes_elsewhere(either):
    now = either.now()
    some = either.without(["left"])
    add(either, queue="left", task_name="unknown")
    add(either, queue="left", run_at=now + timedelta(minutes=1))
    add(either, run_at=now + timedelta(hours=1))
    assert some.look(NAMES, now=now) == Due(next_at=now + timedelta(hours=1))
    assert some.unknown_names(NAMES) == []
    assert either.unknown_names(NAMES) == ["unknown"]
    add(either, queue="other")
    assert some.look(NAMES, now=now).is_ready


def test_claim_beside_an_excluded_backlog_does_not_read_it(store):
    add_behind_a_backlog(store, backlog="left", queues=("other", None))
    some = store.without(["left"])
    with measured() as cost:
        assert len(some.claim("w", NAMES, limit=5)) == 2
    assert cost.rows < 200, cost.plans
    assert cost.scans == []
    with measured() as cost:
        assert some.look(NAMES) == Due()
    assert cost.rows < 200, cost.plans
    assert cost.scans == []
