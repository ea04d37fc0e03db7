"""Two imports of the same rows at the same time, and how a row is held."""

import threading

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from background_task.importing import SOURCES, Targets, take
from background_task.models import Task
from tests.importing import tables

TABLE = "dbtasks_scheduledtask"
PATH = "tests.importing.functions.send"
DEADLINE_SECONDS = 60


class Held(Targets):
    """Stops as soon as the first row is locked and read."""

    def __init__(self):
        super().__init__()
        self.holds, self.go_on = threading.Event(), threading.Event()

    def spec(self, call):
        self.holds.set()
        assert self.go_on.wait(DEADLINE_SECONDS)
        return super().spec(call)


def open_part():
    (part,) = SOURCES["django-dbtasks"]
    return part(connection.alias)


def unwatched(execute, sql, params, many, context):
    return execute(sql, params, many, context)


def in_thread(found, targets, *, keep, watch):
    part = open_part()

    def act():
        try:
            with connection.execute_wrapper(watch):
                found.append(take(part, targets, keep=keep))
        except Exception as error:  # noqa: BLE001 - told by the test
            found.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def rows(transactional_db):
    for number in range(3):
        tables.insert(TABLE, task_path=PATH, args=[number])
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("keep", [False, True])
def test_import_beside_another_brings_each_row_once(rows, keep):
    """The rivals: the first has locked and read the rows, the second has their keys in its hand."""
    first, found, has_keys = Held(), [], threading.Event()

    def watch(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "ORDER BY" in sql:
            has_keys.set()
        return result

    threads = [in_thread(found, first, keep=keep, watch=unwatched)]
    assert first.holds.wait(DEADLINE_SECONDS)
    threads.append(in_thread(found, Targets(), keep=keep, watch=watch))
    assert has_keys.wait(DEADLINE_SECONDS)
    first.go_on.set()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert sorted(report.count for report in found) == [0, 3]
    assert Task.objects.count() == 3
    assert len(tables.read(TABLE, "id")) == (3 if keep else 0)


@pytest.mark.django_db
def test_lock_of_rows_begins_with_a_lock():
    """Without it a worker of the other system could claim a row that is read already."""
    part = open_part()
    with CaptureQueriesContext(connection) as queries:
        part.locked(part.waiting(timezone.now()))
    statement = queries.captured_queries[0]["sql"]
    is_locking = (
        statement.startswith("UPDATE")
        if connection.vendor == "sqlite"
        else (statement.endswith("FOR UPDATE"))
    )
    assert is_locking, statement
