"""What the command says of options and tables that cannot work."""

import pytest
from django.db import connection

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
        "it with --database, or leave this out: there is nothing to import"
    )


def test_import_from_a_table_with_other_columns_names_them(run, monkeypatch):
    (part,) = SOURCES["django-dbtasks"]
    fields = {**part.fields, "colour": part.fields["queue"]}
    monkeypatch.setattr(part, "fields", fields)
    assert "has no column colour" in run("django-dbtasks").problem


@pytest.mark.only_on("mariadb")
def test_import_reads_ids_of_both_types_that_mariadb_has_had(run, monkeypatch):
    (part,) = SOURCES["django-dbtasks"]
    table = "other_scheduledtask"
    monkeypatch.setattr(part, "table", table)
    monkeypatch.setitem(tables.TABLES, table, tables.TABLES["dbtasks_scheduledtask"])
    for kind in ("char(32)", "uuid"):
        tables.create(table, types={"id": kind})
        try:
            with connection.cursor() as cursor:
                key = tables.insert(table, task_path=PATH, args=[1])
                cursor.execute(f"SELECT id FROM {table}")
            assert run("django-dbtasks").code == 0
            assert Task.objects.filter(uid=key).count() == 1
            assert tables.read(table, "id") == []
        finally:
            tables.drop(table)
            Task.objects.all().delete()


def test_import_of_an_early_table_does_without_later_columns(run, monkeypatch):
    part = SOURCES["django-q2"][1]
    missing = dict.fromkeys(("later_one", "later_two"), part.fields["func"])
    monkeypatch.setattr(part, "later_fields", {**part.later_fields, **missing})
    tables.insert("django_q_schedule", func="tests.importing.functions.work")
    assert run("django-q2").code == 0
    assert Task.objects.count() == 1
