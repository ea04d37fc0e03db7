"""Attempts that are lost with their worker: the options of function and row count."""

from datetime import timedelta

import pytest

from background_task.models import CompletedTask, Task, Worker
from background_task.store import get_store
from background_task.tasks import tasks
from background_task.worker.recovery import recover
from tests.policies.running import completed
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
