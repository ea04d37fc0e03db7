"""Rows of other backends of ``django.tasks``."""

from datetime import datetime, timedelta, timezone

import pytest
from django.db import connection

from background_task.importing import SOURCES, Targets, take
from background_task.models import Task
from background_task.task_framework import BaseTaskBackend
from tests.importing import tables

#: One whose tasks no worker of ours runs.
DUMMY = BaseTaskBackend.__module__.replace("base", "dummy") + ".DummyBackend"

PATH = "tests.importing.functions.send"
LATER = datetime(2040, 5, 6, 7, 8, 9, tzinfo=timezone.utc)


class System:
    """One of the three, by what they call things."""

    def __init__(self, source, table, **names):
        self.source, self.table, self.names = source, table, names

    def add(self, args=(), kwargs=None, **values):
        if self.source == "django-tasks-db":
            values["args_kwargs"] = {"args": list(args), "kwargs": kwargs or {}}
        else:
            values |= {"args": list(args), "kwargs": kwargs or {}}
        values = {self.names.get(name, name): value for name, value in values.items()}
        return tables.insert(self.table, **{"task_path": PATH, **values})

    @property
    def part(self):
        (part,) = SOURCES[self.source]
        return part(connection.alias)

    def __len__(self):
        return len(tables.read(self.table, "status"))


OWN = {"queue": "queue_name", "backend": "backend_name"}
SYSTEMS = [
    System("django-tasks-db", "django_tasks_database_dbtaskresult", **OWN),
    System("django-dbtasks", "dbtasks_scheduledtask"),
    System(
        "django-database-task",
        "django_database_task_databasetask",
        args="args_json",
        kwargs="kwargs_json",
        **OWN,
    ),
]


@pytest.fixture(params=SYSTEMS, ids=lambda system: system.source)
def system(request):
    return request.param


def test_import_waiting_row_keeps_all_that_it_says(system, run):
    uid = system.add([7], {"text": "x"}, priority=5, queue="mail", run_after=LATER)
    result = run(system.source)
    assert (result.code, result.err) == (0, "")
    assert "Took 1, deleted there" in result.out
    task = Task.objects.get()
    assert (task.uid, task.task_name, task.backend) == (uid, PATH, "default")
    assert task.params() == ([7], {"text": "x"})
    assert (task.priority, task.queue, task.run_at) == (5, "mail", LATER)
    assert task.enqueued_at == tables.LONG_AGO
    assert task.attempts == 0
    assert len(system) == 0


def test_import_row_without_run_after_is_due_since_it_was_queued(system, run):
    later = tables.LONG_AGO + timedelta(hours=1)
    second = system.add([2], enqueued_at=later)
    first = system.add([1])
    run(system.source)
    due = Task.objects.find_available()
    assert [task.uid for task in due] == [first, second]
    assert due[0].run_at == tables.LONG_AGO


def test_dry_run_shows_what_would_come_and_changes_nothing(system, run):
    system.add([1])
    system.add([2])
    system.add([3], status="RUNNING")
    result = run(system.source, dry_run=True)
    assert result.code == 0
    rows = [line.split() for line in result.out.splitlines()]
    assert ["2", PATH, PATH, "(default)", "default", "2026-01-02", "03:04:05", "UTC"] in rows
    assert "Would take 2" in result.out
    assert "stop the old workers" in result.err
    assert len(system) == 3
    assert not Task.objects.exists()


def test_import_what_runs_or_has_ended_stays_and_is_counted(system, run):
    for status in ("RUNNING", "SUCCESSFUL", "FAILED", "FAILED"):
        system.add([1], status=status)
    result = run(system.source)
    assert result.code == 0
    assert "Not taken, running: 1" in result.out
    assert "Not taken, finished: 3" in result.out
    assert (len(system), Task.objects.count()) == (4, 0)


def test_import_twice_brings_nothing_twice(system, run):
    system.add([1])
    run(system.source, keep=True)
    again = run(system.source, keep=True)
    assert "Came over before: 1" in again.out
    assert "Took 0, left there" in again.out
    assert (len(system), Task.objects.count()) == (1, 1)
    run(system.source)  # what was kept is taken away, and not brought again
    assert (len(system), Task.objects.count()) == (0, 1)


