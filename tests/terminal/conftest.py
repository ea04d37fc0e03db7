"""A site with something in its queues."""

from datetime import timedelta

import pytest

from background_task.models import CompletedTask, Task, Worker
from background_task.pausing import pause
from background_task.store import Fleet, get_store
from tests.store.rows import LEASE, add

NAME = "host:1:aa"
TRACEBACK = "Traceback (most recent call last):\n  ...\nValueError: [red]no\x1b[2J paper\n"


@pytest.fixture
def busy():
    """Due and later tasks in three queues, a worker with a running task, and a failed one."""
    store = get_store()
    now = store.now()
    for number in range(3):
        add(store, queue="mail", now=now, verbose_name=f"mail {number}")
    add(store, queue="mail", due_in=3600, now=now)
    add(store, queue="quiet", now=now)
    pause(queue="quiet")
    Fleet(store.using).register(NAME, queues="mail", capacity=4, lease=LEASE)
    Worker.objects.update(memory_bytes=64 * 1024 * 1024)
    running = add(store, now=now, verbose_name="build [bold]")
    Task.objects.filter(pk=running.pk).update(
        locked_by=NAME,
        locked_at=now - timedelta(seconds=90),
        progress_json='{"done":1,"total":4,"message":"page 1","at":null}',
    )
    failed = add(store, queue="mail", now=now, verbose_name="print", last_error=TRACEBACK)
    archived = Task.objects.get(pk=failed.pk).archived(now=now)
    archived.failed_at = now - timedelta(hours=2)
    archived.save(force_insert=True)
    failed.delete()
    return {"running": Task.objects.get(pk=running.pk), "failed": CompletedTask.objects.get()}
