"""A task that may be tried only once is never claimed ahead: it could be lost before it began."""

from uuid import UUID

import pytest

from background_task.current import current_task
from background_task.models import Task
from background_task.policy_option import overrides
from background_task.worker.terms import fragile_names
from tests.policies.running import LONG, make_due
from tests.store.rows import NAMES, add
from tests.worker.running import Worker, with_experience

ONCE = overrides({"max_attempts": 1})
TEN = overrides({"max_attempts": 10})
TWICE = overrides({"max_attempts": 2, "timeout": 1})


def claimed(store, **options):
    return [claim.task_id for claim in store.claim("w", NAMES, **options)]


def free():
    return set(Task.objects.filter(locked_by=None).values_list("pk", flat=True))


# -- the store ----------------------------------------------------------------------------------


@pytest.mark.parametrize("queues", [(), ("a",), ("a", "b")], ids=len)
def test_claim_ahead_leaves_rows_of_fragile_functions(any_store, queues):
    rows = [
        add(any_store, task_name=name, queue="a", priority=-number)
        for number, name in enumerate(["known", "also_known", "known", "also_known"])
    ]
    found = claimed(any_store, limit=1, ahead=3, fragile=["also_known"], queues=queues)
    assert found == [rows[0].pk, rows[2].pk]
    assert free() == {rows[1].pk, rows[3].pk}


@pytest.mark.parametrize("queues", [(), ("a",), ("a", "b")], ids=len)
def test_claim_ahead_leaves_rows_that_say_they_have_one_attempt(any_store, queues):
    rows = [
        add(any_store, queue="a", priority=-number, options=options)
        for number, options in enumerate([None, ONCE, TWICE, ONCE, None])
    ]
    found = claimed(any_store, limit=1, ahead=4, queues=queues)
    assert found == [rows[0].pk, rows[2].pk, rows[4].pk]
    assert free() == {rows[1].pk, rows[3].pk}


def test_claim_takes_fragile_rows_that_can_begin_at_once(any_store):
    rows = [add(any_store, priority=-number, options=ONCE) for number in range(3)]
    assert claimed(any_store, limit=2, ahead=5, fragile=NAMES) == [rows[0].pk, rows[1].pk]
    assert claimed(any_store, limit=2, ahead=5, fragile=NAMES) == [rows[2].pk]


def test_claim_ahead_may_leave_a_row_with_ten_attempts_but_takes_it_in_its_turn(any_store):
    """The one and the ten begin alike; what is left in doubt only begins a little later."""
    add(any_store, priority=1)
    row = add(any_store, options=TEN)
    assert len(claimed(any_store, limit=1, ahead=1)) in (1, 2)
    if row.pk in free():
        assert claimed(any_store, limit=1) == [row.pk]


@pytest.mark.parametrize("name", ['"max":1', "max", "\\", '\\"max\\":1', "%(only)s", "Büro 🦆"])
def test_claim_ahead_takes_rows_whose_other_options_hold_strange_text(any_store, name):
    text = '{"retry":["' + name.replace("\\", "\\\\").replace('"', '\\"') + '"]}'
    rows = [add(any_store, priority=-number, options=text) for number in range(2)]
    assert claimed(any_store, limit=1, ahead=1) == [row.pk for row in rows]


@pytest.mark.parametrize("text", ["{", "", "null", "[]"])
def test_claim_ahead_takes_rows_whose_options_cannot_be_read(any_store, text):
    rows = [add(any_store, priority=-number, options=text) for number in range(2)]
    assert claimed(any_store, limit=1, ahead=1) == [row.pk for row in rows]


def test_claim_carries_the_options_and_the_time_of_the_claim(any_store):
    row = add(any_store, options=TWICE)
    (claim,) = any_store.claim("w", NAMES)
    assert claim.options == TWICE
    assert claim.locked_at == Task.objects.get(pk=row.pk).locked_at
    (held,) = any_store.held_by("w")
    assert held == claim


# -- the worker ---------------------------------------------------------------------------------


def test_functions_with_one_attempt_are_the_fragile_ones(registry):
    for name, attempts in (("once", 1), ("twice", 2), ("ten", 10), ("open", None)):
        registry.background(name=name, max_attempts=attempts)(lambda: None)
    names = ["once", "twice", "ten", "open", "unknown"]
    assert fragile_names(names, registry._tasks) == ["once"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"threads": 1}, {"concurrency": 1}], ids=str)
@pytest.mark.parametrize("is_own", [False, True], ids=["decorator", "using"])
def test_worker_holds_no_other_row_that_may_run_only_once(registry, options, is_own):
    """While one runs, none that has not begun is locked by a worker that could die.

    What has ended may still be locked: its end is recorded together with the next ones.
    """
    begun: set[UUID] = set()
    held = []

    def waiting():
        begun.add(current_task().id)
        return Task.objects.exclude(locked_by=None).exclude(uid__in=begun)

    def note():
        held.append(waiting().count())

    async def note_later():
        held.append(await waiting().acount())

    function = note_later if "concurrency" in options else note
    proxy = registry.background(name="job", max_attempts=None if is_own else 1)(function)
    (proxy.using(max_attempts=1) if is_own else proxy).bulk([((), {})] * 5)
    make_due()
    worker = with_experience(Worker(sleep=LONG, **options))
    worker.run(until=lambda *_: worker.events.names.count("success") == 5)
    assert held == [0] * 5
