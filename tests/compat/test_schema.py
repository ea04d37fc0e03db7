"""Section 2: tables, columns, types and migrations of databases that exist already."""

import importlib

import pytest
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

from background_task.models import CompletedTask, Task
from tests.app.models import TextOwner

REPEAT_CHOICES = [
    (3600, "hourly"),
    (86400, "daily"),
    (604800, "weekly"),
    (1209600, "every 2 weeks"),
    (2419200, "every 4 weeks"),
    (0, "never"),
]
# name: (internal type, max_length, null, blank)
COLUMNS = {
    "task_name": ("CharField", 190, False, False),
    "task_params": ("TextField", None, False, False),
    "task_hash": ("CharField", 40, False, False),
    "verbose_name": ("CharField", 255, True, True),
    "priority": ("IntegerField", None, False, False),
    "run_at": ("DateTimeField", None, False, False),
    "repeat": ("BigIntegerField", None, False, False),
    "repeat_until": ("DateTimeField", None, True, True),
    "queue": ("CharField", 190, True, True),
    "attempts": ("IntegerField", None, False, False),
    "failed_at": ("DateTimeField", None, True, True),
    "last_error": ("TextField", None, False, True),
    "locked_by": ("CharField", 64, True, True),
    "locked_at": ("DateTimeField", None, True, True),
}
INITIAL = ("background_task", "0001_initial")
SECOND = ("background_task", "0002_auto_20170927_1109")


def shape(field):
    return (field.get_internal_type(), field.max_length, field.null, field.blank)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_read_field_has_its_old_type_and_nullability(model, name):
    assert shape(model._meta.get_field(name)) == COLUMNS[name]


@pytest.mark.parametrize("model", [Task, CompletedTask])
@pytest.mark.parametrize(
    ("name", "default"), [("priority", 0), ("repeat", 0), ("attempts", 0), ("last_error", "")]
)
def test_read_default_of_field_is_the_old_one(model, name, default):
    assert model._meta.get_field(name).get_default() == default


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_read_choices_of_repeat_keep_labels_and_order(model):
    assert [tuple(choice) for choice in model._meta.get_field("repeat").choices] == REPEAT_CHOICES


@pytest.mark.parametrize(
    ("model", "related_name"),
    [(Task, "background_task"), (CompletedTask, "completed_background_task")],
)
def test_read_creator_is_a_generic_key_over_content_type_and_object_id(model, related_name):
    content_type = model._meta.get_field("creator_content_type")
    assert content_type.column == "creator_content_type_id"
    assert content_type.related_model is ContentType
    assert content_type.remote_field.on_delete is models.CASCADE
    assert content_type.remote_field.related_name == related_name
    assert content_type.null
    assert content_type.blank
    assert model._meta.get_field("creator_object_id").null
    assert model._meta.get_field("creator_object_id").blank
    creator = {field.name: field for field in model._meta.private_fields}["creator"]
    assert isinstance(creator, GenericForeignKey)
    assert (creator.ct_field, creator.fk_field) == ("creator_content_type", "creator_object_id")


@pytest.mark.django_db
def test_follow_related_names_from_content_type_finds_the_rows(recording):
    owner = TextOwner.objects.create(code="5")
    task = recording.proxy(1, creator=owner)
    done = task.create_completed_task()
    content_type = ContentType.objects.get_for_model(TextOwner)
    assert list(content_type.background_task.all()) == [task]
    assert list(content_type.completed_background_task.all()) == [done]


def test_read_tables_have_old_names_and_no_meta_ordering():
    assert Task._meta.db_table == "background_task"
    assert CompletedTask._meta.db_table == "background_task_completedtask"
    for model in (Task, CompletedTask):
        assert model._meta.app_label == "background_task"
        assert list(model._meta.ordering) == []


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["background_task", "background_task_completedtask"])
def test_introspect_table_finds_every_old_column_with_its_nullability(table):
    with connection.cursor() as cursor:
        assert table in connection.introspection.table_names(cursor)
        found = {
            column.name: column.null_ok
            for column in connection.introspection.get_table_description(cursor, table)
        }
    expected = {name: null for name, (_, _, null, _) in COLUMNS.items()}
    expected |= {"id": False, "creator_content_type_id": True, "creator_object_id": True}
    assert {name: bool(found.get(name)) for name in expected} == expected
    assert set(expected) <= set(found)


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["background_task", "background_task_completedtask"])
def test_insert_row_as_the_old_release_did_is_accepted(table):
    """While servers are upgraded one by one, the old code still writes rows by its 17 columns."""
    quote = connection.ops.quote_name
    moment = connection.ops.adapt_datetimefield_value(timezone.now())
    row = {
        "task_name": "n",
        "task_params": "[[], {}]",
        "task_hash": "h",
        "verbose_name": None,
        "priority": 0,
        "run_at": moment,
        "repeat": 0,
        "repeat_until": None,
        "queue": None,
        "attempts": 0,
        "failed_at": None,
        "last_error": "",
        "locked_by": None,
        "locked_at": None,
        "creator_content_type_id": None,
        "creator_object_id": 7,
    }
    columns = ", ".join(map(quote, row))
    places = ", ".join(["%s"] * len(row))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {quote(table)} ({columns}) VALUES ({places})", list(row.values())
        )
    model = Task if table == "background_task" else CompletedTask
    assert model.objects.get().creator_object_id == 7


def test_read_migrations_keep_their_recorded_names():
    loader = MigrationLoader(None)
    assert {INITIAL, SECOND} <= set(loader.disk_migrations)
    initial = loader.disk_migrations[INITIAL]
    assert initial.initial is True
    assert ("contenttypes", "0002_remove_content_type_name") in initial.dependencies
    assert INITIAL in loader.disk_migrations[SECOND].dependencies
    created = [operation.name for operation in initial.operations]
    assert created == ["CompletedTask", "Task"]
    altered = {(o.model_name.lower(), o.name) for o in loader.disk_migrations[SECOND].operations}
    assert altered == {
        (model, name) for model in ("completedtask", "task") for name in ("queue", "task_name")
    }


@pytest.mark.parametrize("model", ["task", "completedtask"])
def test_read_state_after_old_migrations_is_the_old_schema(model):
    state = MigrationLoader(None).project_state(SECOND).models["background_task", model]
    found = {name: shape(state.fields[name]) for name in COLUMNS}
    assert found == COLUMNS
    assert state.fields["id"].get_internal_type() == "AutoField"
    assert state.fields["creator_object_id"].get_internal_type() == "PositiveIntegerField"
    assert [tuple(choice) for choice in state.fields["repeat"].choices] == REPEAT_CHOICES
    assert set(state.fields) == {*COLUMNS, "id", "creator_content_type", "creator_object_id"}
    expected_options = {"db_table": "background_task"} if model == "task" else {}
    assert {k: v for k, v in state.options.items() if k in ("db_table", "ordering")} == (
        expected_options
    )


def test_import_migrations_by_old_module_names_works():
    for name in ("0001_initial", "0002_auto_20170927_1109"):
        assert importlib.import_module(f"background_task.migrations.{name}").Migration
