"""Tasks of ``django.tasks``, run by a worker of ours until nothing is due."""

from datetime import timedelta

from background_task.models import Task
from background_task.store import get_store
from tests.worker.running import Worker, work_off

LONG = 300.0  # a sleep that would fail the test if it were waited for


def work(**options) -> Worker:
    return work_off(sleep=LONG, **options)


def attempt() -> Worker:
    """Let a worker make one attempt at each task; those that wait for another one are due."""
    make_due()
    return work()


def finished(result):
    """Let a worker run what is due; the result as it stands then."""
    work()
    result.refresh()
    return result


def make_due(**changes) -> None:
    """Let whatever waits be due."""
    Task.objects.update(run_at=get_store().now() - timedelta(seconds=1), **changes)
