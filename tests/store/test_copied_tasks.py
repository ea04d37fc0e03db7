"""A copied instance is another task, as Django's way of copying (``pk = None``) promises."""

import pytest

from background_task.attempt import Succeeded
from background_task.identity import new_uid
from background_task.models import CompletedTask, Task
from tests.store.rows import NAMES, add, row

pytestmark = pytest.mark.django_db

COPIED = {"task_name", "task_params", "task_hash", "run_at", "priority", "queue", "verbose_name"}


def copy(task):
    task.pk = None
    task._state.adding = True
    task.save()
    return task


def test_copy_of_a_waiting_task_is_a_second_task(store):
    original = add(store, unique_key="k" * 40, queue="q", verbose_name="v", priority=3)
    second = copy(Task.objects.get())
    assert second.pk != original.pk
    values, original_values = row(second.pk), row(original.pk)
    assert {name: values[name] for name in COPIED} == {
        name: original_values[name] for name in COPIED
    }
    assert values["uid"] not in (None, original_values["uid"])
    assert (values["unique_key"], original_values["unique_key"]) == (None, "k" * 40)
    assert (values["claim_number"], values["started_at"]) == (None, None)


@pytest.mark.parametrize("fresh", [True, False], ids=["as scheduled", "as read"])
def test_copy_of_a_finished_task_runs_and_is_archived_on_its_own(store, fresh):
    kept = add(store)
    (claim,) = store.claim("w", NAMES)
    if not fresh:
        kept = Task.objects.get()
    assert store.finish(claim, Succeeded()).completed is not None
    kept.locked_by = kept.locked_at = None
    copy(kept)
    (second,) = store.claim("w", NAMES)
    assert second.uid != claim.uid
    assert store.find_finish(second, Succeeded()) is None
    assert store.finish(second, Succeeded()).completed is not None
    assert not Task.objects.exists()
    assert CompletedTask.objects.values("uid").distinct().count() == 2


def test_saving_again_keeps_what_a_task_is(store):
    add(store)
    before = row(Task.objects.get().pk)
    task = Task.objects.get()
    task.priority = 9
    task.save()
    assert row(task.pk) == {**before, "priority": 9}


def test_new_task_with_a_creator_is_no_copy(django_user_model):
    """Django notes the database as soon as a creator is set, long before anything is saved."""
    creator = django_user_model.objects.create(username="somebody")
    new = Task.objects.new_task("made by hand", creator=creator)
    new.uid, new.unique_key = new_uid(), "k" * 40
    expected = new.uid
    new.save()
    assert (new.uid, new.unique_key) == (expected, "k" * 40)
