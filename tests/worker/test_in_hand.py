"""What is claimed ahead waits for nobody: others take it while a slow task runs."""

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.store import get_store
from background_task.worker import part
from tests.waiting import wait_until
from tests.worker.faults import Refused, ReplyLost
from tests.worker.running import Worker, with_experience

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = 6


class Tasks:
    """Slow tasks, quick ones behind them, and what was run."""

    def __init__(self, registry):
        self.runs = []
        self.go_on = threading.Event()
        self.has_begun = threading.Semaphore(0)
        self.slow = registry.background(name="slow")(self._slow)
        self.quick = registry.background(name="quick")(self.runs.append)

    def _slow(self):
        self.has_begun.release()
        assert self.go_on.wait(30)

    def schedule(self, *, slow):
        for _ in range(slow):
            self.slow(priority=1)
        for number in range(QUICK):
            self.quick(number)

    def wait_for_slow(self, count):
        for _ in range(count):
            assert self.has_begun.acquire(timeout=20)


@pytest.fixture
def tasks(registry):
    tasks = Tasks(registry)
    yield tasks
    tasks.go_on.set()


def starts(worker):
    """The owners of the runs of each row, in order."""
    owners = {}
    for fields in worker.events.of("start"):
        owners.setdefault(fields["claim"].task_id, []).append(fields["claim"].owner)
    return owners


def handed_back(worker):
    """The quick tasks that were handed back so far, once there are any.

    A slow one may be among the rest: its thread did not get to begin it in time.
    """
    worker.events.wait_for("handed_back")
    claims = [claim for fields in worker.events.of("handed_back") for claim in fields["claims"]]
    return [claim.task_id for claim in claims if claim.task_name == "quick"]


def run_quick(**options):
    """A second worker that runs the quick tasks."""
    second = Worker(sleep=0.02, **options)
    second.run(until=lambda name, fields: second.events.names.count("success") == QUICK)
    return second


def test_tasks_in_hand_behind_slow_ones_are_run_by_another_worker_meanwhile(tasks, threads):
    slots = threads or 1
    tasks.schedule(slow=slots)
    first = with_experience(Worker(threads=threads, sleep=0.02))
    with first.running():
        tasks.wait_for_slow(slots)
        assert len(handed_back(first)) == QUICK
        second = run_quick()
        assert sorted(tasks.runs) == list(range(QUICK))
        assert Task.objects.filter(locked_by=first.name).count() == slots == Task.objects.count()
        tasks.go_on.set()
        first.events.wait_for("success", count=QUICK + slots)
    assert sorted(starts(first).values()) == sorted(
        [[first.name]] * slots + [[second.name]] * QUICK
    )
    assert set(CompletedTask.objects.values_list("attempts", "failed_at")) == {(1, None)}
    assert CompletedTask.objects.count() == QUICK + slots


def test_tasks_handed_back_are_not_claimed_again_before_a_slow_one_has_ended(tasks):
    """A worker that took them back at once would keep them from others most of the time."""
    tasks.schedule(slow=2)
    first = with_experience(Worker(threads=2, sleep=0.02))
    rounds, adopt = [], first.loop.hand.adopt

    def count_rounds():
        rounds.append(1)
        return adopt()

    first.loop.hand.adopt = count_rounds
    with first.running():
        tasks.wait_for_slow(2)
        first.events.wait_for("handed_back")
        before = len(rounds)

        def has_looked_again():
            first.control.polling.wake()
            return len(rounds) > before + 3

        wait_until(has_looked_again)
        assert Task.objects.filter(locked_by=first.name).count() == 2
        assert len(handed_back(first)) == QUICK
        tasks.go_on.set()
        first.events.wait_for("success", count=QUICK + 2)
    assert sorted(tasks.runs) == list(range(QUICK))


def test_outcomes_of_quick_tasks_are_recorded_while_a_slow_one_runs(tasks, threads):
    for number in range(QUICK):
        tasks.quick(number, priority=2)
    tasks.slow(priority=1)
    tasks.quick("behind")
    worker = with_experience(Worker(threads=threads, sleep=0.02))
    recorded = CompletedTask.objects.filter(task_name="quick")
    with worker.running():
        tasks.wait_for_slow(1)
        wait_until(lambda: recorded.count() >= QUICK, deadline=20)
        assert not tasks.go_on.is_set()
        tasks.go_on.set()
        worker.events.wait_for("success", count=QUICK + 2)
    assert set(CompletedTask.objects.values_list("attempts", "failed_at")) == {(1, None)}


