"""Sequences of 32 bits, rows that failed in place, and 1.x going on beside the new version."""

import pytest

from background_task.models import Task
from tests.migrations.old import ALIAS, HOUR, LAST_OF_1X, NOW, TABLES, dump, fill, insert


@pytest.fixture
def with_serial_ids(old):
    """Ids from 32-bit sequences of their own, as Django made them before 4.1."""
    with old.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
            cursor.execute(f"CREATE SEQUENCE {table}_id_seq AS integer OWNED BY {table}.id")
            cursor.execute(
                f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')"
            )
    return old


def everything(connection):
    return {table: dump(connection, table) for table in TABLES}


@pytest.mark.only_on("postgresql")
def test_upgrade_of_serial_ids_counts_on_beyond_32_bits(with_serial_ids, upgrade):
    fill(with_serial_ids)
    before = everything(with_serial_ids)
    upgrade()
    assert everything(with_serial_ids) == before
    assert type_of_id(with_serial_ids) == "bigint"
    with with_serial_ids.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('background_task', 'id'), 5000000000)")
    pk = insert(with_serial_ids, TABLES[0], task_params='[["beyond 32 bits"], {}]')
    assert pk == 5_000_000_001
    assert Task.objects.using(ALIAS).get(pk=pk).params() == (["beyond 32 bits"], {})


@pytest.mark.only_on("postgresql")
def test_going_back_from_serial_ids_and_forward_again_keeps_each_value(with_serial_ids, upgrade):
    fill(with_serial_ids)
    before = everything(with_serial_ids)
    upgrade()
    upgrade(LAST_OF_1X)
    assert everything(with_serial_ids) == before
    assert type_of_id(with_serial_ids) == "integer"
    highest = max(before[TABLES[0]])
    assert insert(with_serial_ids, TABLES[0]) == highest + 1
    upgrade()
    assert insert(with_serial_ids, TABLES[0]) == highest + 2


def test_upgrade_keeps_rows_that_failed_where_they_stood(old, upgrade):
    """Very old versions left them among the live ones; nobody runs them."""
    pk = insert(old, TABLES[0], failed_at=NOW - HOUR, attempts=25, last_error="Traceback")
    before = everything(old)
    upgrade()
    assert everything(old) == before
    assert not Task.objects.using(ALIAS).find_available().filter(pk=pk).exists()


def test_the_upgraded_tables_refuse_nothing_that_1x_inserts(old, upgrade):
    """1.x processes go on beside the new ones while a site is upgraded."""
    upgrade()
    for table in TABLES:
        for _ in range(2):  # what is unique must be so for rows without it, too
            insert(old, table, locked_by="4242", locked_at=NOW, creator_object_id=7)
    with old.cursor() as cursor:
        cursor.execute("UPDATE background_task SET locked_by = NULL, locked_at = NULL")
        cursor.execute("DELETE FROM background_task WHERE locked_by IS NULL")
    assert not Task.objects.using(ALIAS).exists()


def type_of_id(connection):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT data_type FROM information_schema.columns"
            " WHERE table_name = 'background_task' AND column_name = 'id'"
        )
        return cursor.fetchone()[0]
