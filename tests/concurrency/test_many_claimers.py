"""Workers on connections of their own empty a queue: each row is claimed by exactly one."""

import threading
from collections import Counter
from contextlib import suppress

import pytest
from django.db import OperationalError
from django.db.models import F

from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task
from background_task.payload import encode, task_hash
from background_task.store import get_store
from tests.concurrency.rivals import Rival

CLAIMERS = 4
ROWS = 200


@pytest.fixture
def store(transactional_db):
    store = get_store()
    now = store.now()
    params = encode((), {})
    for number in range(ROWS):
        store.add(
            Task(
                task_name="known",
                task_params=params,
                task_hash=task_hash("known", params),
                run_at=now,
                priority=number % 3,
                queue=("a", "b", None)[number % 3],
            )
        )
    return store


def together(act):
    """Let all begin at the same moment; return what each returned."""
    barrier = threading.Barrier(CLAIMERS)

    def begin(number):
        barrier.wait(30)
        return act(number)

    rivals = [Rival(lambda number=number: begin(number)) for number in range(CLAIMERS)]
    for rival in rivals:
        rival.start()
    return [rival.end() for rival in rivals]


@pytest.mark.parametrize("limit", [1, 7])
def test_claim_by_many_takes_each_row_once(store, limit):
    def empty(number):
        claims = []
        while Task.objects.filter(locked_by=None).exists():
            claims += store.claim(f"worker {number}", ["known"], limit=limit)
        return claims

    claims = [claim for claims in together(empty) for claim in claims]
    assert sorted(claim.task_id for claim in claims) == sorted(
        Task.objects.values_list("pk", flat=True)
    )
    assert {claim.number for claim in claims} == {1}
    owners = dict(Task.objects.values_list("pk", "locked_by"))
    assert {claim.task_id: claim.owner for claim in claims} == owners


def test_claim_and_finish_by_many_of_which_some_serve_one_queue_archives_each_row_once(store):
    def work(number):
        queues = (["a"], ["a", "b"], [], [])[number]
        finished = 0
        rest = Task.objects.filter(queue__in=queues) if queues else Task.objects
        while rest.exists():
            for claim in store.claim(f"worker {number}", ["known"], queues=queues, limit=3):
                finished += store.finish(claim, Succeeded()) is not None
        return finished

    assert sum(together(work)) == ROWS
    assert not Task.objects.exists()
    uids = Counter(CompletedTask.objects.values_list("uid", flat=True))
    assert (len(uids), set(uids.values())) == (ROWS, {1})


def insist(act):
    """Do what the database may sacrifice to end a deadlock; what it sacrifices is undone."""
    for _ in range(100):
        with suppress(OperationalError):
            return act()
    return act()


def finish_together(store, claims):
    """Finish a group, or one by one where the database has sacrificed it to end a deadlock."""
    ends = [(claim, Succeeded()) for claim in claims]
    try:
        finishes = store.finish_many(ends)
    except OperationalError:
        held = [end for end in ends if store.is_held(end[0])]
        finishes = [insist(lambda end=end: store.finish(*end)) for end in held]
    return sum(finish is not None for finish in finishes)


def assert_each_was_archived_once(rows):
    assert not Task.objects.filter(run_at__lte=get_store().now()).exists()
    uids = Counter(CompletedTask.objects.values_list("uid", flat=True))
    assert (len(uids), set(uids.values())) == (rows, {1})


def test_claim_ahead_and_finish_many_by_many_archives_each_row_once(store):
    Task.objects.filter(queue="a").update(repeat=3600)
    repeating = Task.objects.filter(queue="a").count()

    def work(number):
        queues = (["a"], ["b", "a"], [], [])[number]
        finished = 0
        rest = Task.objects.filter(queue__in=queues) if queues else Task.objects
        while rest.filter(run_at__lte=store.now()).exists():
            claims = store.claim(f"worker {number}", ["known"], queues=queues, limit=2, ahead=7)
            store.release(claims[6:])
            finished += finish_together(store, claims[:6])
        return finished

    assert sum(together(work)) == ROWS
    assert_each_was_archived_once(ROWS)
    assert Task.objects.count() == repeating


def test_claim_and_finish_many_beside_edits_and_new_rows_archives_each_row_once(store):
    """Claims never wait for others, and never fail because of them."""
    adding = threading.Event()

    def work(number):
        if number == 2:
            return edit()
        if number == 3:
            return add()
        finished = 0
        while not adding.is_set() or Task.objects.exists():
            finished += finish_together(store, store.claim(f"worker {number}", ["known"], limit=9))
        return finished

    def edit():
        while not adding.is_set():
            with suppress(OperationalError):  # a deadlock may end either of the two
                Task.objects.update(priority=F("priority") + 1)
                Task.objects.filter(queue="b").order_by("-pk").update(queue="a")
        return 0

    def add():
        now, params = store.now(), encode((), {})
        for number in range(20):
            rows = [
                Task(task_name="known", task_params=params, run_at=now, priority=number, queue="b")
                for _ in range(10)
            ]
            insist(lambda rows=rows: store.add_many(rows))
        adding.set()
        return 0

    assert sum(together(work)) == ROWS + 200
    assert_each_was_archived_once(ROWS + 200)
