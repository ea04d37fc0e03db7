"""Task functions and rows for the functions for code."""

from datetime import timedelta

import pytest

from background_task.identity import new_uid
from background_task.models import CompletedTask, Task
from background_task.payload import encode, task_hash
from background_task.store import get_store
from background_task.tasks import tasks

LONG_AGO = timedelta(hours=2)


@pytest.fixture
def registry():
    """The registered functions; what a test registers is forgotten after it."""
    before = dict(tasks._tasks)
    yield tasks
    tasks._tasks.clear()
    tasks._tasks.update(before)


@pytest.fixture
def ran():
    """What has been run."""
    return []


@pytest.fixture
def note(registry, ran):
    """A task that notes its argument."""
    return registry.background(name="note")(ran.append)


@pytest.fixture
def flawed(registry, ran):
    """A task that fails for good until `ran` has anything."""

    @registry.background(name="flawed", max_attempts=1)
    def flawed(key="a"):
        if not ran:
            raise ValueError(key)
        ran.append(key)

    return flawed


def add(name="other", *, backend=None, **values):
    """Insert a row that has been due for a minute."""
    now, params = get_store().now(), encode((), {})
    values.setdefault("run_at", now - timedelta(minutes=1))
    values.setdefault("enqueued_at", now - timedelta(minutes=2))
    return Task.objects.create(
        task_name=name,
        task_params=params,
        task_hash=task_hash(name, params),
        backend=backend,
        **values,
    )


def archive(name="other", *, ago=LONG_AGO, status="succeeded", **values):
    """Insert a finished row."""
    ended = get_store().now() - ago
    if status != "succeeded":
        values[f"{status}_at"] = ended
    params = values.pop("task_params", encode((), {}))
    return CompletedTask.objects.create(
        task_name=name,
        uid=new_uid(),
        task_params=params,
        task_hash=task_hash(name, params),
        run_at=ended,
        **values,
    )
