"""I2 and I3 for groups: each row is fenced by itself, and none is half finished."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import Error, OperationalError, connection

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task
from tests.store.losses import LOSSES, claimed_again_by_another, claimed_again_by_the_same
from tests.store.rows import NAMES, FailAt, add, add_as_1x, everything, statements

HOUR = timedelta(hours=1)
OUTCOMES = [Succeeded(), Failed("error"), Retry("error", HOUR), Released("stopping")]


def kind(value):
    return type(value).__name__


def succeeded(*claims):
    return [(claim, Succeeded()) for claim in claims]


def rows_of(claims):
    """What is left of these tasks: live and archived."""
    keys, uids = [claim.task_id for claim in claims], [claim.uid for claim in claims]
    return (
        list(Task.objects.filter(pk__in=keys).order_by("pk").values()),
        list(CompletedTask.objects.filter(uid__in=uids).order_by("pk").values()),
    )


@pytest.fixture(params=[0, 3600], ids=["once", "repeating"])
def lost(request, any_store):
    """Claims that were lost, each in another way."""
    claims = {}
    for lose in LOSSES:
        task = add(any_store, repeat=request.param)
        claims[lose.__name__] = any_store.claim_one(task.pk, "w")
    for lose in LOSSES:
        lose(any_store, claims[lose.__name__])
    return claims


@pytest.mark.parametrize("outcome", OUTCOMES, ids=kind)
def test_finish_many_of_stale_claims_changes_nothing(any_store, lost, outcome):
    before = everything()
    finishes = any_store.finish_many([(claim, outcome) for claim in lost.values()])
    assert dict(zip(lost, finishes, strict=True)) == dict.fromkeys(lost)
    assert everything() == before


@pytest.mark.parametrize("outcome", OUTCOMES, ids=kind)
def test_finish_many_of_stale_claims_and_others_finishes_only_the_others(any_store, lost, outcome):
    others = [
        any_store.claim_one(add(any_store, repeat=number % 2).pk, "w")
        for number in range(len(lost) + 1)
    ]
    claims = [others[0]]
    for stale, other in zip(lost.values(), others[1:], strict=True):
        claims += [stale, other]
    before = rows_of(lost.values())
    ends = [(claim, outcome if claim in lost.values() else Succeeded()) for claim in claims]
    finishes = any_store.finish_many(ends)
    assert [finish is None for finish in finishes] == [False, True] * len(lost) + [False]
    assert rows_of(lost.values()) == before
    live, archived = rows_of(others)
    assert (live, len(archived)) == ([], len(others))
    assert Task.objects.filter(repeat=1).count() == len(others) // 2


def test_finish_many_with_a_wrong_number_or_owner_changes_nothing(any_store):
    add(any_store), add(any_store, repeat=60)
    before_claims = any_store.claim("w", NAMES, limit=2)
    before = everything()
    for claim in before_claims:
        for wrong in (
            replace(claim, number=claim.number + 1),
            replace(claim, number=0),
            replace(claim, number=-1),
            replace(claim, owner="W"),
            replace(claim, owner="w "),
            replace(claim, owner=""),
            replace(claim, task_id=claim.task_id + 1000),
        ):
            assert any_store.finish_many(succeeded(wrong)) == [None], wrong
    assert everything() == before


@pytest.mark.parametrize("outcome", OUTCOMES, ids=kind)
def test_finish_many_of_the_same_claim_twice_finishes_it_once(any_store, outcome):
    add(any_store, repeat=60), add(any_store)
    for claim in any_store.claim("w", NAMES, limit=2):
        ends = [(claim, outcome), (claim, outcome)]
        first, second = any_store.finish_many(ends)
        assert first is not None
        assert second is None


@pytest.mark.parametrize("repeat", [0, 60])
@pytest.mark.parametrize("lose", [claimed_again_by_another, claimed_again_by_the_same])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "last"])
def test_finish_many_of_an_old_and_the_present_claim_of_a_row_finishes_the_present_one(
    any_store, repeat, lose, is_first
):
    """A worker that lost its lease may get the row back while its first run is not over."""
    task = add(any_store, repeat=repeat)
    old = any_store.claim_one(task.pk, "w")
    lose(any_store, old)
    (present,) = any_store.held_by("w") or any_store.held_by("x")
    claims = [old, present] if is_first else [present, old]
    finishes = any_store.finish_many(succeeded(*claims))
    assert [finish is None for finish in finishes] == [claim is old for claim in claims]
    assert CompletedTask.objects.get().locked_by == present.owner


def test_finish_many_of_several_owners_and_numbers_mixes_none_of_them_up(any_store):
    """Each key is right with its own owner and number only."""
    claims = [
        any_store.claim_one(add(any_store, claim_number=number).pk, owner)
        for number in (None, 1, 2)
        for owner in ("w", "W", "x")
    ]
    assert {claim.number for claim in claims} == {1, 2, 3}
    shifted = [
        replace(claim, number=other.number, owner=other.owner)
        for claim, other in zip(claims, [*claims[1:], claims[0]], strict=True)
    ]
    before = everything()
    assert any_store.finish_many(succeeded(*shifted)) == [None] * 9
    assert everything() == before
    assert None not in any_store.finish_many(succeeded(*claims))


def test_finish_many_of_rows_locked_by_1x_is_fenced_by_the_owner(any_store):
    """Number 0 stands for a row whose claims nobody counts."""
    now = any_store.now()
    for owner in ("4242", "4243"):
        add_as_1x(any_store, locked_by=owner, locked_at=now)
    add(any_store, claim_number=0, locked_by="4242", locked_at=now)
    mine, theirs = any_store.held_by("4242"), any_store.held_by("4243")
    assert [claim.number for claim in mine + theirs] == [0, 0, 0]
    Task.objects.filter(locked_by="4243").update(claim_number=1)
    finishes = any_store.finish_many(succeeded(mine[0], *theirs, mine[1]))
    assert [finish is None for finish in finishes] == [False, True, False]
    assert list(Task.objects.values_list("locked_by", flat=True)) == ["4243"]


def test_finish_many_interrupted_leaves_no_row_half_finished(transactional_db, store):
    """Some rows may be finished and others not; ``find_finish`` tells which."""
    ends = four_ends(store)
    with statements() as kept:
        store.finish_many(ends)
    for number in range(1, len(kept.all) + 1):
        for late in (False, True):
            ends = four_ends(store)
            with (
                connection.execute_wrapper(FailAt(number, late=late)),
                pytest.raises(OperationalError, match="interrupted"),
            ):
                store.finish_many(ends)
            judge(store, ends)
            rest = [end for end in ends if store.is_held(end[0])]
            assert None not in store.finish_many(rest)
            judge(store, ends)
            assert CompletedTask.objects.count() == 4


def four_ends(store):
    """Two rows that repeat and two that do not, one of which failed, in tables of their own."""
    Task.objects.all().delete()
    CompletedTask.objects.all().delete()
    for repeat in (0, 0, 60, 60):
        add(store, repeat=repeat)
    outcomes = [Succeeded(), Failed("f"), Succeeded(), Succeeded()]
    return list(zip(store.claim("w", NAMES, limit=4), outcomes, strict=True))


def judge(store, ends):
    repetitions = 0
    for claim, outcome in ends:
        live, archived = rows_of([claim])
        assert len(live) + len(archived) == 1
        assert store.is_held(claim) == bool(live)
        assert (store.find_finish(claim, outcome) is not None) == bool(archived)
        repetitions += bool(archived and archived[0]["repeat"])
    assert Task.objects.filter(locked_by=None).count() == repetitions


def test_finish_many_with_an_outcome_that_cannot_be_stored_leaves_no_row_half_finished(
    transactional_db, store
):
    for repeat in (0, 0, 60, 0):
        add(store, repeat=repeat)
    claims = store.claim("w", NAMES, limit=4)
    bad = Failed("half \ud800")
    ends = list(zip(claims, [Succeeded(), bad, Succeeded(), Succeeded()], strict=True))
    with pytest.raises((UnicodeError, Error)):
        store.finish_many(ends)
    assert store.is_held(claims[1])
    for claim, outcome in ends:
        if store.find_finish(claim, outcome) is None:
            assert store.finish(claim, outcome, reduced=outcome is bad)
    assert CompletedTask.objects.count() == 4
    assert Task.objects.count() == 1
