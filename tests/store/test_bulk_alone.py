"""Many at once, of which some want to be the only waiting row of their call."""

from datetime import timedelta

import pytest
from django.db import transaction

from background_task.models import Task
from background_task.producer import TaskSpec, enqueue_many
from background_task.schedule import TaskSchedule
from background_task.signals import task_created
from tests.store.rows import add, everything, row

CHECK = {"action": TaskSchedule.CHECK_EXISTING}
MOVE = {"action": TaskSchedule.RESCHEDULE_EXISTING}
REMOVE = {"remove_existing_tasks": True}
ALONE = pytest.mark.parametrize("option", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])


def put_many(*specs, **options):
    return enqueue_many(specs, sender=TaskSpec, **options)


def waiting():
    return list(Task.objects.order_by("pk").values_list("task_params", flat=True))


@ALONE
def test_each_is_stored_once_however_often_it_is_in_the_list(store, option):
    specs = [TaskSpec("known", (number % 3,), **option) for number in range(9)]
    tasks = put_many(*specs, batch_size=2)
    assert sorted(waiting()) == ["[[0], {}]", "[[1], {}]", "[[2], {}]"]
    assert len(tasks) == (9 if option == REMOVE else 3)
    for task in tasks[-3:]:
        assert row(task.pk)["uid"] == task.uid


def test_check_existing_keeps_what_waits(store):
    add(store, due_in=3600)
    before = everything()[0]
    (task,) = put_many(TaskSpec("known", **CHECK), TaskSpec("also_known", **CHECK))
    assert everything()[0][:1] == before
    assert task == Task.objects.get(task_name="also_known")


def test_reschedule_existing_moves_what_waits(store):
    task, moved = add(store, due_in=3600), store.now() + timedelta(hours=5)
    assert put_many(TaskSpec("known", run_at=moved, priority=9, **MOVE)) == []
    assert (row(task.pk)["run_at"], row(task.pk)["priority"]) == (moved, 9)


def test_remove_existing_replaces_what_waits(store):
    old = add(store, due_in=3600)
    (new,) = put_many(TaskSpec("known", **REMOVE))
    assert Task.objects.get() == new != old


@ALONE
def test_they_see_the_plain_ones_before_them_and_not_those_after(store, option):
    plain, alone = TaskSpec("known"), TaskSpec("known", **option)
    tasks = put_many(plain, plain, alone, plain, batch_size=10)
    assert Task.objects.count() == (2 if option == REMOVE else 3)
    assert tasks == sorted(tasks, key=lambda task: task.pk)
    assert set(Task.objects.all()) <= set(tasks)


@ALONE
def test_they_commit_or_roll_back_with_the_others(transactional_db, store, option):
    add(store, due_in=3600)
    before = everything()
    specs = [TaskSpec("known", **option), TaskSpec("also_known", **option), TaskSpec("known")]
    with transaction.atomic():
        put_many(*specs)
        transaction.set_rollback(True)
    assert everything() == before
    with pytest.raises(TypeError, match=r"^item 3: "):
        put_many(*specs, TaskSpec("known", queue=5))
    assert everything() == before
    put_many(*specs)
    assert Task.objects.count() == 3


@ALONE
def test_task_created_is_sent_only_for_new_rows(store, option):
    seen = []
    receive = lambda task, **kwargs: seen.append(task)  # noqa: E731
    task_created.connect(receive)
    try:
        tasks = put_many(TaskSpec("known", **option), TaskSpec("known", **option))
    finally:
        task_created.disconnect(receive)
    assert seen == tasks
    assert len(tasks) == (2 if option == REMOVE else 1)
