"""Where the project looks at single rows, a group of finishes goes row by row."""

from contextlib import contextmanager

import pytest
from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.store.group import is_watched
from tests.store.rows import NAMES, add, everything, statements

ROWS = 3


def ends(store):
    for number in range(ROWS):
        add(store, repeat=3600 * (number % 2))
    return [(claim, Succeeded()) for claim in store.claim("w", NAMES, limit=ROWS)]


@contextmanager
def listening(signal, sender):
    seen = []

    def receive(instance, **kwargs):
        seen.append(type(instance))

    signal.connect(receive, sender=sender)
    try:
        yield seen
    finally:
        signal.disconnect(receive, sender=sender)


@pytest.mark.parametrize("sender", [Task, CompletedTask, None], ids=["task", "archive", "any"])
@pytest.mark.parametrize(
    "signal",
    [pre_save, post_save, pre_delete, post_delete],
    ids=["pre_save", "post_save", "pre_delete", "post_delete"],
)
def test_finish_many_with_a_receiver_sends_it_each_row(any_store, signal, sender):
    wanted = ends(any_store)
    with listening(signal, sender) as seen:
        finishes = any_store.finish_many(wanted)
    is_save = signal in (pre_save, post_save)
    expected = ([CompletedTask] * ROWS + [Task]) if is_save else [Task] * ROWS
    assert sorted(map(str, seen)) == sorted(
        str(model) for model in expected if sender in (model, None)
    )
    assert {finish.completed.uid for finish in finishes} == {claim.uid for claim, _ in wanted}
    assert Task.objects.count() == 1


@pytest.mark.parametrize("signal", [pre_save, post_delete], ids=["save", "delete"])
def test_finish_many_with_a_receiver_of_other_models_goes_as_a_set(
    transactional_db, store, settings, signal
):
    wanted = ends(store)
    with listening(signal, Worker) as seen, listening(signal, ContentType), statements() as kept:
        store.finish_many(wanted[:1])
    assert (is_watched(), seen) == (False, [])
    assert len(kept.all) == {"postgresql": 1, "sqlite": 2, "mariadb": 5}[settings.DATABASE]


def test_finish_many_with_a_receiver_that_raises_leaves_that_row_as_it_was(any_store):
    wanted = ends(any_store)
    before = everything()

    def refuse(**kwargs):
        raise RuntimeError("a receiver of the project")

    pre_save.connect(refuse, sender=CompletedTask)
    try:
        with pytest.raises(RuntimeError, match="a receiver of the project"):
            any_store.finish_many(wanted)
        assert everything() == before
    finally:
        pre_save.disconnect(refuse, sender=CompletedTask)
    assert None not in any_store.finish_many(wanted)


@pytest.fixture(params=["visible", "hidden", "unconstrained"])
def note_model(request, transactional_db):
    """A model of the project whose rows belong to a task."""
    options = {"related_name": None if request.param == "visible" else "+"}
    options["db_constraint"] = request.param != "unconstrained"

    class Note(models.Model):
        task = models.ForeignKey(Task, models.CASCADE, **options)

        class Meta:
            app_label = "testapp"

        def __str__(self):
            return f"of {self.task_id}"

    with connection.schema_editor() as editor:
        editor.create_model(Note)
    try:
        yield Note
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Note)
        del apps.all_models["testapp"]["note"]
        apps.clear_cache()
        if hasattr(Task, "note_set"):
            del Task.note_set


def test_finish_many_of_rows_that_others_refer_to_deletes_what_goes_with_them(note_model, store):
    wanted = ends(store)
    for claim, _ in wanted:
        note_model.objects.create(task_id=claim.task_id)
    assert None not in store.finish_many(wanted)
    assert not note_model.objects.exists()
    assert CompletedTask.objects.count() == ROWS


def test_nothing_is_watched_in_a_plain_project():
    assert not is_watched()