def test_outcomes_are_recorded_while_a_stopping_worker_waits_for_a_slow_task(registry, threads):
    """Until it is killed because its slow task takes too long, say."""
    slow_runs, go_on = threading.Event(), threading.Event()
    worker = Worker(threads=threads, sleep=0.02)

    @registry.background(name="quick")
    def quick():
        if threads:
            assert slow_runs.wait(20)
            worker.stop(within=30)

    @registry.background(name="slow")
    def slow():
        slow_runs.set()
        if not threads:
            worker.stop(within=30)
        assert go_on.wait(30)

    quick(priority=1)
    slow()
    with_experience(worker)
    with worker.running():
        wait_until(CompletedTask.objects.filter(task_name="quick").exists, deadline=20)
        assert not go_on.is_set()
        go_on.set()
    assert CompletedTask.objects.count() == 2


def test_flush_each_records_an_outcome_before_the_next_task_begins(registry, settings, threads):
    settings.BACKGROUND_TASK_FLUSH_EACH = True
    assert run_and_look_back(registry, threads=threads) == []


def test_outcomes_are_gathered_while_there_is_more_in_hand(registry):
    assert run_and_look_back(registry, threads=None) != []


def run_and_look_back(registry, *, threads):
    """Run tasks that look for the one before them in their thread; those not recorded by then."""
    last, unrecorded = threading.local(), []

    @registry.background(name="look back")
    def look_back(number):
        before = getattr(last, "number", None)
        if before is not None and Task.objects.filter(priority=before).exists():
            unrecorded.append(before)
        last.number = number

    for number in range(10):
        look_back(number, priority=number)
    with_experience(Worker(threads=threads)).run()
    assert CompletedTask.objects.count() == 10
    return unrecorded


def test_stop_releases_what_is_in_hand_without_spending_an_attempt(tasks, threads):
    slots = threads or 1
    tasks.schedule(slow=slots)
    worker = with_experience(Worker(threads=threads))
    with worker.running():
        tasks.wait_for_slow(slots)
        worker.stop(within=30)
        wait_until(lambda: Task.objects.filter(locked_by=None).count() == QUICK, deadline=20)
        tasks.go_on.set()
    assert tasks.runs == []
    assert list(Task.objects.values_list("locked_by", "attempts")) == [(None, 0)] * QUICK
    assert CompletedTask.objects.count() == slots


@pytest.mark.parametrize("limit", [1, 2])
def test_nothing_is_claimed_ahead_where_a_loss_would_be_the_last_attempt(
    tasks, threads, settings, limit
):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = limit
    slots = threads or 1
    tasks.schedule(slow=slots)
    store = get_store()
    taken, claim = set(), store.claim

    def watch(*args, **kwargs):
        claims = claim(*args, **kwargs)
        taken.update(claim.task_id for claim in claims)
        return claims

    store.claim = watch
    worker = with_experience(Worker(store=store, threads=threads))
    with worker.running():
        tasks.wait_for_slow(slots)
        assert len(taken) == (slots if limit == 1 else slots + QUICK)
        tasks.go_on.set()
        worker.events.wait_for("success", count=slots + QUICK)


def test_row_that_lost_an_attempt_is_claimed_only_to_be_run_at_once(tasks, threads):
    """It may be the one that kills its workers: it must not cost its neighbours another one."""
    slots = threads or 1
    tasks.schedule(slow=slots)
    suspect = Task.objects.filter(task_name="quick").latest("pk")
    Task.objects.filter(pk=suspect.pk).update(attempts=1)
    worker = with_experience(Worker(threads=threads))
    with worker.running():
        tasks.wait_for_slow(slots)
        assert len(handed_back(worker)) == QUICK - 1
        tasks.go_on.set()
        worker.events.wait_for("success", count=slots + QUICK)


class TestRowsThatLostAnAttempt:
    """One of them may kill its workers: on threads they begin one after the other."""

    @pytest.fixture
    def suspects(self, tasks):
        for _ in range(2):
            tasks.slow(priority=1)
        Task.objects.update(attempts=1)

    def test_next_one_begins_when_the_one_before_has_ended(self, tasks, suspects, monkeypatch):
        monkeypatch.setattr(part, "TRIAL_SECONDS", 60)
        worker = with_experience(Worker(threads=2, sleep=0.02))
        with worker.running():
            tasks.wait_for_slow(1)
            for number in range(QUICK):  # others need not wait
                tasks.quick(number)
            worker.events.wait_for("success", count=QUICK)
            assert Task.objects.filter(task_name="slow", locked_by=None).count() == 1
            tasks.go_on.set()
            worker.events.wait_for("success", count=QUICK + 2)
        assert set(CompletedTask.objects.values_list("task_name", "attempts")) == {
            ("quick", 1),
            ("slow", 2),
        }

    def test_next_one_does_not_wait_for_one_that_takes_long(self, tasks, suspects):
        worker = with_experience(Worker(threads=2, sleep=0.02))
        with worker.running():
            tasks.wait_for_slow(2)
            tasks.go_on.set()
            worker.events.wait_for("success", count=2)

    def test_outcome_is_recorded_before_the_next_task_begins(self, tasks, registry):
        """Gathered, it would be lost with a neighbour that kills the worker."""
        recorded = []
        registry.background(name="look")(
            lambda: recorded.append(CompletedTask.objects.filter(task_name="quick").count())
        )(priority=1)
        tasks.quick("suspect", priority=2)
        Task.objects.filter(task_name="quick").update(attempts=1)
        worker = with_experience(Worker())
        worker.run()
        assert tasks.runs == ["suspect"]
        assert recorded == [1]


