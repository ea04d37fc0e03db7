"""Repeating tasks that are unique: who has the key from one run to the next."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from background_task.attempt import Discarded, Failed, Retry, Succeeded
from background_task.models import Task
from background_task.uniqueness import KEPT
from tests.store.rows import add
from tests.unique.rows import LATER, NAMES, keys, unique

pytestmark = pytest.mark.django_db(transaction=True)

NINE = datetime(2031, 5, 5, 9, tzinfo=timezone.utc)
NOON = NINE + timedelta(hours=3)


def run(store, outcome, *, in_group=False, **options):
    (claim,) = store.claim("w", NAMES, limit=1)
    if in_group:
        (finish,) = store.finish_many([(claim, outcome)])
    else:
        finish = store.finish(claim, outcome, **options)
    assert finish is not None
    return claim


@pytest.mark.parametrize("outcome", [Succeeded(), Discarded("d"), Failed("e", repeats=True)])
@pytest.mark.parametrize("reduced", [False, True])
def test_next_row_of_a_chain_takes_over_a_key_until_finish(store, outcome, reduced):
    call = unique(unique_until="finish", schedule=-60)
    task = call(7, repeat=3600)
    before = keys()
    claim = run(store, outcome, reduced=reduced)
    following = Task.objects.get()
    assert following.uid not in (None, task.uid, claim.uid)
    assert KEPT in following.options
    assert keys() == before
    assert call(7) is None


def test_next_row_of_a_chain_takes_the_key_over_in_a_group(any_store):
    call = unique(unique_until="finish", schedule=-60)
    for number in range(3):
        call(number, repeat=3600)
    add(any_store, repeat=3600)
    add(any_store)
    before = keys()
    claims = any_store.claim("w", NAMES, limit=5)
    assert None not in any_store.finish_many([(claim, Succeeded()) for claim in claims])
    assert keys() == before
    assert Task.objects.filter(unique_key=None).count() == 1
    assert Task.objects.count() == 4
    assert [call(number) for number in range(3)] == [None] * 3


@pytest.mark.parametrize("in_group", [False, True])
def test_chain_keeps_its_key_run_after_run(store, in_group):
    call = unique(unique_until="finish", schedule=-60)
    call(7, repeat=3600)
    before = keys()
    for _ in range(3):
        run(store, Succeeded(), in_group=in_group)
        assert keys() == before
        assert call(7) is None
        Task.objects.update(run_at=store.now())


def test_end_of_a_chain_frees_the_key(store):
    call = unique(unique_until="finish", schedule=-60)
    call(7, repeat=3600)
    run(store, Failed("e"))
    assert keys() == []
    assert call(7) is not None


def test_replace_between_two_runs_ends_the_chain():
    call = unique(unique_until="finish", on_conflict="replace")
    call(7, repeat=3600)
    assert call(7).repeat == 0
    assert Task.objects.count() == 1


def test_extend_between_two_runs_keeps_the_chain():
    call = unique(unique_until="finish", on_conflict="extend")
    call(7, repeat=3600)
    assert call(7, schedule=LATER) is None
    row = Task.objects.get()
    assert (row.repeat, row.run_at) == (3600, LATER)


def test_next_row_of_a_chain_until_start_has_no_key(store):
    """Somebody else may have it by then: it was free since the run began."""
    call = unique(schedule=-60)
    call(7, repeat=3600)
    (claim,) = store.claim("w", NAMES, limit=1)
    added = call(7)
    assert added is not None
    store.finish(claim, Succeeded())
    assert Task.objects.count() == 2
    assert Task.objects.exclude(unique_key=None).get() == added


def test_old_way_to_repeat_a_task_by_hand_leaves_the_key_where_it_is():
    call = unique(unique_until="finish", schedule=-60)
    task = call(7, repeat=3600)
    assert task.create_repetition().unique_key is None
    assert len(keys()) == 1


@pytest.mark.parametrize("repeat", [3600, "0 * * * *"])
def test_extend_of_a_run_that_is_tried_again_moves_its_chain(store, repeat):
    """The time for which the run was scheduled, kept over the retry, counts no more."""
    call = unique(unique_until="finish", on_conflict="extend")
    call.using(catch_up="all")(7, repeat=repeat, schedule=NINE)
    claim = store.claim_one(Task.objects.get().pk, "w", now=NINE)
    store.finish(claim, Retry("x", timedelta(minutes=1)), now=NINE)
    assert call(7, schedule=NOON) is None
    claim = store.claim_one(Task.objects.get().pk, "w", now=NOON)
    store.finish(claim, Succeeded(), now=NOON)
    row = Task.objects.get()
    assert row.run_at == NOON + timedelta(hours=1)
    assert json.loads(row.options) == {"catch_up": "all", "unique": "finish"}
