"""``expires``: what is not started in time is discarded, and not run."""

import logging
from datetime import datetime, timedelta, timezone

import pytest

from background_task import Snooze
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.policies.running import Bench, completed, make_due

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
PAST = datetime(2020, 1, 1, tzinfo=timezone.utc)


def late(seconds):
    """Let the row have been due for so long, by the database's clock."""
    Task.objects.update(run_at=get_store().now() - timedelta(seconds=seconds))


@pytest.fixture
def calls():
    return []


@pytest.fixture
def noting(any_bench, calls):
    """Defines a task that notes that it was called."""
    return lambda **options: any_bench.task(lambda: calls.append(1), **options)


def test_task_that_is_started_too_late_is_discarded_and_not_called(
    any_bench, noting, calls, signal_log
):
    noting(expires=60)()
    late(61)
    due = Task.objects.get().run_at
    any_bench.work()
    assert calls == []
    row = completed()
    assert (row.failed_at, row.discarded_at is None) == (None, False)
    assert row.last_error == (
        f"it was not started in time: due at {due}, it expired at {due + timedelta(minutes=1)}"
    )
    assert signal_log.names == ["task_created", "task_discarded", "task_finished"]


def test_expired_task_has_spent_no_attempt(any_bench, noting):
    noting(expires=60)()
    late(61)
    any_bench.work()
    assert completed().attempts == 0


def test_expired_task_is_logged_once_as_information(any_bench, noting, caplog):
    caplog.set_level(logging.INFO, "background_task")
    noting(expires=60)()
    late(61)
    any_bench.work()
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("Discarded job: it was not started in time: due at ")


@pytest.mark.parametrize("expires", [3600, HOUR, datetime.now(timezone.utc) + HOUR])
def test_task_that_is_started_in_time_runs(any_bench, noting, calls, expires):
    noting(expires=expires)()
    late(60)
    any_bench.work()
    assert (calls, completed().discarded_at) == ([1], None)


def test_expiry_at_a_moment_does_not_depend_on_when_the_task_is_due(any_bench, noting, calls):
    noting(expires=PAST)()
    any_bench.work()
    assert calls == []
    assert completed().last_error.endswith(f"it expired at {PAST}")


def test_task_that_began_in_time_may_be_tried_again_later(any_bench):
    any_bench.raising(ValueError(), max_attempts=2, expires=60)()
    any_bench.work()
    late(10_000)
    any_bench.work()
    assert (completed().attempts, completed().discarded_at) == (2, None)


def test_snoozed_task_has_not_begun_and_expires_from_its_new_time(any_bench):
    task = any_bench.raising(Snooze(0), expires=60)()
    late(30)
    any_bench.work()
    assert Task.objects.get(pk=task.pk).run_at > task.run_at
    late(61)
    any_bench.work()
    assert completed().discarded_at is not None


def test_expiry_of_the_row_wins_over_that_of_the_decorator(any_bench, noting, calls):
    noting(expires=60).using(expires=HOUR)()
    late(61)
    any_bench.work()
    assert calls == [1]
    noting().using(expires=60)()
    late(61)
    any_bench.work()
    assert calls == [1]


def test_expired_task_goes_on_repeating(any_bench, noting, calls):
    task = noting(expires=60)(repeat=3600)
    late(61)
    any_bench.work()
    following = Task.objects.get()
    assert following.run_at > task.run_at + HOUR / 2
    make_due()
    any_bench.work()
    assert (calls, CompletedTask.objects.count()) == ([1], 2)


@pytest.mark.parametrize("way", ["inline", "threads", "coroutines"])
def test_many_expired_tasks_are_all_discarded(registry, calls, way):
    bench = Bench(registry, way)
    proxy = bench.task(lambda: calls.append(1), expires=60)
    proxy.bulk([((), {})] * 20)
    late(61)
    bench.work(20)
    assert CompletedTask.objects.filter(discarded_at__isnull=False).count() == 20
    assert calls == []


@pytest.mark.parametrize("way", ["inline", "threads", "coroutines"])
def test_expired_task_is_discarded_where_each_outcome_is_recorded_by_itself(
    registry, settings, calls, way
):
    settings.BACKGROUND_TASK_FLUSH_EACH = True
    bench = Bench(registry, way)
    bench.task(lambda: calls.append(1), expires=60)()
    late(61)
    bench.work()
    assert completed().discarded_at is not None
    assert calls == []


@pytest.mark.parametrize("way", ["inline", "threads", "coroutines"])
def test_receiver_may_use_the_database_when_a_task_has_expired(registry, way):
    from background_task.signals import task_discarded

    seen = []

    def look(completed_task, **arguments):
        seen.append(CompletedTask.objects.get(pk=completed_task.pk).last_error)

    task_discarded.connect(look)
    try:
        bench = Bench(registry, way)
        bench.task(lambda: None, expires=60)()
        late(61)
        bench.work()
    finally:
        task_discarded.disconnect(look)
    assert len(seen) == 1
