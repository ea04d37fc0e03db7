"""Chains of repeating tasks, run by workers: what was missed, and how many runs there are."""

from datetime import timedelta

import pytest

from background_task import RetryLater, periodic
from background_task.models import CompletedTask, Task
from background_task.store import get_store

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(("catch_up", "hours"), [("one", [0, 3]), ("all", [0, 1, 2, 3])])
def test_missed_runs_are_made_up_for_without_a_wait_and_others_get_their_turn(
    any_bench, catch_up, hours
):
    start = get_store().now() - 3 * HOUR - timedelta(minutes=20)
    ran = []
    job = any_bench.task(ran.append)
    job.using(repeat=3600, catch_up=catch_up)("chain", schedule=start)
    job("other", schedule=start + HOUR / 2)
    any_bench.work(len(hours) + 1)
    assert sorted(ran) == ["chain"] * len(hours) + ["other"]
    assert Task.objects.get().run_at == start + 4 * HOUR


def test_run_that_is_put_off_passes_over_nothing(any_bench):
    start = get_store().now() - 3 * HOUR - timedelta(minutes=20)
    job = any_bench.raising(RetryLater(0), RetryLater(0))
    job.using(repeat=3600, catch_up="all", repeat_count=3)(schedule=start)
    any_bench.work(5)
    assert [row.attempts for row in CompletedTask.objects.order_by("id")] == [3, 1, 1]
    assert not Task.objects.exists()


def test_chain_of_so_many_runs_ends_with_its_last_one(any_bench):
    start = get_store().now() - 3 * HOUR
    any_bench.task(lambda: None).using(repeat="0 * * * *", repeat_count=2, catch_up="one")(
        schedule=start
    )
    any_bench.work(2)
    assert CompletedTask.objects.count() == 2
    assert not Task.objects.exists()


def test_tick_of_a_periodic_task_is_no_chain(bench):
    """The options of a copy that is put to use as a schedule say nothing about its ticks."""
    copy = bench.task(lambda: None).using(repeat=60, repeat_count=3, catch_up="all")
    periodic(3600)(copy)
    (declaration,) = copy.schedules
    task = declaration.call(get_store().now(), (), {})
    assert (task.repeat, task.options) == (0, None)
