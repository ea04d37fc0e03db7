"""The functions for code, with tasks of both kinds: of `django.tasks`, and of `@background`."""

import json
from io import StringIO
from uuid import UUID

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.utils import timezone

from background_task import api
from background_task.api import NO_BACKEND, CancelledTasks, Requeued, TaskCounts
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.task_framework import TaskResult, task
from tests.api.conftest import LONG_AGO
from tests.backends import tasks

pytestmark = pytest.mark.django_db


@task
def once(key):
    if not tasks.calls:
        raise ValueError(key)


once = once.using(unique="key", max_concurrency=1)


@pytest.fixture(autouse=True)
def queued():
    """What the tasks of a test have been called with."""
    tasks.calls.clear()
    return tasks.calls


@pytest.fixture
def both(note):
    """One task of each kind, and of each of two backends."""
    return note(1), tasks.add.enqueue(2), tasks.add.using(backend="any").enqueue(3)


def command(*args):
    out = StringIO()
    call_command(*args, stdout=out)
    return out.getvalue().strip()


def row_of(result):
    return Task.objects.get(uid=UUID(result.id))


# -- running ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend", "decorated", "queued_as"),
    [(None, 1, ["default", "any"]), (NO_BACKEND, 1, []), ("any", 0, ["any"])],
)
def test_process_tasks_runs_those_that_are_meant(both, ran, backend, decorated, queued_as):
    done = api.process_tasks(backend=backend)
    results = [each for each in done if isinstance(each, TaskResult)]
    assert [each.backend for each in results] == queued_as
    assert {str(each.status) for each in results} <= {"SUCCESSFUL"}
    assert [each.status for each in done if each not in results] == ["succeeded"] * decorated
    assert ran == [1] * decorated
    assert api.get_pending_task_count() == 3 - len(done)


@pytest.mark.parametrize("alias", ["gone", "default"])
def test_process_tasks_of_a_backend_that_is_not_ours_is_refused(settings, alias):
    settings.TASKS = {"any": {"BACKEND": settings.BACKEND}}
    with pytest.raises(ImproperlyConfigured, match=f"backend {alias}: TASKS has no .* has 'any'"):
        api.process_tasks(backend=alias)


def test_process_one_task_returns_a_result_that_waits_for_its_next_attempt():
    queued = tasks.fail_at_first.enqueue(2)
    result = api.process_one_task(worker_id="me")
    assert (result.id, result.status, result.attempts) == (queued.id, "READY", 1)
    assert result.worker_ids == ["me"]


def test_fetch_task_shows_a_result():
    queued = tasks.add.enqueue(1)
    assert api.fetch_task(backend="default").id == queued.id
    assert api.fetch_task(backend="any") is None


# -- counting --------------------------------------------------------------------------------------


def test_count_each_kind_by_itself(both):
    tasks.fail.enqueue()
    tasks.add.using(run_after=timezone.now() + LONG_AGO).enqueue(4)
    assert api.process_one_task(backend="any").status == "SUCCESSFUL"
    assert [each.status for each in api.process_tasks(backend="default")] == [
        "SUCCESSFUL",
        "FAILED",
    ]
    assert api.get_task_counts() == TaskCounts(waiting=2, succeeded=2, failed=1)
    assert api.get_task_counts(backend=NO_BACKEND) == TaskCounts(waiting=1)
    assert api.get_task_counts(backend="any") == TaskCounts(succeeded=1)
    stats = api.get_queue_stats(backend="default")
    assert (stats.pending, stats.scheduled) == (0, 1)
    assert api.get_pending_task_count(backend=NO_BACKEND) == 1
    assert [(each.queue, each.failed) for each in api.get_queue_depths(backend="default")] == [
        ("default", 1)
    ]
    shown = json.loads(command("queue_depth", "--format", "json", "--backend", "default"))
    assert [(each["queue"], each["scheduled"]) for each in shown["queues"]] == [("default", 1)]


