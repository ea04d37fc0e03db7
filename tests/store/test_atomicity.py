"""I3: a finish that is interrupted at any statement leaves everything as it was."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task
from background_task.store import Store
from tests.store.rows import NAMES, FailAt, add, add_as_1x, everything, statements


def interrupt_everywhere(prepare, act):
    """Let each statement of ``act`` fail in turn; nothing may change until it succeeds."""
    prepared = prepare()
    with statements() as kept:
        act(prepared)
    total = len(kept.all)
    prepared = prepare()
    before = everything()
    for number in range(1, total + 1):
        for late in (False, True):
            with (
                connection.execute_wrapper(FailAt(number, late=late)),
                pytest.raises(OperationalError, match="interrupted"),
            ):
                act(prepared)
            assert everything() == before, f"statement {number} of {total}, {late=}"
    return act(prepared)


@pytest.fixture
def scene(transactional_db, store):
    """A function that clears the tables and returns the claim of a repeating task."""

    def make():
        Task.objects.all().delete()
        CompletedTask.objects.all().delete()
        task = add(store, repeat=3600)
        return store.claim_one(task.pk, "w")

    return make


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_succeeded_is_all_or_nothing(store, scene, reduced):
    finish = interrupt_everywhere(
        scene, lambda claim: store.finish(claim, Succeeded(), reduced=reduced)
    )
    assert Task.objects.get() == finish.repetition
    assert CompletedTask.objects.get() == finish.completed


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_failed_is_all_or_nothing(store, scene, reduced):
    finish = interrupt_everywhere(
        scene, lambda claim: store.finish(claim, Failed("error"), reduced=reduced)
    )
    assert not Task.objects.exists()
    assert CompletedTask.objects.get() == finish.completed


@pytest.mark.parametrize("outcome", [Retry("error", timedelta(seconds=9)), Released("stopping")])
def test_finish_in_one_statement_needs_no_transaction(store, scene, outcome):
    claim = scene()
    with statements() as kept:
        assert store.finish(claim, outcome, now=claim.run_at)
    assert len(kept.all) == 1


@pytest.fixture(params=["own", "plain"])
def either(request, transactional_db, store):
    """The store made for this database, and the plain one that suits every database."""
    return store if request.param == "own" else Store(store.using)


@pytest.mark.parametrize("queues", [(), ("a", "b")], ids=["any queue", "two queues"])
@pytest.mark.parametrize("make", [add, add_as_1x])
def test_claim_is_all_or_nothing(either, make, queues):
    """Where it is one statement and its confirmation is lost, it is all."""

    def prepare():
        Task.objects.all().delete()
        for number in range(4):
            make(either, queue="ab"[number % 2])
        return everything()

    def claim():
        return either.claim("w", NAMES, queues=queues, limit=2, ahead=1)

    prepare()
    with statements() as kept:
        claim()
    for number in range(1, len(kept.all) + 1):
        for late in (False, True):
            before = prepare()
            with (
                connection.execute_wrapper(FailAt(number, late=late)),
                pytest.raises(OperationalError, match="interrupted"),
            ):
                claim()
            held = either.held_by("w")
            if not held:
                assert everything() == before, f"statement {number}, {late=}"
            else:
                assert late
                assert [claim.number for claim in held] == [1, 1, 1]
                uids = Task.objects.filter(locked_by="w").values_list("uid", flat=True)
                assert {claim.uid for claim in held} == set(uids)


@pytest.mark.parametrize("make", [add, add_as_1x])
def test_claim_rolls_back_with_the_callers_transaction(either, make):
    for _ in range(3):
        make(either)
    before = everything()
    with transaction.atomic():
        assert len(either.claim("w", NAMES, limit=3)) == 3
        transaction.set_rollback(True)
    assert everything() == before


def test_finish_rolls_back_with_the_callers_transaction(transactional_db, store, scene):
    claim = scene()
    before = everything()
    with transaction.atomic():
        assert store.finish(claim, Succeeded())
        transaction.set_rollback(True)
    assert everything() == before
    assert store.finish(claim, Succeeded())