def test_import_what_has_finished_here_is_not_brought_again(system, run):
    system.add([1])
    run(system.source, keep=True)
    Task.objects.get().create_completed_task()
    Task.objects.all().delete()
    assert "Came over before: 1" in run(system.source, keep=True).out
    assert not Task.objects.exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"task_path": "tests.importing.functions.gone"}, "cannot be imported"),
        ({"task_path": ".relative.path"}, "cannot be imported"),
        ({"task_path": "tests.importing.functions.plain"}, "neither a @task nor a function"),
        ({"kwargs": {"subject": 1}, "args": [1]}, "cannot be called so"),
        ({"args": []}, "cannot be called so"),
        ({"args": [1], "backend": "second"}, "'second' is no backend in TASKS"),
        ({"args": [1], "backend": "other"}, "'other' is no backend in TASKS"),
    ],
)
def test_import_row_that_nothing_corresponds_to_stays_with_its_reason(
    system, run, settings, values, reason
):
    other = {"BACKEND": DUMMY}
    settings.TASKS = {**settings.TASKS, "other": other}
    key = system.add(**{"args": [1], **values})
    system.add([2])
    result = run(system.source)
    assert result.code == 2
    assert reason in result.err
    assert f"ids {key}" in result.err
    assert (len(system), Task.objects.get().params()) == (1, ([2], {}))


def test_import_row_whose_json_has_another_form_stays(run):
    tables.insert("dbtasks_scheduledtask", task_path=PATH, args={"number": 1})
    tables.insert("django_tasks_database_dbtaskresult", task_path=PATH, args_kwargs=[1])
    assert "are no list" in run("django-dbtasks").err
    assert "has no args and kwargs" in run("django-tasks-db").err
    assert not Task.objects.exists()


def test_import_only_of_named_queues_leaves_the_others(system, run):
    for queue in ("a", "b", "c"):
        system.add([1], queue=queue)
    run(system.source, queue=["a", "c"])
    assert sorted(Task.objects.values_list("queue", flat=True)) == ["a", "c"]
    assert len(system) == 1


def test_import_mapped_path_becomes_the_function_with_background(system, run):
    system.add([1], task_path="old.place", queue="mail")
    run(system.source, map=["old.place=tests.importing.functions.work"])
    task = Task.objects.get()
    assert (task.task_name, task.backend) == ("tests.importing.functions.work", None)
    assert task.queue == "mail"


def test_import_with_backend_puts_all_under_that_alias(system, run, settings):
    settings.TASKS = {"mine": settings.TASKS["default"]}
    system.add([1], backend="theirs")
    run(system.source, backend="mine")
    assert Task.objects.get().backend == "mine"


def test_import_task_with_context_counts_the_context_among_its_arguments(system, run):
    system.add([1], task_path="tests.importing.functions.with_context")
    assert run(system.source).code == 0
    assert Task.objects.get().params() == ([1], {})


def test_import_function_with_a_limit_gives_it_its_gate_and_all_of_its_rows(system, run):
    for number in (1, 1):
        system.add([number], task_path="tests.importing.functions.alone")
    assert run(system.source).code == 0
    assert Task.objects.exclude(limit_key=None).filter(unique_key=None).count() == 2


def test_import_in_batches_brings_each_row_once(system, run):
    for number in range(5):
        system.add([number], enqueued_at=tables.LONG_AGO + timedelta(seconds=number))
    run(system.source, batch_size=2)
    numbers = [task.params()[0][0] for task in Task.objects.order_by("pk")]
    assert numbers == [0, 1, 2, 3, 4]
    assert len(system) == 0


def test_import_row_that_a_worker_claims_meanwhile_is_left_to_it(system):
    """The rivals: a worker of the other system, and this, which has read the row already."""
    mine, theirs = system.add([1]), system.add([2])
    part = system.part
    locked = part.locked

    def claim_first(rows):
        part.rows.filter(pk=theirs).update(status="RUNNING")
        return locked(rows)

    part.locked = claim_first
    report = take(part, Targets())
    assert report.count == 1
    assert Task.objects.get().uid == mine
    assert len(system) == 1


def test_import_that_fails_in_a_batch_leaves_that_batch_as_it_was(system, monkeypatch):
    for number in range(3):
        system.add([number], enqueued_at=tables.LONG_AGO + timedelta(seconds=number))
    part = system.part
    takes = part.take

    def fail_second_time(keys, *, now):
        if Task.objects.count() > 2:
            raise RuntimeError("killed")
        takes(keys, now=now)

    monkeypatch.setattr(part, "take", fail_second_time)
    with pytest.raises(RuntimeError, match="killed"):
        take(part, Targets(), batch_size=2)
    assert (Task.objects.count(), len(system)) == (2, 1)
    monkeypatch.undo()
    assert take(part, Targets()).count == 1
    assert (Task.objects.count(), len(system)) == (3, 0)


def test_import_rows_of_early_versions_that_call_waiting_new(run):
    SYSTEMS[0].add([1], status="NEW")
    assert run("django-tasks-db").code == 0
    assert Task.objects.count() == 1


def test_import_leaves_next_ticks_of_periodic_tasks(run):
    SYSTEMS[1].add([1], periodic=True)
    result = run("django-dbtasks")
    assert "Not taken, ticks of periodic tasks: 1" in result.out
    assert not Task.objects.exists()
