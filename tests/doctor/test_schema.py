"""What the doctor finds among tables and indexes; its remedies are carried out."""

import pytest
from django.core.management import call_command
from django.db import IntegrityError, models
from django.utils import timezone

from background_task.models import CompletedTask, Task
from tests.migrations.old import ALIAS


def execute(database, *statements):
    with database.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_a_database_without_tables_misses_migrations_and_is_examined_no_further(empty, examine):
    found = examine(ALIAS)
    assert set(found) == {"migrations-missing"}
    assert "0001_initial, " in found["migrations-missing"].what
    assert found["migrations-missing"].remedy.endswith(f"--database {ALIAS}")


def test_a_database_of_an_earlier_version_misses_the_later_migrations(empty, examine):
    call_command("migrate", "background_task", "0006", database=ALIAS, verbosity=0)
    assert "not applied: 0007_leaner_indexes" in examine(ALIAS)["migrations-missing"].what


def drop_index(database, model, name):
    (index,) = (index for index in model._meta.indexes if index.name == name)
    with database.schema_editor() as editor:
        editor.remove_index(model, index)


def drop_constraint(database, model, name):
    (constraint,) = (each for each in model._meta.constraints if each.name == name)
    with database.schema_editor() as editor:
        editor.remove_constraint(model, constraint)


def drop_index_of_field(database, model, name):
    with database.schema_editor() as editor:
        (found,) = editor._constraint_names(model, [name], index=True)
        editor.execute(editor._delete_index_sql(model, found))


@pytest.mark.parametrize(
    ("drop", "model", "name", "columns"),
    [
        (drop_index, Task, "bgtask_claim", "bgtask_claim(priority, run_at, id)"),
        (drop_index, CompletedTask, "bgtask_completed_failed", "(failed_at)"),
        (drop_constraint, Task, "bgtask_unique_key", "bgtask_unique_key(unique_key)"),
        pytest.param(
            *(drop_constraint, CompletedTask, "bgtask_completed_uid", "(uid)"),
            marks=pytest.mark.only_on("postgresql", "mariadb"),  # SQLite's cannot be dropped
        ),
        (drop_index_of_field, CompletedTask, "run_at", "no index (run_at)"),
    ],
)
def test_an_index_that_somebody_dropped_is_missing_until_the_remedy(
    scratch, examine, drop, model, name, columns
):
    assert "index-missing" not in examine(ALIAS)
    drop(scratch, model, name)
    finding = examine(ALIAS)["index-missing"]
    assert columns in finding.what
    execute(scratch, finding.remedy)
    assert "index-missing" not in examine(ALIAS)


def test_an_index_under_another_name_is_not_missing(scratch, examine):
    drop_index(scratch, Task, "bgtask_hash")
    with scratch.schema_editor() as editor:
        editor.add_index(Task, models.Index(name="of_an_administrator", fields=["task_hash"]))
    assert "index-missing" not in examine(ALIAS)


@pytest.mark.only_on("postgresql")
def test_an_index_that_was_not_completed_is_invalid_until_the_remedy(scratch, examine):
    drop_index(scratch, Task, "bgtask_hash")
    for _ in range(2):
        Task.objects.using(ALIAS).create(task_name="x", task_hash="h", run_at=timezone.now())
    with pytest.raises(IntegrityError):
        execute(
            scratch,
            "CREATE UNIQUE INDEX CONCURRENTLY bgtask_hash ON background_task (task_hash)",
        )
    finding = examine(ALIAS)["index-invalid"]
    assert "The index bgtask_hash of the table background_task " in finding.what
    Task.objects.using(ALIAS).latest("pk").delete()
    execute(scratch, finding.remedy)
    assert "index-invalid" not in examine(ALIAS)


@pytest.mark.only_on("mariadb")
def test_an_index_that_is_ignored_is_invalid_until_the_remedy(scratch, examine):
    execute(scratch, "ALTER TABLE background_task ALTER INDEX bgtask_hash IGNORED")
    finding = examine(ALIAS)["index-invalid"]
    assert "The index bgtask_hash " in finding.what
    execute(scratch, finding.remedy.partition(";")[0])
    assert "index-invalid" not in examine(ALIAS)
