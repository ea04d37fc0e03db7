"""Workers at a limit: never more than it says, nothing forgotten, nobody else held up."""

import threading
from collections import Counter
from datetime import timedelta
from unittest import mock

import pytest

from background_task.models import CompletedTask, Permit, Task
from background_task.store import Fleet, get_store
from background_task.store.gate import ASIDE
from background_task.worker.recovery import recover
from tests.waiting import wait_until
from tests.worker.running import Worker, work_off as work

pytestmark = pytest.mark.django_db(transaction=True)


def is_done(name, fields):
    """What is put aside is not due: an idle worker may have more to do."""
    return name == "idle" and not Task.objects.exists()


def work_off(**options):
    return work(**{"until": is_done, **options})


class Ledger:
    """What runs now, kept outside of the queue."""

    def __init__(self, registry, **options):
        self.lock = threading.Lock()
        self.running, self.most, self.runs = Counter(), Counter(), []
        self.has_begun = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.task = registry.background(name="limited", **options)(self.run)

    def run(self, account, number):
        with self.lock:
            self.running[account] += 1
            self.most[account] = max(self.most[account], self.running[account])
            self.runs.append((account, number))
        self.has_begun.release()
        assert self.go_on.wait(30)
        with self.lock:
            self.running[account] -= 1


def claim(worker, *, owner="w", most):
    """What a worker of four threads would begin with."""
    (part,) = worker.loop.parts
    try:
        return part.claim(get_store(), owner, queues=(), room=most, is_ahead=False)
    finally:
        worker.control.polling.close()


def test_no_more_run_at_once_than_the_limit_says(registry):
    ledger = Ledger(registry, max_concurrency=2, concurrency_key="account:{account}")
    for number in range(8):
        ledger.task("a", number)
        ledger.task("b", number)
    worker = work_off(threads=6)
    assert worker.summary.succeeded == 16
    assert max(ledger.most.values()) <= 2
    assert not worker.events.of("retry")
    assert set(CompletedTask.objects.values_list("attempts", flat=True)) == {1}


