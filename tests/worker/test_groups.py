"""Outcomes that are recorded together: nothing that befalls a group costs one of its tasks more
than it would alone (I3, I11, I12)."""

from collections import Counter

import pytest
from django.db import OperationalError, connection

from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.worker import hand
from tests.worker.faults import Outage, ReplyLost
from tests.worker.running import Worker, with_experience

pytestmark = pytest.mark.django_db(transaction=True)

PLAIN, REPEATING = 5, 3
ALL = PLAIN + REPEATING


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a machine that stands still for a moment, nothing in hand goes back."""
    monkeypatch.setattr(hand, "STALLED_SECONDS", 60)


@pytest.fixture
def outage():
    with Outage().everywhere() as outage:
        yield outage


class Group:
    """Quick tasks, some of them repeating, whose outcomes a worker gathers."""

    def __init__(self, calls):
        self.calls = calls
        tasks = [calls.proxy(number) for number in range(PLAIN)]
        tasks += [calls.proxy(PLAIN + number, repeat=3600) for number in range(REPEATING)]
        self.uids = {task.uid for task in tasks}
        self.keys = {task.pk for task in tasks}
        self.store = get_store()
        self.sizes = []
        self._finish_many, self.store.finish_many = self.store.finish_many, self._count

    def _count(self, ends, **kwargs):
        self.sizes.append(len(ends))
        return self._finish_many(ends, **kwargs)

    def worker(self, **options):
        return with_experience(Worker(store=self.store, sleep=0.02, **options))

    def assert_recorded_once(self, worker):
        assert max(self.sizes) > 1, "no outcomes were recorded together"
        assert sorted(self.calls) == list(range(ALL))
        done = CompletedTask.objects.values_list("uid", "attempts", "failed_at")
        assert sorted(done) == sorted((uid, 1, None) for uid in self.uids)
        repetitions = Task.objects.values_list("attempts", "locked_by", "repeat")
        assert list(repetitions) == [(0, None, 3600)] * REPEATING
        assert not self.uids & set(Task.objects.values_list("uid", flat=True))
        succeeded = Counter(fields["claim"].uid for fields in worker.events.of("success"))
        assert succeeded == dict.fromkeys(self.uids, 1)
        assert not {"late", "reduced", "adopt", "retry"} & set(worker.events.names)


@pytest.fixture
def group(calls):
    return Group(calls)


def test_outcomes_are_recorded_together_and_told_one_by_one(group, threads):
    worker = group.worker(threads=threads)
    worker.run()
    group.assert_recorded_once(worker)


@pytest.mark.parametrize("times", [1, 3])
def test_reply_lost_of_a_group_loses_and_doubles_nothing(group, threads, times):
    fault = ReplyLost(group.store, "finish_many", times=times, only_if=lambda ends: len(ends) > 1)
    worker = group.worker(threads=threads)
    worker.run()
    assert fault.left < times
    group.assert_recorded_once(worker)


@pytest.mark.parametrize("statement", [1, 2, 3, 5])
def test_outage_in_the_middle_of_a_group_loses_and_doubles_nothing(
    group, outage, threads, statement
):
    """What was recorded before it is found again; the rest waits until the database is back."""
    finish_many, outages = group.store.finish_many, []

    def finish_until_the_outage(ends, **kwargs):
        left = statement

        def count(execute, sql, params, many, context):
            nonlocal left
            left -= 1
            if not left:
                outages.append(1)
                outage.is_on.set()
                raise OperationalError("server closed the connection unexpectedly")
            return execute(sql, params, many, context)

        if outages or len(ends) < 2:
            return finish_many(ends, **kwargs)
        with connection.execute_wrapper(count):
            return finish_many(ends, **kwargs)

    group.store.finish_many = finish_until_the_outage
    worker = group.worker(threads=threads)
    with worker.running():
        # On some databases a group takes fewer statements than on others.
        worker.events.wait_for_any(("outage", 1), ("success", ALL))
        outage.is_on.clear()
        worker.events.wait_for("success", count=ALL)
    group.assert_recorded_once(worker)
    assert worker.events.names.count("outage") == len(outages)
    assert outages or statement > 1


def test_row_that_the_archive_refuses_is_buried_and_costs_its_group_nothing(group, threads):
    """Its uid is taken: somebody has put the row back from a backup after it was archived."""
    poison = Task.objects.filter(repeat=0).latest("pk")
    archived = poison.archived(now=group.store.now())
    archived.save(force_insert=True)
    worker = group.worker(threads=threads)
    worker.run()
    assert max(group.sizes) > 1
    assert sorted(group.calls) == list(range(ALL))
    assert {fields["claim"].task_id for fields in worker.events.of("reduced")} == {poison.pk}
    buried = Task.objects.get(pk=poison.pk)
    assert (buried.locked_by, buried.attempts) == (None, 1)
    assert buried.failed_at is not None
    assert "could not be archived" in buried.last_error
    others = CompletedTask.objects.exclude(uid=poison.uid)
    assert list(others.values_list("attempts", "failed_at", "last_error")) == [(1, None, "")] * (
        ALL - 1
    )
    assert Task.objects.filter(repeat=3600, locked_by=None, failed_at=None).count() == REPEATING
    assert CompletedTask.objects.filter(uid=poison.uid).count() == 1


def test_rows_of_which_one_was_overtaken_are_recorded_without_it(group, threads):
    stolen = Task.objects.filter(repeat=0).latest("pk")

    def steal(ends, **kwargs):
        Task.objects.filter(pk=stolen.pk).update(claim_number=99, locked_by="somebody:2:else")
        return finish_many(ends, **kwargs)

    finish_many, group.store.finish_many = group.store.finish_many, steal
    worker = group.worker(threads=threads)
    worker.run()
    assert worker.loop.summary.late == 1
    assert worker.loop.summary.succeeded == ALL - 1
    assert CompletedTask.objects.count() == ALL - 1
    row = Task.objects.get(pk=stolen.pk)
    assert (row.locked_by, row.claim_number, row.attempts) == ("somebody:2:else", 99, 0)


def test_failures_among_successes_are_recorded_with_them(group, registry, threads):
    @registry.background(name="fail")
    def fail(number):
        raise ValueError(f"on purpose {number}")

    for number in range(4):
        fail(number)
    worker = group.worker(threads=threads)
    worker.run()
    assert (worker.loop.summary.succeeded, worker.loop.summary.retried) == (ALL, 4)
    failed = Task.objects.filter(task_name="fail").values_list("attempts", "locked_by")
    assert list(failed) == [(1, None)] * 4
    assert CompletedTask.objects.count() == ALL


class TestAnEndOfTheWorker:
    """No outcome is left behind in memory."""

    def test_error_in_the_worker_records_what_was_gathered(self, group):
        """Here it meets the loop between two tasks, as Ctrl-C without a handler would."""
        worker = group.worker()
        begin, begun = worker.loop.watch.begin, []

        def begin_three(claim):
            if len(begun) == 3:
                raise KeyboardInterrupt
            begun.append(claim)
            return begin(claim)

        worker.loop.watch.begin = begin_three
        with pytest.raises(KeyboardInterrupt):
            worker.run()
        assert len(group.calls) == CompletedTask.objects.count() == 3
        left = Task.objects.filter(repeat=0).values_list("locked_by", "attempts")
        assert set(left) == {(None, 0)}
        assert Task.objects.filter(uid__in=group.uids).count() == ALL - 3

    def test_error_in_a_claim_records_what_was_gathered(self, group, threads):
        worker = group.worker(threads=threads)
        claim = group.store.claim

        def claim_once(*args, **kwargs):
            if group.calls:
                raise RuntimeError("a defect")
            return claim(*args, **kwargs)

        group.store.claim = claim_once
        with pytest.raises(RuntimeError):
            worker.run()
        assert len(group.calls) == CompletedTask.objects.count()
        assert not Task.objects.filter(locked_by__isnull=False).exists()
        assert Task.objects.filter(uid__in=group.uids).count() == ALL - len(group.calls)

    def test_abandoned_worker_records_what_was_gathered(self, group):
        """Its process is ended because a task does not let it leave."""
        worker = group.worker()
        real, states = worker.loop.watch.begin, []

        def abandon_in_the_middle(claim):
            if len(group.calls) == 3 and not states:
                worker.loop.abandon()
                states.append(CompletedTask.objects.count())
                states.append(Task.objects.filter(locked_by__isnull=False).count())
                worker.control.stop_now()
            return real(claim)

        worker.loop.watch.begin = abandon_in_the_middle
        with pytest.raises(AssertionError, match="not done within"):  # it was stopped at once
            worker.run()
        assert states == [3, 0]
