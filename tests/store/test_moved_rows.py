"""Keyed calls after a person, or the death of a worker, changed what they look for."""

from datetime import timedelta

import pytest

from background_task.models import Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store import Fleet
from background_task.worker.recovery import recover
from tests.store.rows import worker

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES = {
    "another queue": {"queue": "b"},
    "the unnamed queue": {"queue": None},
    "another hash": {"task_hash": "f" * 40},
    "failed": {"failed_at": "2026-01-01T00:00:00Z"},
}
#: Each must end with one row of its own, beside the one that was moved away.
CALLS = {
    "check": {"action": TaskSchedule.CHECK_EXISTING},
    "reschedule": {"action": TaskSchedule.RESCHEDULE_EXISTING},
    "remove": {"remove_existing_tasks": True},
}


def call(**options):
    return enqueue(TaskSpec(task_name="known", **options), sender=Task)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", CALLS)
def test_call_after_its_row_was_edited_adds_another(kind, change):
    moved = call(queue="a", **CALLS[kind])
    Task.objects.update(**CHANGES[change])
    added = call(queue="a", **CALLS[kind])
    assert added is not None
    assert set(Task.objects.values_list("pk", flat=True)) == {moved.pk, added.pk}
    assert Task.objects.filter(queue="a", task_hash=added.task_hash, failed_at=None).count() == 1


def test_row_of_a_dead_worker_is_not_moved_but_joined_by_another(store):
    """What recovery would undo must not be reported as done."""
    now = store.now()
    left = call()
    worker("dead", now=now - timedelta(days=1))
    store.claim("dead", ["known"])
    Fleet(store.using).retire("dead")
    tomorrow = now.replace(microsecond=0) + timedelta(days=1)
    added = call(run_at=tomorrow, action=TaskSchedule.RESCHEDULE_EXISTING)
    assert added is not None
    assert recover(store) == 1
    assert Task.objects.get(pk=added.pk).run_at == tomorrow
    assert Task.objects.get(pk=left.pk).run_at == left.run_at


def test_recovered_row_keeps_the_time_to_which_it_was_moved(store):
    """A lost attempt has no delay of its own, so it has no say in when the row is due."""
    left = call()
    (claim,) = store.claim("dead", ["known"])
    Fleet(store.using).register(
        "dead", queues="", capacity=1, lease=timedelta(0), now=store.now() - timedelta(days=1)
    )
    tomorrow = store.now().replace(microsecond=0) + timedelta(days=1)
    Task.objects.update(run_at=tomorrow)
    assert recover(store) == 1
    assert claim.task_id == left.pk
    assert Task.objects.get().run_at == tomorrow
