"""Tasks that wait while no worker has been seen for long are visible in the admin."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from background_task.admin import no_worker_warning
from background_task.models import Task, Worker
from tests.app.tasks import record

pytestmark = pytest.mark.django_db


@pytest.fixture
def overdue():
    """A task that has been due for longer than a lease."""
    task = record("a")
    Task.objects.update(run_at=timezone.now() - timedelta(minutes=5))
    return task


def seen(*, ago, stopped=False):
    moment = timezone.now() - ago
    return Worker.objects.create(
        name=f"host:1:{Worker.objects.count()}",
        host="host",
        pid=1,
        started_at=moment,
        heartbeat_at=moment,
        expires_at=moment + timedelta(minutes=1),
        stopped_at=moment if stopped else None,
    )


def test_waiting_task_and_no_worker_ever(overdue):
    assert no_worker_warning() == (
        "Tasks are waiting, but no worker has ever been seen. "
        "Start one: python manage.py process_tasks"
    )


@pytest.mark.parametrize("stopped", [False, True])
def test_waiting_task_and_no_worker_for_hours(overdue, stopped):
    seen(ago=timedelta(hours=3), stopped=stopped)
    seen(ago=timedelta(hours=5))
    assert "no worker has been seen for 3\xa0hours" in no_worker_warning()


def test_waiting_task_and_a_live_worker_is_no_reason(overdue):
    seen(ago=timedelta(hours=3))
    seen(ago=timedelta(seconds=10))
    assert no_worker_warning() is None


def test_task_that_is_not_overdue_is_no_reason():
    record("just now")
    record("later", schedule=3600)
    assert no_worker_warning() is None


@pytest.mark.parametrize(
    "values", [{"locked_by": "somebody"}, {"failed_at": timezone.now()}], ids=["locked", "failed"]
)
def test_task_that_waits_for_nobody_is_no_reason(overdue, values):
    Task.objects.update(**values)
    assert no_worker_warning() is None


def test_task_that_a_dead_worker_holds_waits(overdue):
    worker = seen(ago=timedelta(hours=3))
    Task.objects.update(locked_by=worker.name, locked_at=worker.heartbeat_at)
    assert "no worker has been seen for 3\xa0hours" in no_worker_warning()
    Worker.objects.all().delete()
    assert "no worker has ever been seen" in no_worker_warning()
    Task.objects.update(locked_at=timezone.now())
    assert no_worker_warning() is None


def test_list_of_tasks_shows_the_warning(overdue, admin_client):
    page = admin_client.get(reverse("admin:background_task_task_changelist"))
    assert "Tasks are waiting, but no worker has ever been seen" in page.content.decode()
    seen(ago=timedelta(0))
    page = admin_client.get(reverse("admin:background_task_task_changelist"))
    assert "Tasks are waiting" not in page.content.decode()
