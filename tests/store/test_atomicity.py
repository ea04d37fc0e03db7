"""I3: a finish that is interrupted at any statement leaves everything as it was."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task
from tests.store.rows import NAMES, Statements, add, add_as_1x, everything, statements


class FailAt(Statements):
    """Lets the statement of this number fail, before or after the database has done it."""

    def __init__(self, number, *, late):
        super().__init__()
        self.number = number
        self.late = late

    def __call__(self, execute, sql, params, many, context):
        before = len(self.all)
        failing = False

        def run(*arguments):
            nonlocal failing
            failing = len(self.all) == self.number and len(self.all) > before
            if failing and not self.late:
                raise OperationalError("interrupted before")
            return execute(*arguments)

        result = super().__call__(run, sql, params, many, context)
        if failing:
            raise OperationalError("interrupted after")
        return result


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


@pytest.mark.parametrize("make", [add, add_as_1x])
def test_claim_is_all_or_nothing(transactional_db, store, make):
    """A row without a uid is marked and given one by two statements."""

    def prepare():
        Task.objects.all().delete()
        for _ in range(3):
            make(store)

    claims = interrupt_everywhere(prepare, lambda _: store.claim("w", NAMES, limit=3))
    assert [claim.number for claim in claims] == [1, 1, 1]
    assert store.held_by("w") == claims


def test_finish_rolls_back_with_the_callers_transaction(transactional_db, store, scene):
    claim = scene()
    before = everything()
    with transaction.atomic():
        assert store.finish(claim, Succeeded())
        transaction.set_rollback(True)
    assert everything() == before
    assert store.finish(claim, Succeeded())
