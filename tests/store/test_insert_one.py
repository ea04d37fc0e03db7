"""A row that is added by itself is the one that ``Task.save`` would write, with less to send."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Value
from django.db.models.signals import post_save, pre_save

from background_task.models import Task
from tests.app.models import TextOwner
from tests.store.rows import row, statements

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=ZoneInfo("Europe/Berlin"))
#: What no two rows share.
OWN = ("id", "uid", "enqueued_at")

OPTIONS = [
    {},
    {"run_at": MOMENT, "priority": -7, "queue": "q 🦆", "verbose_name": ""},
    {"run_at": MOMENT, "repeat": 60, "repeat_until": MOMENT + timedelta(days=1)},
    {"run_at": MOMENT, "options": '{"max":3}', "repeat_rule": "@daily"},
]


def a_task(**options):
    return Task.objects.new_task("known", ("é", 1), {"a": None}, **{"run_at": MOMENT, **options})


def common(task):
    values = row(task.pk)
    return {name: values[name] for name in values if name not in OWN}


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_row_is_the_one_that_save_writes(store, options):
    added, saved = store.add(a_task(**options)), a_task(**options)
    saved.save()
    assert common(added) == common(saved)
    assert row(added.pk)["uid"] is not None
    assert row(added.pk)["enqueued_at"] is not None


def test_task_is_as_after_save(store):
    task = store.add(a_task(creator=TextOwner.objects.create(code="x")))
    assert (task._state.adding, task._state.db) == (False, store.using)
    task.priority = 5
    task.save()
    assert Task.objects.get().priority == 5


def test_add_sends_one_statement_without_the_empty_columns(store):
    with statements() as sent:
        store.add(a_task())
    (insert,) = sent.all
    assert "repeat_until" not in insert


@pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])
def test_who_listens_to_signals_of_saving_is_told(store, signal):
    told = []

    def listen(instance, **_):
        told.append(instance)

    signal.connect(listen, sender=Task)
    try:
        task = store.add(a_task())
    finally:
        signal.disconnect(listen, sender=Task)
    assert told == [task]


def test_class_of_a_project_is_asked_to_save_itself(store):
    saved = []

    class Noted(Task):
        class Meta:
            app_label = "testapp"
            proxy = True

        def save(self, *args, **kwargs):
            saved.append(self)
            super().save(*args, **kwargs)

    try:
        task = Noted(task_name="known", task_params="[[], {}]", task_hash="0" * 40, run_at=MOMENT)
        assert store.add(task) is task
        assert (saved, task.pk is None) == ([task], False)
    finally:
        del apps.all_models["testapp"]["noted"]
        apps.clear_cache()


def test_empty_owner_is_none(store):
    task = a_task()
    task.locked_by = ""
    assert row(store.add(task).pk)["locked_by"] is None


def test_expression_is_left_to_the_database(store):
    task = a_task()
    task.priority = Value(3) + Value(4)
    store.add(task)
    assert row(task.pk)["priority"] == 7


def test_task_that_is_refused_leaves_the_transaction_to_be_rolled_back(store):
    uid = store.add(a_task()).uid
    second = a_task()
    second.uid = uid
    with transaction.atomic(using=store.using):
        with pytest.raises(IntegrityError):
            store.add(second)
        with pytest.raises(DatabaseError):
            Task.objects.count()
        transaction.set_rollback(True, using=store.using)
    assert second.pk is None
