"""Thinning out the archive: Archive and the command that uses it."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from background_task.api import purge_completed_tasks
from background_task.models import CompletedTask, Task
from background_task.store.archive import Archive

pytestmark = pytest.mark.django_db


def archive(*, days, failed=False, queue=None, name="old", **values):
    finished = timezone.now() - timedelta(days=days)
    return CompletedTask.objects.create(
        task_name=name,
        task_params="[[], {}]",
        task_hash="0" * 40,
        queue=queue,
        run_at=finished,
        failed_at=finished if failed else None,
        **values,
    )


def purge(**options):
    out = StringIO()
    call_command("purge_tasks", stdout=out, **options)
    return out.getvalue().strip()


def test_defect_20_purge_tasks_deletes_what_is_old_and_nothing_else():
    old, recent = archive(days=31), archive(days=29)
    waiting = Task.objects.new_task("old", run_at=timezone.now() - timedelta(days=99))
    waiting.save()
    assert purge(days=30) == "Deleted 1 finished tasks"
    assert list(CompletedTask.objects.all()) == [recent]
    assert list(Task.objects.all()) == [waiting]
    assert not CompletedTask.objects.filter(pk=old.pk).exists()


@pytest.mark.parametrize(("status", "left"), [("succeeded", "failed"), ("failed", "succeeded")])
def test_purge_tasks_of_a_status_keeps_the_other(status, left):
    rows = {"failed": archive(days=9, failed=True), "succeeded": archive(days=9)}
    assert purge(days=1, status=status) == "Deleted 1 finished tasks"
    assert list(CompletedTask.objects.all()) == [rows[left]]


def test_purge_tasks_of_a_queue_keeps_the_others():
    kept = [archive(days=9), archive(days=9, queue="mail")]
    archive(days=9, queue="reports")
    assert purge(days=1, queue="reports") == "Deleted 1 finished tasks"
    assert list(CompletedTask.objects.order_by("pk")) == kept


@pytest.mark.parametrize(
    ("status", "left"),
    [
        (["failed", "cancelled"], ["discarded", "succeeded"]),
        (["discarded"], ["cancelled", "failed", "succeeded"]),
        (["failed", "all"], []),
    ],
)
def test_purge_tasks_of_several_statuses_keeps_the_others(status, left):
    ended = timezone.now() - timedelta(days=9)
    archive(days=9), archive(days=9, failed=True)
    archive(days=9, discarded_at=ended), archive(days=9, cancelled_at=ended)
    purge(days=1, status=status)
    assert sorted(row.status for row in CompletedTask.objects.all()) == left


def test_purge_tasks_of_functions_and_backends_keeps_the_others():
    archive(days=9, name="f"), archive(days=9, name="f", backend="mail")
    kept = [archive(days=9), archive(days=9, name="F")]
    assert purge(days=1, function=["f"], no_backend=True) == "Deleted 1 finished tasks"
    assert purge(days=1, backend="mail") == "Deleted 1 finished tasks"
    assert list(CompletedTask.objects.order_by("pk")) == kept


def test_purge_tasks_on_a_terminal_shows_how_far_it_is():
    for _ in range(4):
        archive(days=9)

    class Terminal(StringIO):
        def isatty(self):
            return True

    out = Terminal()
    call_command("purge_tasks", days=1, batch_size=3, stdout=out, no_color=True)
    assert "] 75% 3" in out.getvalue().replace("  ", " ")
    assert "] 100% 4" in out.getvalue()
    assert out.getvalue().endswith("Deleted 4 finished tasks\n")


def test_purge_completed_tasks_returns_how_many():
    archive(days=9), archive(days=5)
    assert purge_completed_tasks(dry_run=True) == 1
    assert purge_completed_tasks(names=["old"], statuses=["failed"]) == 0
    assert purge_completed_tasks(older_than="4d", batch_size=1) == 2
    assert purge_completed_tasks(older_than=timedelta.max) == 0


@pytest.mark.parametrize(
    "options",
    [{"older_than": -1}, {"statuses": ["running"]}, {"batch_size": 0}, {"backend": 5}],
    ids=repr,
)
def test_purge_completed_tasks_with_what_cannot_be_is_refused(options):
    row = archive(days=9)
    with pytest.raises((ValueError, TypeError)):
        purge_completed_tasks(**options)
    assert list(CompletedTask.objects.all()) == [row]


def test_purge_tasks_dry_run_deletes_nothing():
    archive(days=9)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert purge(days=1, dry_run=True) == "Would delete 1 finished tasks"
    assert not [query for query in asked if "DELETE" in query["sql"]]
    assert CompletedTask.objects.count() == 1


def test_purge_deletes_the_oldest_first_in_batches():
    days = (3, 5, 2, 4, 6)
    rows = {day: archive(days=day) for day in days}
    chosen = Archive("default")
    batches = chosen.purge(chosen.older_than(timezone.now()), batch_size=2)
    assert next(batches) == 2
    assert set(CompletedTask.objects.all()) == {rows[2], rows[3], rows[4]}
    assert list(batches) == [2, 1]


@pytest.mark.parametrize(
    "options",
    [{"days": -1}, {"days": float("nan")}, {"days": 1e12}, {"days": 1, "batch_size": 0}],
    ids=repr,
)
def test_purge_tasks_with_a_number_that_cannot_work_is_refused(options):
    row = archive(days=9)
    with pytest.raises(CommandError, match=r"--(days|batch-size)"):
        purge(**options)
    assert list(CompletedTask.objects.all()) == [row]
