"""Attempts that are lost with their worker: the options of function and row count."""

from datetime import timedelta

import pytest

from background_task.models import CompletedTask, Task, Worker
from background_task.store import get_store
from background_task.tasks import tasks
from background_task.worker.recovery import recover
from tests.policies.running import completed, make_due
from tests.store.rows import LEASE, worker

pytestmark = pytest.mark.django_db(transaction=True)

LOST = "was lost: its worker dead stopped without finishing it"


@pytest.fixture
def define(registry):
    return lambda **options: registry.background(name="job", **options)(lambda: None)


def lose(row, *, attempts=0):
    """Let a worker claim the row and die; then let others find out."""
    store = get_store()
    Task.objects.filter(pk=row.pk).update(attempts=attempts)
    Worker.objects.all().delete()
    worker("dead", now=store.now() - 2 * LEASE)
    assert store.claim_one(row.pk, "dead")
    return recover(store, registry=tasks._tasks)


def test_lost_attempt_of_a_function_that_has_only_one_fails_for_good(define, signal_log):
    row = define(max_attempts=1)()
    assert lose(row) == 1
    assert not Task.objects.exists()
    assert (completed().attempts, completed().failed_at is None) == (1, False)
    assert f"attempt 1 {LOST}" in completed().last_error
    assert signal_log.names[1:] == ["task_failed"]


def test_lost_attempt_of_a_row_that_has_only_one_fails_for_good(define):
    lose(define(max_attempts=5).using(max_attempts=1)())
    assert f"attempt 1 {LOST}" in completed().last_error


def test_lost_attempt_of_a_row_that_has_more_is_run_again(define):
    row = define(max_attempts=1).using(max_attempts=2)()
    lose(row)
    assert f"attempt 1 {LOST}" in Task.objects.get().last_error
    Task.objects.update(locked_by=None)
    assert tasks.run_next_task()
    assert (completed().attempts, completed().failed_at) == (2, None)


@pytest.mark.parametrize(("spent", "fails"), [(1, False), (2, True)])
def test_lost_attempts_count_among_the_others(define, spent, fails):
    lose(define(max_attempts=3)(), attempts=spent)
    assert Task.objects.exists() == (not fails)
    assert CompletedTask.objects.failed().exists() == fails


@pytest.mark.parametrize("goes_on", [False, True])
def test_lost_last_attempt_ends_the_chain_unless_repeat_on_failure(define, goes_on):
    row = define(max_attempts=1, repeat_on_failure=goes_on)(repeat=3600)
    lose(row)
    assert CompletedTask.objects.failed().count() == 1
    assert Task.objects.count() == goes_on
    for following in Task.objects.all():
        assert following.run_at == row.run_at + timedelta(hours=1)
        assert (following.attempts, following.last_error) == (0, "")


def test_lost_attempt_is_no_matter_of_retry_on_discard_on_and_expires(define):
    lose(define(retry_on=(), discard_on=Exception, expires=1)())
    assert f"attempt 1 {LOST}" in Task.objects.get().last_error


def test_lost_attempt_of_a_function_that_nobody_here_knows_counts_by_its_row(registry, define):
    proxy = define(max_attempts=9)
    rows = [proxy.using(max_attempts=attempts)() for attempts in (1, 2)]
    registry._tasks.pop("job")
    for row in rows:
        lose(row)
    assert completed().attempts == 1
    assert Task.objects.get().attempts == 1


def test_lost_attempt_of_a_row_with_broken_options_is_recovered(define):
    row = define(max_attempts=2)()
    Task.objects.update(options="{")
    assert lose(row) == 1
    assert Task.objects.get(pk=row.pk).attempts == 1


@pytest.mark.parametrize("goes_on", [False, True])
def test_row_whose_only_attempt_was_lost_is_not_run_even_if_it_was_handed_on(
    any_bench, signal_log, goes_on
):
    """A worker with older code, which does not know the function, takes it for one with 25."""
    called = []
    options = {"max_attempts": 1, "repeat_on_failure": goes_on}
    row = any_bench.task(lambda: called.append(1), **options)(repeat=3600)
    known = tasks._tasks.pop("job")
    lose(row)
    tasks._tasks["job"] = known
    Worker.objects.all().delete()
    assert Task.objects.get().attempts == 1
    any_bench.work()
    assert called == []
    assert (completed().attempts, completed().failed_at is None) == (1, False)
    assert f"attempt 1 {LOST}" in completed().last_error
    assert signal_log.names[-2:] == ["task_failed", "task_finished"]
    assert "task_started" not in signal_log.names
    assert Task.objects.count() == goes_on


@pytest.mark.parametrize(("lowered", "runs"), [(2, False), (3, True)])
def test_row_with_as_many_attempts_as_are_now_allowed_fails_without_a_run(any_bench, lowered, runs):
    called = []
    any_bench.task(lambda: called.append(1), max_attempts=lowered)()
    make_due(attempts=2, last_error="the error before")
    any_bench.work()
    assert bool(called) == runs
    assert (completed().attempts, completed().failed_at is None) == (2 + runs, runs)
    assert completed().last_error == "the error before"


def test_row_with_more_attempts_than_the_setting_allows_is_run_once_more(any_bench, settings):
    """The setting is compared when an attempt ends, as ever."""
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 2
    any_bench.raising(ValueError())()
    make_due(attempts=5)
    any_bench.work()
    assert (completed().attempts, completed().failed_at is None) == (6, False)