class TestWhatIsHandedBack:
    """The rivals are the keeper, which hands back, and the loop, which adopts what it misses."""

    def test_reply_lost_of_a_hand_back_loses_and_doubles_nothing(self, tasks, threads):
        slots = threads or 1
        tasks.schedule(slow=slots)
        store = get_store()
        fault = ReplyLost(store, "release", only_if=lambda claims: len(claims) > 1)
        first = with_experience(Worker(store=store, threads=threads, sleep=0.02))
        with first.running():
            tasks.wait_for_slow(slots)
            wait_until(lambda: not fault.left, deadline=20)
            run_quick()
            tasks.go_on.set()
            first.events.wait_for("success", count=QUICK + slots)
        assert Counter(map(len, starts(first).values())) == {1: QUICK + slots}
        assert set(CompletedTask.objects.values_list("attempts", "failed_at")) == {(1, None)}

    @pytest.mark.parametrize("error", [OperationalError("gone"), AttributeError("closed file")])
    def test_hand_back_that_fails_loses_nothing(self, tasks, threads, error):
        """The rows are still this worker's: it has to find them again, nobody else can."""
        slots = threads or 1
        tasks.schedule(slow=slots)
        store = get_store()
        fault = Refused(store, "release", error)
        worker = with_experience(Worker(store=store, threads=threads, sleep=0.02))
        with worker.running():
            tasks.wait_for_slow(slots)
            wait_until(lambda: not fault.left, deadline=20)
            tasks.go_on.set()
            worker.events.wait_for("success", count=QUICK + slots)
        assert sorted(tasks.runs) == list(range(QUICK))
        assert set(CompletedTask.objects.values_list("attempts", "failed_at")) == {(1, None)}

    def test_claims_on_their_way_back_are_not_adopted_meanwhile(self, tasks):
        """Keeper: takes back. Loop: asks what it holds, finds them, runs them. Keeper: releases."""
        tasks.schedule(slow=1)
        store = get_store()
        worker = with_experience(Worker(store=store, sleep=0.02))
        release, is_under_way, has_asked = store.release, threading.Event(), threading.Event()
        held_by, adopt = store.held_by, worker.loop.hand.adopt

        def release_late(claims):
            is_under_way.set()
            assert has_asked.wait(20)
            return release(claims)

        def ask(owner):
            assert not is_under_way.is_set() or not Task.objects.filter(
                task_name="quick", locked_by=owner
            ), "asked while claims were on their way back"
            return held_by(owner)

        def adopt_after_an_error():
            if is_under_way.is_set() and not has_asked.is_set():
                worker.loop.hand.is_unsure = True
                threading.Timer(0.1, has_asked.set).start()  # gives the wrong order its chance
            return adopt()

        store.release, store.held_by = release_late, ask
        worker.loop.hand.adopt = adopt_after_an_error
        with worker.running():
            assert is_under_way.wait(20)
            tasks.go_on.set()
            worker.events.wait_for("success", count=QUICK + 1)
        assert sorted(tasks.runs) == list(range(QUICK))
        assert not worker.events.of("late")


def test_claim_in_hand_of_a_worker_that_was_taken_for_dead_is_not_begun(registry, threads):
    """After SIGCONT the first thing it does may be the next task in hand, which others have."""
    runs = []
    worker = Worker(threads=threads, sleep=0.02, lease=timedelta(seconds=60))

    @registry.background(name="stand still")
    def stand_still():
        runs.append("still")
        WorkerRow.objects.filter(name=worker.name).update(stopped_at=timezone.now())
        worker.loop.identity.renewed_at -= 60  # a minute in which nobody in this process ran

    registry.background(name="quick")(runs.append)
    for _ in range(threads or 1):
        stand_still(priority=1)
    quick = registry._tasks["quick"]
    for number in range(QUICK):
        quick(number)
    former = worker.name
    with_experience(worker)
    with worker.running():
        worker.events.wait_for("evicted")
        wait_until(lambda: work_off_lost(former), deadline=20)
        worker.events.wait_for("success", count=QUICK + (threads or 1))
    begun_by_the_dead = [
        fields["claim"] for fields in worker.events.of("start") if fields["claim"].owner == former
    ]
    assert {claim.task_name for claim in begun_by_the_dead} == {"stand still"}


def work_off_lost(former):
    """Recovery, as any worker would do it; True once nothing is held under the former name."""
    from background_task.worker.recovery import recover

    recover(get_store())
    return not Task.objects.filter(locked_by=former).exists()
