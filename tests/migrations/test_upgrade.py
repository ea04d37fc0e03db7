"""A database of 1.x is upgraded where it is: no row is lost, what waits is run."""

from datetime import timedelta

import pytest

from background_task import telemetry
from background_task.models import CompletedTask, Task
from background_task.payload import task_hash
from background_task.store import get_store
from background_task.tasks import tasks
from background_task.worker import Control, Loop, Options
from tests.migrations.old import ALIAS, HOUR, LAST_OF_1X, NOW, TABLES, dump, fill, insert

ran = []


@pytest.fixture
def registry():
    """The function whose rows wait, as the upgraded code has it."""
    ran.clear()

    @tasks.background(name="tests.app.tasks.record")
    def record(text):
        ran.append(text)

    return {"tests.app.tasks.record": record}


def drain(registry, *, runs):
    """Run a real worker on the scratch database until so many tasks have been run."""
    control = Control()
    options = Options(duration=60, sleep=0.1, lease=timedelta(seconds=4))
    loop = Loop(registry, store=get_store(ALIAS), control=control, options=options)

    def stop_when_done(name, fields):
        if name == "idle" and len(ran) >= runs:
            control.stop("done", within=1)

    with telemetry.subscribed(stop_when_done):
        summary = loop.run()
    control.polling.close()
    assert control.reason == "done"
    return summary


def test_upgrade_keeps_each_value_of_each_row(old, upgrade):
    fill(old)
    before = {table: dump(old, table) for table in TABLES}
    assert [len(rows) for rows in before.values()] == [10, 2]
    upgrade()
    assert {table: dump(old, table) for table in TABLES} == before
    creators = Task.objects.using(ALIAS).exclude(creator_object_id=None)
    assert [task.creator_object_id for task in creators] == [2**31 - 1]
    golden = Task.objects.using(ALIAS).get(task_name="myapp.tasks.f")
    assert golden.task_hash == task_hash(golden.task_name, golden.task_params)


def test_upgrade_then_worker_runs_what_is_due_and_recovers_what_the_dead_held(
    old, upgrade, registry
):
    fill(old)
    upgrade()
    summary = drain(registry, runs=7)
    assert sorted(ran) == sorted(["waiting", "mail", "hé", "creator", "retry", "dead", "hourly"])
    left = {task.task_params: task for task in Task.objects.using(ALIAS).all()}
    assert set(left) == {"[[1], {}]", '[["later"], {}]', '[["held"], {}]', '[["hourly"], {}]'}
    assert left['[["held"], {}]'].locked_by == "4243"
    assert left['[["hourly"], {}]'].run_at > NOW
    done = {task.task_params: task for task in CompletedTask.objects.using(ALIAS).all()}
    assert done['[["dead"], {}]'].attempts == 3  # one before, the lost one, this one
    assert done['[["retry"], {}]'].attempts == 4
    assert len(done) == 8  # one of the two old ones shares its parameters with nobody else's
    assert (summary.succeeded, summary.recovered) == (7, 1)


def test_upgrade_then_rows_inserted_by_1x_run(old, upgrade, registry):
    upgrade()
    pk = insert(old, TABLES[0], task_params='[["from 1.x"], {}]')
    assert Task.objects.using(ALIAS).get(pk=pk).uid is None
    drain(registry, runs=1)
    assert ran == ["from 1.x"]
    (done,) = CompletedTask.objects.using(ALIAS).all()
    assert done.uid is not None


def test_going_back_and_forward_again_keeps_each_value(old, upgrade):
    fill(old)
    before = {table: dump(old, table) for table in TABLES}
    upgrade()
    upgrade(LAST_OF_1X)
    assert {table: dump(old, table) for table in TABLES} == before
    upgrade()
    assert {table: dump(old, table) for table in TABLES} == before


@pytest.mark.parametrize("key", ["550e8400-e29b-41d4-a716-446655440000", str(2**31), "-1"])
def test_going_back_with_a_creator_that_does_not_fit_is_refused_and_loses_nothing(
    old, upgrade, key
):
    upgrade()
    Task.objects.using(ALIAS).create(
        task_name="x", task_params="[[], {}]", task_hash="0" * 40, run_at=NOW, creator_object_id=key
    )
    with pytest.raises(ValueError, match=key):
        upgrade(LAST_OF_1X)
    with old.cursor() as cursor:
        cursor.execute("SELECT creator_object_id FROM background_task")
        assert list(cursor.fetchall()) == [(key,)]


def test_upgrade_of_a_database_that_recorded_an_invented_migration(old, upgrade):
    """Somebody's Django had widened the ids, and the file is gone with the old package."""
    fill(old)
    widen(old)
    with old.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES "
            "('background_task', '0003_alter_completedtask_id_alter_task_id', %s)",
            [old.ops.adapt_datetimefield_value(NOW)],
        )
    before = {table: dump(old, table) for table in TABLES}
    upgrade()
    assert {table: dump(old, table) for table in TABLES} == before


def widen(connection):
    """Do what that migration does."""
    from django.db import migrations, models
    from django.db.migrations.state import ProjectState

    executor_state = state_of(connection, LAST_OF_1X)
    assert isinstance(executor_state, ProjectState)
    for name in ("completedtask", "task"):
        operation = migrations.AlterField(
            name, "id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False)
        )
        after = executor_state.clone()
        operation.state_forwards("background_task", after)
        with connection.schema_editor() as editor:
            operation.database_forwards("background_task", editor, executor_state, after)
        executor_state = after


def state_of(connection, migration):
    from django.db.migrations.executor import MigrationExecutor

    loader = MigrationExecutor(connection).loader
    return loader.project_state([("background_task", migration)])


@pytest.mark.only_on("postgresql")
def test_upgrade_of_serial_ids_as_older_djangos_made_them(scratch, upgrade, registry):
    from django.core.management import call_command

    call_command("migrate", "contenttypes", database=ALIAS, verbosity=0)
    call_command("migrate", "auth", database=ALIAS, verbosity=0)
    upgrade(LAST_OF_1X)
    with scratch.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ALTER COLUMN id DROP IDENTITY")
            cursor.execute(f"CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id")
            cursor.execute(
                f"ALTER TABLE {table} ALTER COLUMN id SET DEFAULT nextval('{table}_id_seq')"
            )
    fill(scratch)
    before = {table: dump(scratch, table) for table in TABLES}
    upgrade()
    assert {table: dump(scratch, table) for table in TABLES} == before
    drain(registry, runs=1)
    assert "waiting" in ran
    new = Task.objects.using(ALIAS).create(
        task_name="x", task_params="[[], {}]", task_hash="0" * 40, run_at=NOW + HOUR
    )
    assert new.pk > max(before[TABLES[0]])


def test_upgrade_of_columns_from_before_they_were_shortened(old, upgrade):
    """Databases made before 2018-08 had 255 characters; 0002 made them 190."""
    upgrade("0001_initial")
    if old.vendor != "sqlite":
        change = {
            "postgresql": "ALTER COLUMN {name} TYPE varchar(255)",
            "mysql": "MODIFY {name} varchar(255) {null}",
        }[old.vendor]
        with old.cursor() as cursor:
            for table in TABLES:
                for name, null in (("task_name", "NOT NULL"), ("queue", "NULL")):
                    how = change.format(name=name, null=null)
                    cursor.execute(f"ALTER TABLE {table} {how}")
    fill(old)
    before = {table: dump(old, table) for table in TABLES}
    upgrade()
    assert {table: dump(old, table) for table in TABLES} == before
