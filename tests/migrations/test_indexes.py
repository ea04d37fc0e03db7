"""Which indexes the tables have: those that something uses, and no second ones beside them."""

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from background_task.models import CompletedTask, Task
from tests.migrations.old import ALIAS, NOW, TABLES, dump, fill

BEFORE = "0006_turn"
AFTER = "0007_leaner_indexes"

#: Name, or None where Django chose one: columns, and whether rows may be left out of it.
LIVE = {
    "bgtask_claim": (["priority", "run_at", "id"], True),
    "bgtask_claim_queue": (["queue", "priority", "run_at", "id"], True),
    "bgtask_owner": (["locked_by"], True),
    "bgtask_hash": (["task_hash"], False),
    "bgtask_creator": (["creator_content_type_id", "creator_object_id"], True),
    "bgtask_limit": (["limit_key", "priority", "due_at"], True),
    "bgtask_uid": (["uid"], False),
    "bgtask_unique_key": (["unique_key"], True),
}
ARCHIVE = {
    "bgtask_completed_name": (["task_name"], False),
    "bgtask_completed_failed": (["failed_at"], True),
    "bgtask_completed_creator": (["creator_content_type_id", "creator_object_id"], True),
    "bgtask_completed_uid": (["uid"], False),
    None: (["run_at"], False),
}


def indexes(database, table):
    """The indexes of a table besides its primary key, in the form of the tables above."""
    with database.cursor() as cursor:
        found = database.introspection.get_constraints(cursor, table)
        partial = partial_indexes(database, cursor, table)
    return {
        name if name.startswith("bgtask_") else None: (facts["columns"], name in partial)
        for name, facts in found.items()
        if (facts["index"] or facts["unique"]) and not facts["primary_key"]
    }


def partial_indexes(database, cursor, table):
    statement = {
        "postgresql": "SELECT indexname FROM pg_indexes"
        " WHERE tablename = %s AND indexdef LIKE '%% WHERE %%'",
        "sqlite": "SELECT name FROM sqlite_master"
        " WHERE tbl_name = %s AND type = 'index' AND sql LIKE '%% WHERE %%'",
    }.get(database.vendor)
    if statement is None:
        return set()
    cursor.execute(statement, [table])
    return {name for (name,) in cursor.fetchall()}


def expected(database, described):
    has_partial = database.features.supports_partial_indexes
    return {name: (columns, some and has_partial) for name, (columns, some) in described.items()}


def all_indexes(database):
    """Table, columns and name of each index, also of those that the server made for itself."""
    found = []
    for table in TABLES:
        with database.cursor() as cursor:
            constraints = database.introspection.get_constraints(cursor, table)
        found += [
            (table, facts["columns"], name) for name, facts in constraints.items() if facts["index"]
        ]
    return sorted(found)


def columns(found):
    return [entry[:2] for entry in found]


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "described"), [(Task, LIVE), (CompletedTask, ARCHIVE)])
def test_introspect_table_finds_these_indexes_and_no_others(model, described):
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, model._meta.db_table)
    secondary = [
        name
        for name, facts in constraints.items()
        if (facts["index"] or facts["unique"]) and not facts["primary_key"]
    ]
    assert len(secondary) == len(described), secondary
    assert indexes(connection, model._meta.db_table) == expected(connection, described)


def test_upgrade_makes_the_same_indexes_in_an_old_database(old, upgrade):
    fill(old)
    before = {table: dump(old, table) for table in TABLES}
    upgrade()
    assert indexes(old, TABLES[0]) == expected(old, LIVE)
    assert indexes(old, TABLES[1]) == expected(old, ARCHIVE)
    assert {table: dump(old, table) for table in TABLES} == before


def test_going_back_one_migration_and_forward_again_leaves_the_indexes_as_they_were(old, upgrade):
    upgrade(BEFORE)
    earlier = all_indexes(old)
    upgrade(AFTER)
    now = all_indexes(old)
    assert columns(now) != columns(earlier)
    upgrade(BEFORE)
    # Not by name: on MariaDB that of a foreign key's index may be another one then.
    assert columns(all_indexes(old)) == columns(earlier)
    upgrade(AFTER)
    assert all_indexes(old) == now


@pytest.mark.only_on("sqlite")
def test_upgrade_does_not_copy_the_archive_once_more(old, upgrade):
    """SQLite's tables are rewritten for changes that Django does not know how to make in place."""
    upgrade(BEFORE)
    before = root_page(old, TABLES[1])
    upgrade(AFTER)
    assert root_page(old, TABLES[1]) == before


def root_page(database, table):
    with database.cursor() as cursor:
        cursor.execute("SELECT rootpage FROM sqlite_master WHERE name = %s", [table])
        return cursor.fetchone()[0]


def test_insert_the_same_unique_key_after_the_upgrade_is_refused(old, upgrade):
    upgrade()
    with transaction.atomic(using=ALIAS):
        for key in ("a", "b", None, None):
            task(key).save(using=ALIAS)
    with pytest.raises(IntegrityError), transaction.atomic(using=ALIAS):
        task("a").save(using=ALIAS)
    assert Task.objects.using(ALIAS).count() == 4


def task(key):
    return Task(
        task_name="x", task_params="[[], {}]", task_hash="0" * 40, run_at=NOW, unique_key=key
    )


@pytest.mark.django_db
def test_validate_a_key_that_is_taken_says_so():
    task("a").save()
    with pytest.raises(ValidationError, match="bgtask_unique_key"):
        task("a").validate_constraints()
    task(None).validate_constraints()
