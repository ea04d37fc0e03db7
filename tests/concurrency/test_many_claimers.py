"""Workers on connections of their own empty a queue: each row is claimed by exactly one."""

import threading
from collections import Counter

import pytest

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