def test_one_at_a_time_keeps_the_order(registry, threads):
    ledger = Ledger(registry, max_concurrency=1)
    for number in range(6):
        ledger.task("a", number, priority=number // 3)
    assert work_off(threads=threads).summary.succeeded == 6
    assert [number for _, number in ledger.runs] == [3, 4, 5, 0, 1, 2]
    assert ledger.most == {"a": 1}


def test_workers_share_the_limit(registry):
    """Two workers of four threads each; the one lets go what the other has put aside."""
    ledger = Ledger(registry, max_concurrency=3)
    for number in range(24):
        ledger.task("a", number)
    with Worker(threads=4).running(), Worker(threads=4).running():
        wait_until(lambda: not Task.objects.exists(), message="all have run")
    assert ledger.most["a"] <= 3
    assert sorted(number for _, number in ledger.runs) == list(range(24))


def test_what_waits_at_a_limit_holds_nobody_up(registry):
    ledger = Ledger(registry, max_concurrency=1, concurrency_key="{0}")
    ledger.go_on.clear()
    done = []
    other = registry.background(name="other")(done.append)
    for number in range(60):
        ledger.task("slow", number)
    other(7)
    with Worker(threads=3).running() as worker:
        assert ledger.has_begun.acquire(timeout=20)
        wait_until(lambda: done, message="the task behind the limit has run")
        worker.stop()
        ledger.go_on.set()
    assert (ledger.runs, done) == ([("slow", 0)], [7])


def test_crash_takes_no_place_with_it(registry):
    """The holder of the only place is dead; whoever recovers its row makes room."""
    ledger = Ledger(registry, max_concurrency=1)
    first, second = ledger.task("a", 1), ledger.task("a", 2)
    store = get_store()
    lease = timedelta(seconds=60)
    Fleet(store.using).register(
        "dead", queues="", capacity=1, lease=lease, now=store.now() - 2 * lease
    )
    (claimed,) = claim(Worker(threads=4), owner="dead", most=4)
    assert claimed.task_id == first.pk
    assert recover(store, registry=registry._tasks) == 1
    assert work_off(threads=2).summary.succeeded == 2
    assert {row.uid for row in CompletedTask.objects.all()} == {first.uid, second.uid}


def test_row_from_before_the_limit_passes_the_gate_as_well(registry):
    ledger = Ledger(registry)
    for number in range(5):
        ledger.task("a", number)
    assert not Task.objects.filter(limit_key__isnull=False).exists()
    limited = Ledger(registry, max_concurrency=1, concurrency_key="account:{0}")
    work_off(threads=4)
    assert (limited.most["a"], len(limited.runs), ledger.runs) == (1, 5, [])


def test_limit_that_is_gone_lets_everybody_through(registry):
    limited = Ledger(registry, max_concurrency=1)
    for number in range(4):
        limited.task("a", number)
    free = Ledger(registry)
    worker = work_off(threads=4)
    assert worker.summary.succeeded == len(free.runs) == 4
    assert not Permit.objects.exists()


def test_rate_spends_no_attempts_and_holds(registry, threads):
    """Not more in any 0.3 seconds than the rate says, by the times of the permits."""
    ledger = Ledger(registry, rate_limit=(3, 0.3))
    for number in range(9):
        ledger.task("a", number)
    seen = []
    with mock.patch("background_task.store.gate.Permit", wraps=Permit) as permit:
        permit.objects = Permit.objects
        worker = work_off(threads=threads, until=lambda *_: len(ledger.runs) == 9)
        seen = sorted(call.kwargs["admitted_at"] for call in permit.call_args_list)
    assert worker.summary.succeeded >= 8, "the last one may still be on its way"
    assert len(seen) == 9
    gaps = [later - earlier for earlier, later in zip(seen, seen[3:], strict=False)]
    assert min(gaps) >= timedelta(seconds=0.3)
    assert not worker.events.of("retry")


def test_limited_coroutines_take_turns(registry):
    running, most = [], []

    @registry.background(name="coroutine", max_concurrency=2)
    async def coroutine(number):
        running.append(number)
        most.append(len(running))
        running.remove(number)

    for number in range(8):
        coroutine(number)
    assert work_off(concurrency=10).summary.succeeded == 8
    assert max(most) <= 2


def test_unique_task_keeps_its_key_while_it_is_put_aside(registry):
    task = registry.background(name="sync", max_concurrency=1, unique=True)(lambda user: None)
    task(1)
    task(2)
    (claimed,) = claim(Worker(threads=4), most=4)
    assert claimed.task_params == "[[1], {}]"
    assert task(2) is None, "the one that is put aside has the key"
    assert task(1) is not None, "the one that runs has let go of it"


def test_using_sets_a_limit_for_its_calls(registry):
    ledger = Ledger(registry)
    narrow = ledger.task.using(max_concurrency=1, concurrency_key="x")
    for number in range(4):
        narrow("a", number)
    worker = work_off(threads=4)
    assert worker.summary.succeeded == 4
    assert ledger.most["a"] == 1


def test_repetition_has_the_limit_of_its_chain(registry):
    ledger = Ledger(registry, max_concurrency=1)
    ledger.task("a", 1, repeat=3600)
    key = Task.objects.get().limit_key
    work()
    assert key is not None
    assert Task.objects.get().limit_key == key


def test_bulk_gives_each_call_its_key(registry):
    ledger = Ledger(registry, max_concurrency=1, concurrency_key="account:{0}")
    tasks = ledger.task.bulk([((account, 1), {}) for account in ("a", "b", "a")])
    keys = [task.limit_key for task in tasks]
    assert keys[0] == keys[2] != keys[1]
    assert [Task.objects.get(pk=task.pk).limit_key for task in tasks] == keys
    assert keys[0] == ledger.task("a", 2).limit_key == ledger.task(account="a", number=3).limit_key


def test_moving_a_task_that_is_put_aside_moves_it(registry):
    """``extend`` gives it a time of its own, which calling back must not undo."""
    task = registry.background(name="sync", max_concurrency=1, unique="user", on_conflict="extend")(
        lambda user: None
    )
    task(1)
    row = Task.objects.get()
    Task.objects.update(due_at=row.run_at, run_at=row.run_at + ASIDE)
    later = row.run_at + timedelta(hours=3)
    assert task.using(schedule=later)(1) is None
    row.refresh_from_db()
    assert (row.run_at, row.due_at) == (later, None)


def test_worker_without_limits_asks_nothing_while_it_works(
    registry, calls, django_assert_num_queries
):
    """A limit costs those nothing that have none."""
    for number in range(5):
        calls.proxy(number)
    worker = Worker()
    worker.control.polling.close()
    claims = get_store().claim("w", ["noted"], limit=5)
    with django_assert_num_queries(0):
        assert worker.loop.admission.admit(claims) == claims
    assert len(claims) == 5
