"""I2: whoever does not hold the claim any more changes nothing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from background_task.attempt import Failed, Released, Retry, Succeeded
from tests.store.losses import LOSSES
from tests.store.rows import NAMES, add, add_as_1x, everything

OUTCOMES = [
    Succeeded(),
    Failed("error"),
    Retry("error", timedelta(seconds=5)),
    Retry("error", timedelta(0)),
    Released("stopping"),
]


@pytest.fixture(params=["2.0", "1.x"])
def stale(request, store):
    """A function that makes a claim which no longer holds; rows of both versions."""

    def make(lose):
        task = (add if request.param == "2.0" else add_as_1x)(store, repeat=3600)
        add(store, task_name="bystander")
        claim = store.claim_one(task.pk, "w")
        lose(store, claim)
        return claim

    return make


@pytest.mark.parametrize("lose", LOSSES)
@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
@pytest.mark.parametrize("reduced", [False, True])
def test_finish_of_a_stale_claim_changes_nothing(store, stale, lose, outcome, reduced):
    claim = stale(lose)
    before = everything()
    assert store.finish(claim, outcome, reduced=reduced) is None
    assert everything() == before


@pytest.mark.parametrize("lose", LOSSES)
def test_release_and_bury_of_a_stale_claim_change_nothing(store, stale, lose):
    claim = stale(lose)
    before = everything()
    assert store.release([claim]) == 0
    assert store.bury(claim, Failed("error")) is None
    assert not store.is_held(claim)
    assert everything() == before


def test_release_of_several_claims_counts_those_that_were_held(store):
    for _ in range(3):
        add(store)
    claims = store.claim("w", NAMES, limit=3)
    store.release(claims[:1])
    assert store.release(claims) == 2
    assert store.release(claims) == 0
    assert store.release([]) == 0


def test_finish_with_a_number_from_the_future_changes_nothing(store):
    add(store)
    (claim,) = store.claim("w", NAMES)
    before = everything()
    for wrong in (replace(claim, number=2), replace(claim, number=0), replace(claim, owner="x")):
        for outcome in OUTCOMES:
            assert store.finish(wrong, outcome) is None
    assert everything() == before


def test_save_of_a_stale_copy_does_not_set_the_number_back(store):
    """A claim that was lost must stay lost whatever somebody saves."""
    task = add(store)
    (first,) = store.claim("w", NAMES)
    store.release([first])
    (second,) = store.claim("w", NAMES)
    task.save()  # read before the first claim
    assert store.finish(first, Succeeded()) is None
    (third,) = store.claim("w", NAMES)
    assert (first.number, second.number, third.number) == (1, 2, 3)
