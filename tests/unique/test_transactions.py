"""Unique calls in open transactions: whom they make wait, and whom they must not."""

import threading

import pytest
from django.db import OperationalError, connection, transaction

from background_task.attempt import Succeeded
from background_task.models import Task, Turn
from tests.concurrency.test_keyed_calls_and_enqueue import (
    DEADLINE_SECONDS,
    in_thread,
    old_reader,
    open_transaction,
    wait_until_blocked,
    waits_for_locks_are_errors,
)
from tests.unique.rows import LATER, NAMES, SOON, keys, unique

pytestmark = pytest.mark.django_db(transaction=True)
WAYS = pytest.mark.parametrize("way", ["skip", "replace", "raise", "extend"])
UNTIL = pytest.mark.parametrize("until", ["start", "finish"])
ADDED = pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
WITH_LOCKS = pytest.mark.only_on("postgresql", "mariadb")


def rule(until="start", way="skip", **options):
    return unique(unique="user_id", unique_until=until, on_conflict=way, **options)


def kinds():
    return [task.params()[0][1] for task in Task.objects.order_by("pk")]


@WITH_LOCKS
@WAYS
@UNTIL
@pytest.mark.parametrize("is_backed_up", [False, True], ids=["", "beside a backup"])
def test_others_do_not_wait_for_a_unique_call_that_is_not_committed(
    store, way, until, is_backed_up
):
    """Not even where a key stood that is gone, and whose place the database has not cleared."""
    call = rule(until, way, schedule=-60)
    with old_reader() if is_backed_up else open_transaction():
        call(7)
        (claim,) = store.claim("w", NAMES, limit=1)
        store.finish(claim, Succeeded())
        with open_transaction(lambda: call(7)), waits_for_locks_are_errors():
            assert call.using(unique=False)(7) is not None
            (claim,) = store.claim("w", NAMES, limit=1)
            assert store.finish(claim, Succeeded()) is not None
            assert call(9) is not None
            assert len(call.bulk([((number,), {}) for number in (10, 11)])) == 2
    assert Task.objects.count() == 4


@WITH_LOCKS
@pytest.mark.parametrize("is_rolled_back", [False, True])
@ADDED
def test_second_caller_waits_for_the_first_and_then_does_what_is_left(is_rolled_back, many):
    call = rule()
    may_end, is_done = threading.Event(), threading.Event()

    def add_first():
        with transaction.atomic():
            call(7, "first")
            is_done.set()
            assert may_end.wait(DEADLINE_SECONDS)
            transaction.set_rollback(is_rolled_back)

    first = in_thread(add_first)
    assert is_done.wait(DEADLINE_SECONDS)
    items = [((7, "second"), {})]
    second = in_thread(lambda: call.bulk(items) if many else call(7, "second"))
    wait_until_blocked()
    may_end.set()
    first()
    assert bool(second()) == is_rolled_back
    assert kinds() == ["second" if is_rolled_back else "first"]


@WITH_LOCKS
@WAYS
def test_two_transactions_with_two_keys_crosswise_end_with_one_winner(way):
    """Each waits for the other's row. The database refuses one of them, and it may try again."""
    call = rule(way=way)
    meet = threading.Barrier(2, timeout=DEADLINE_SECONDS)

    def both(name, *users):
        with transaction.atomic():
            call(users[0], name)
            meet.wait()
            call(users[1], name)

    rivals = [in_thread(lambda: both("a", 7, 8)), in_thread(lambda: both("b", 8, 7))]
    lost = []
    for name, rival in zip("ab", rivals, strict=True):
        try:
            rival()
        except OperationalError:
            lost.append(name)
    (loser,) = lost
    assert kinds() == ["b" if loser == "a" else "a"] * 2
    assert len(keys()) == 2


@WITH_LOCKS
def test_two_transactions_that_skip_the_same_rows_crosswise_do_not_wait():
    call = rule()
    for user in (7, 8):
        call(user)
    with (
        open_transaction(lambda: call(7), lambda: call(8)),
        waits_for_locks_are_errors(),
        transaction.atomic(),
    ):
        assert (call(8), call(7)) == (None, None)


