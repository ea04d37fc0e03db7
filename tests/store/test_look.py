"""Looking: what an idle worker learns without taking anything."""

from datetime import timedelta

import pytest

from background_task.store import Due, Store
from tests.store.rows import NAMES, add, everything


@pytest.fixture(params=["own", "plain"])
def either(request, store):
    return store if request.param == "own" else Store(store.using)


def test_look_at_an_empty_queue(either):
    assert either.look(NAMES) == Due()


def test_look_tells_of_a_due_row_and_takes_nothing(either):
    add(either)
    before = everything()
    assert either.look(NAMES) == Due(is_ready=True)
    assert everything() == before


def test_look_tells_when_the_next_row_is_due(either):
    now = either.now()
    add(either, run_at=now + timedelta(hours=2), priority=9)
    add(either, run_at=now + timedelta(hours=1))
    add(either, run_at=now + timedelta(minutes=1), failed_at=now)
    add(either, run_at=now + timedelta(minutes=1), locked_by="w", locked_at=now)
    assert either.look(NAMES, now=now) == Due(next_at=now + timedelta(hours=1))


def test_look_at_rows_of_unknown_functions(either):
    add(either, task_name="unknown")
    assert either.look(NAMES) == Due(is_unknown=True)
    assert either.unknown_names(NAMES) == ["unknown"]


def test_look_tells_what_comes_behind_a_due_row_of_an_unknown_function(either):
    now = either.now()
    add(either, task_name="unknown")
    add(either, run_at=now + timedelta(hours=1))
    assert either.look(NAMES, now=now) == Due(is_unknown=True, next_at=now + timedelta(hours=1))


def test_look_at_known_and_unknown_on_different_levels(either):
    add(either, task_name="unknown", priority=3)
    add(either, priority=1)
    assert either.look(NAMES) == Due(is_ready=True, is_unknown=True)


def test_look_is_confined_to_the_queues(either):
    now = either.now()
    add(either, queue="other")
    add(either, queue=None)
    add(either, queue="mine", run_at=now + timedelta(hours=1))
    assert either.look(NAMES, queues=["mine"], now=now) == Due(next_at=now + timedelta(hours=1))
    assert either.look(NAMES, queues=["mine", "other"], now=now).is_ready
    assert either.unknown_names((), queues=["mine"]) == []


def test_look_ignores_failed_and_held_rows(either):
    add(either, failed_at=either.now())
    add(either, locked_by="w", locked_at=either.now())
    assert either.look(NAMES) == Due()
    assert either.unknown_names(()) == []


def test_unknown_names_are_few_and_sorted(either):
    for name in "gfedcba":
        add(either, task_name=name)
    assert either.unknown_names(NAMES) == ["a", "b", "c", "d", "e"]
