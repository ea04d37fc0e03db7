"""What the command says of options and tables that cannot work."""

import uuid

import pytest

from background_task.fields import UidField
from background_task.importing import SOURCES
from background_task.models import Task
from tests.importing import tables

PATH = "tests.importing.functions.send"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"database": "other"}, "--database other: DATABASES has no such alias, but default"),
        ({"batch_size": 0}, "--batch-size 0: use 1 to 500"),
        ({"batch_size": 501}, "--batch-size 501: use 1 to 500"),
        ({"map": ["old"]}, "--map old: write it as old.path=new.path"),
    ],
)
def test_import_with_an_option_that_cannot_work_is_refused(run, options, message):
    result = run("django-dbtasks", **options)
    assert (result.code, result.problem) == (1, message)


@pytest.mark.parametrize("source", SOURCES)
def test_import_of_empty_tables_takes_nothing(run, source):
    result = run(source)
    assert (result.code, result.err) == (0, "")
    assert "Took 0" in result.out


@pytest.mark.parametrize("source", SOURCES)
def test_import_without_its_table_names_table_database_and_remedy(run, source, monkeypatch):
    (part, *_) = SOURCES[source]
    monkeypatch.setattr(part, "table", f"no_{part.table}")
    result = run(source)
    assert result.code == 1
    assert result.problem == (
        f"{source}: table {part.table} is not in database 'default'; name the database that has "
        "it with --database; if none has, there is nothing to import"
    )


def test_import_from_a_table_with_other_columns_names_them(run, monkeypatch):
    (part,) = SOURCES["django-dbtasks"]
    fields = {**part.fields, "colour": part.fields["queue"]}
    monkeypatch.setattr(part, "fields", fields)
    assert "has no column colour" in run("django-dbtasks").problem


@pytest.mark.only_on("mariadb")
@pytest.mark.parametrize("table", tables.ON_MARIADB)
def test_import_reads_ids_of_both_types_that_mariadb_has_had(run, monkeypatch, table):
    (part,) = SOURCES["django-dbtasks"]
    uid = uuid.uuid4()
    columns = {**tables.TABLES["dbtasks_scheduledtask"], "id": UidField(primary_key=True)}
    monkeypatch.setitem(tables.TABLES, table, columns)
    tables.insert(table, id=uid, task_path=PATH, args=[1])
    monkeypatch.setattr(part, "table", table)
    assert run("django-dbtasks").code == 0
    assert Task.objects.get().uid == uid
    assert tables.read(table, "id") == []


def test_import_of_an_early_table_does_without_later_columns(run, monkeypatch):
    part = SOURCES["django-q2"][1]
    missing = dict.fromkeys(("later_one", "later_two"), part.fields["func"])
    monkeypatch.setattr(part, "later_fields", {**part.later_fields, **missing})
    tables.insert("django_q_schedule", func="tests.importing.functions.work")
    assert run("django-q2").code == 0
    assert Task.objects.count() == 1