@WITH_LOCKS
@ADDED
def test_two_transactions_with_keys_in_the_same_order_wait_for_each_other_once(many):
    call = rule()
    start = threading.Barrier(2, timeout=DEADLINE_SECONDS)
    items = [((number,), {}) for number in range(70)]

    def all_of_them():
        connection.ensure_connection()
        start.wait()
        with transaction.atomic():
            return call.bulk(items) if many else [t for a, _ in items[:9] if (t := call(*a))]

    rivals = [in_thread(all_of_them) for _ in range(2)]
    assert sorted(len(rival()) for rival in rivals) == [0, 70 if many else 9]


@pytest.mark.only_on("mariadb")
def test_bulks_of_other_keys_take_turns_without_a_deadlock():
    """There are fewer turns than keys, and each batch needs its own."""
    call = rule()
    start = threading.Barrier(3, timeout=DEADLINE_SECONDS)

    def some(first):
        connection.ensure_connection()
        start.wait()
        return len(call.bulk(((number,), {}) for number in range(first, first + 2500)))

    rivals = [in_thread(lambda first=first: some(first)) for first in (0, 10_000, 20_000)]
    assert [rival() for rival in rivals] == [2500] * 3


@WAYS
@UNTIL
@pytest.mark.parametrize("are_turns_there", [True, False], ids=["", "right after a flush"])
def test_many_callers_at_the_same_time_end_with_one_row(way, until, are_turns_there):
    if are_turns_there:
        Turn.objects.bulk_create([Turn(number=number) for number in range(64)])
    call = rule(until, way)
    callers = 8
    start = threading.Barrier(callers, timeout=DEADLINE_SECONDS)

    def work(name):
        connection.ensure_connection()
        start.wait()
        try:
            return call(7, name)
        except Exception as error:  # noqa: BLE001 - compared like any other result
            return type(error).__name__

    rivals = [in_thread(lambda name=name: work(name)) for name in "abcdefgh"]
    results = [rival() for rival in rivals]
    added = [result for result in results if isinstance(result, Task)]
    assert len(added) == (callers if way == "replace" else 1)
    assert [r for r in results if r not in added] == {
        "skip": [None] * 7, "extend": [None] * 7, "raise": ["AlreadyScheduledError"] * 7,
        "replace": [],
    }[way]  # fmt: skip
    (row,) = Task.objects.all()
    assert row in added
    assert len(keys()) == 1


@WITH_LOCKS
@pytest.mark.parametrize("way", ["extend", "replace"])
def test_worker_leaves_a_row_alone_that_an_open_transaction_has_moved(store, way):
    """What the transaction changes is there when the task is run."""
    call = rule(way=way)
    call(7, "old", schedule=-60)
    with (
        open_transaction(lambda: call(7, "new", schedule=-60)),
        waits_for_locks_are_errors(),
    ):
        assert store.claim("w", NAMES, limit=1) == []
    (claim,) = store.claim("w", NAMES, limit=1)
    assert '"new"' in claim.task_params


@WITH_LOCKS
def test_worker_may_run_a_row_that_an_open_transaction_has_skipped(store):
    call = rule(schedule=-60)
    call(7)
    with open_transaction(lambda: call(7)), waits_for_locks_are_errors():
        assert len(store.claim("w", NAMES, limit=1)) == 1


def test_call_that_is_rolled_back_leaves_the_waiting_row_as_it_was():
    rule()(7, "old", schedule=SOON)
    before = list(Task.objects.values())
    for way in ("replace", "extend"):
        with transaction.atomic():
            rule(way=way)(7, "new", schedule=LATER)
            assert kinds() == ["new"]
            transaction.set_rollback(True)
        assert list(Task.objects.values()) == before


@pytest.mark.only_on("mariadb")
def test_keys_end_with_the_rows_uid_and_are_left_to_turns_here():
    task = rule()(7)
    assert task.unique_key == keys()[0] + task.uid.hex
    assert Turn.objects.count() == 1