# -- trying anew -----------------------------------------------------------------------------------


def test_retry_of_a_failed_result_is_a_new_one_of_the_same_call():
    failed = tasks.fail.using(
        backend="any", priority=5, queue_name="slow", timeout=7, max_attempts=2
    ).enqueue("no")
    Task.objects.update(attempts=1)
    assert api.process_one_task().status == "FAILED"
    assert command("retry_tasks", "--backend", "default", "--all").startswith("Found 0")
    assert command("retry_tasks", "--backend", "any") == "Found 1 failed tasks: 1 tried anew"
    new = api.fetch_task()
    assert (new.status, new.args, new.attempts, new.errors) == ("READY", ["no"], 0, [])
    assert (new.backend, new.task.priority, new.task.queue_name) == ("any", 5, "slow")
    assert json.loads(row_of(new).options) == json.loads(json.dumps({"timeout": 7.0, "max": 2}))
    assert new.id != failed.id
    failed.refresh()
    assert failed.status == "FAILED"
    assert api.process_one_task().attempts == 1


def test_retry_of_a_unique_result_has_the_keys_of_a_call(queued):
    result = once.enqueue("a")
    limit = row_of(result).limit_key
    assert limit
    assert api.process_one_task().status == "FAILED"
    other = once.enqueue("a")
    assert api.retry_tasks().held_back == 1
    queued.append("mended")
    assert api.run_task_by_id(other.id).status == "SUCCESSFUL"
    (uid,) = api.retry_tasks().uids
    assert Task.objects.get(uid=uid).limit_key == limit
    assert once.enqueue("a").id == str(uid)
    assert api.run_task_by_id(uid).status == "SUCCESSFUL"


def test_run_task_by_id_tries_a_failed_result_anew(queued):
    failed = once.enqueue("a")
    assert api.process_one_task().status == "FAILED"
    assert api.run_task_by_id(failed.id) is None
    queued.append("mended")
    result = api.run_task_by_id(failed.id, allow_retry=True)
    assert (result.status, result.args) == ("SUCCESSFUL", ["a"])
    assert result.id != failed.id


# -- the rest --------------------------------------------------------------------------------------


def test_cancel_tasks_of_a_backend_leaves_the_others(both, ran):
    names = [tasks.add.module_path]
    assert api.cancel_tasks(backend=NO_BACKEND, names=names) == CancelledTasks()
    assert "1 that wait" in command("cancel_tasks", "--backend", "any", "--dry-run")
    assert api.cancel_tasks(backend="any") == CancelledTasks(found=1, cancelled=1)
    assert api.cancel_tasks(names=names) == CancelledTasks(found=1, cancelled=1)
    for result in both[1:]:
        result.refresh()
        assert result.status == "FAILED"
        assert result.errors[-1].exception_class_path.endswith(".TaskCancelledError")
    assert both[0].status == "waiting"


def test_requeue_spends_the_attempt_that_a_result_had(both):
    Task.objects.update(locked_by="gone", locked_at=get_store().now() - LONG_AGO)
    assert api.requeue_stale_tasks("1h", backend="any") == Requeued(found=1, failed=1)
    given = ("--older-than", "1h", "--max-attempts", "0", "--backend", "default")
    assert command("requeue_stale_tasks", *given).endswith("1 requeued, 0 failed, 0 cancelled")
    for result, status in zip(both[1:], ("READY", "FAILED"), strict=True):
        result.refresh()
        assert (result.status, result.worker_ids) == (status, ["gone"])
        assert result.errors[0].exception_class_path.endswith(".AttemptLostError")
    assert both[0].status == "running"


def test_purge_of_a_backend_leaves_the_others(both):
    assert len(api.process_tasks()) == 3
    assert api.purge_completed_tasks(older_than=0, backend="any") == 1
    assert command("purge_tasks", "--days", "0", "--no-backend") == "Deleted 1 finished tasks"
    assert [row.backend for row in CompletedTask.objects.all()] == ["default"]
