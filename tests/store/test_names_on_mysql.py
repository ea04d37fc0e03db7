"""Names are compared byte by byte, whatever the collation of the columns says."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection

from background_task.admin import TaskAdmin
from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from tests.store.rows import NAMES, add, row, worker
from tests.worker.running import Worker

pytestmark = [pytest.mark.only_on("mariadb"), pytest.mark.django_db(transaction=True)]

ALIKE = ["Known", "KNOWN", "knówn", "known "]


@pytest.mark.parametrize("name", ALIKE)
def test_row_whose_name_is_only_alike_is_unknown(store, name):
    other = add(store, task_name=name, priority=1)
    mine = add(store)
    assert [claim.task_id for claim in store.claim("w", NAMES, limit=10)] == [mine.pk]
    assert row(other.pk)["locked_by"] is None
    due = store.look(NAMES)
    assert (due.is_ready, due.is_unknown) == (False, True)
    assert store.unknown_names(NAMES) == [name]


def test_row_of_a_function_since_renamed_neither_spins_nor_starves_the_others(store):
    calls = []
    add(store, task_name="Renamed", priority=1)
    add(store, task_name="other")
    registry = {name: Function(calls, name) for name in ("renamed", "other")}
    loop = Worker(registry=registry)

    def until(name, fields):
        return name in ("idle", "release")

    loop.run(until=until)
    assert calls == ["other"]
    assert "release" not in loop.events.names
    assert loop.events.of("unknown") == [{"names": ["Renamed"]}]


class Function:
    """What is needed of a ``TaskProxy``."""

    def __init__(self, calls, name):
        self.task_function = lambda: calls.append(name)


@pytest.fixture(params=["utf8mb4_unicode_ci", "utf8mb4_bin", "latin1_swedish_ci"])
def other_collation(request, transactional_db):
    """The task table was converted, or kept what it had, and the others have another collation."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_collation FROM information_schema.tables "
            "WHERE table_schema = database() AND table_name = 'background_task'"
        )
        before = cursor.fetchone()[0]
        assert before != request.param
        convert(cursor, request.param)
        yield
        Task.objects.all().delete()
        convert(cursor, before)


def convert(cursor, collation):
    charset = collation.partition("_")[0]
    cursor.execute(
        f"ALTER TABLE background_task CONVERT TO CHARACTER SET {charset} COLLATE {collation}"
    )


@pytest.mark.usefixtures("other_collation")
def test_tables_of_different_collations_are_compared(store, rf):
    now = store.now()
    worker("w", now=now)
    add(store)
    assert Task.objects.find_available().count() == 1
    spec = TaskSpec(task_name="known", action=TaskSchedule.CHECK_EXISTING)
    assert enqueue(spec, sender=Task) is None
    (claim,) = store.claim("w", NAMES)
    assert (Task.objects.locked(now).count(), Task.objects.unlocked(now).count()) == (1, 0)
    assert [row.owner_is_alive for row in TaskAdmin(Task, admin.site).get_queryset(rf.get("/"))]
    assert store.left_behind() == []
    assert store.claim_one(claim.task_id, "x") is None
    assert store.finish(claim, Succeeded()).completed == CompletedTask.objects.get()


@pytest.mark.usefixtures("other_collation")
def test_rows_of_the_dead_are_found_across_collations(store):
    worker("dead", now=store.now() - timedelta(days=1))
    add(store)
    (claim,) = store.claim("dead", NAMES)
    assert store.left_behind() == [claim]
