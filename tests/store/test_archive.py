"""Thinning out the archive: Archive and the command that uses it."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.store.archive import Archive

pytestmark = pytest.mark.django_db


def archive(*, days, failed=False, queue=None):
    finished = timezone.now() - timedelta(days=days)
    return CompletedTask.objects.create(
        task_name="old",
        task_params="[[], {}]",
        task_hash="0" * 40,
        queue=queue,
        run_at=finished,
        failed_at=finished if failed else None,
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
