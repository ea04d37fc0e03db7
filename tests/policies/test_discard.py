"""``Discard`` and ``discard_on``: the task ends, and that is neither a success nor a failure."""

import logging
from datetime import timedelta

import pytest

from background_task import Discard
from background_task.attempt import Discarded, Retry
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.tasks import tasks
from tests.policies.running import completed, make_due
from tests.store.rows import add

pytestmark = pytest.mark.django_db(transaction=True)

LISTED = {"discard_on": (KeyError, ConnectionError)}


class Cancelled(Discard):
    """One of a project's own."""


@pytest.fixture(params=["raised", "listed"])
def discarding(any_bench, request):
    """A task that discards itself, in either way; and the reason that is recorded."""
    if request.param == "raised":
        proxy = any_bench.raising(Discard("the order was cancelled"))
        return any_bench, proxy, "the order was cancelled"
    proxy = any_bench.raising(ConnectionResetError("gone"), **LISTED)
    return any_bench, proxy, "ConnectionResetError is in discard_on"


def test_discard_archives_the_row_with_its_reason(discarding):
    bench, proxy, reason = discarding
    task = proxy(verbose_name="shown name", queue="q")
    before = get_store().now()
    bench.work()
    row = completed()
    assert before <= row.discarded_at == row.run_at <= get_store().now()
    assert (row.failed_at, row.last_error, row.attempts) == (None, reason, 1)
    assert (row.uid, row.verbose_name, row.queue) == (task.uid, "shown name", "q")
    assert not Task.objects.exists()


def test_discard_is_neither_success_nor_failure_to_queries(discarding):
    bench, proxy, _ = discarding
    proxy()
    bench.work()
    assert not CompletedTask.objects.succeeded().exists()
    assert not CompletedTask.objects.failed().exists()
    assert CompletedTask.objects.get().has_error()


def test_discard_sends_task_discarded_and_no_other_end(discarding, signal_log):
    bench, proxy, _ = discarding
    task = proxy()
    events = bench.work()
    assert signal_log.names == ["task_created", "task_started", "task_discarded", "task_finished"]
    sender, arguments = signal_log.of("task_discarded")
    assert sender is Task
    assert arguments == {"task_id": task.pk, "completed_task": completed()}
    assert "error" not in events.names


def test_discard_is_logged_as_information_without_traceback(discarding, caplog):
    caplog.set_level(logging.INFO, "background_task")
    bench, proxy, reason = discarding
    proxy(verbose_name="shown name")
    bench.work()
    (record,) = [one for one in caplog.records if "Discarded" in one.getMessage()]
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert record.getMessage() == f"Discarded shown name: {reason}"
    assert (record.event, record.task_name) == ("discard", "job")
    assert {one.levelname for one in caplog.records} == {"INFO"}


def test_discard_lets_a_repeating_task_go_on(discarding):
    bench, proxy, _ = discarding
    task = proxy(repeat=3600)
    bench.work()
    following = Task.objects.get()
    assert following.run_at == task.run_at + timedelta(hours=1)
    assert (following.attempts, following.last_error) == (0, "")


def test_discard_comes_before_retry_on_and_attempts(any_bench):
    any_bench.raising(
        ValueError(), Cancelled("by the customer"), max_attempts=2, retry_on=ValueError
    )()
    assert any_bench.work_off() == 2
    assert (completed().last_error, completed().attempts) == ("by the customer", 2)


def test_discard_without_a_reason_keeps_the_error_before(any_bench):
    any_bench.raising(Discard())()
    make_due(last_error="the error before", attempts=1)
    any_bench.work()
    assert completed().last_error == "the error before"
    assert completed().discarded_at is not None


def test_discard_with_a_reason_that_no_database_stores(any_bench):
    any_bench.raising(Discard("\x00 \ud800 🦆"))()
    any_bench.work()
    assert "🦆" in completed().last_error


def test_discard_on_lists_what_it_lists(any_bench):
    any_bench.raising(ValueError("down"), max_attempts=1, **LISTED)()
    any_bench.work()
    assert completed().failed_at is not None


def test_discard_is_counted_by_the_worker(bench):
    from tests.worker.running import work_off

    proxy = bench.raising(*[Discard("not wanted")] * 3)
    for _ in range(3):
        proxy()
    summary = work_off().summary
    assert (summary.discarded, summary.succeeded, summary.failed) == (3, 0, 0)


def test_discard_among_others_of_one_group(bench):
    """Outcomes are recorded together where that is possible."""
    proxy = bench.raising(*[Discard("not wanted")] * 2)
    proxy.bulk([((), {})] * 5)
    bench.work(5)
    assert CompletedTask.objects.filter(discarded_at__isnull=False).count() == 2
    assert CompletedTask.objects.succeeded().count() == 3


def test_receiver_of_task_discarded_that_raises_harms_nobody(any_bench):
    from background_task.signals import task_discarded

    def stumble(**arguments):
        raise SystemExit("broken receiver")

    task_discarded.connect(stumble)
    try:
        any_bench.raising(Discard("no"), Discard("no"))()
        any_bench.work()
    finally:
        task_discarded.disconnect(stumble)
    assert completed().discarded_at is not None


# -- the store ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_discarded_keeps_to_the_fence_and_is_found_again(reduced):
    store = get_store()
    task = add(store, repeat=3600, last_error="before")
    claim = store.claim_one(task.pk, "w")
    finish = store.finish(claim, Discarded("Grüße"), reduced=reduced)
    assert finish.repetition.run_at > task.run_at
    assert completed().last_error == ("Gr\\xfc\\xdfe" if reduced else "Grüße")
    assert store.find_finish(claim, Discarded("Grüße")).completed == completed()
    assert store.finish(claim, Discarded("again")) is None
    assert CompletedTask.objects.count() == 1


def test_find_finish_knows_a_wish_that_spent_nothing_by_the_lock_alone():
    store = get_store()
    claim = store.claim_one(add(store, attempts=2).pk, "w")
    wish = Retry("", timedelta(hours=1), spends_attempt=False, is_wish=True)
    assert store.find_finish(claim, wish) is None
    assert store.finish(claim, wish) is not None
    assert store.find_finish(claim, wish) is not None
    assert store.finish(claim, wish) is None


def test_run_task_by_name_without_a_row_has_nothing_to_discard(registry, caplog):
    @registry.background(name="job")
    def job():
        raise Discard("not wanted")

    tasks.run_task("job")
    assert not CompletedTask.objects.exists()
