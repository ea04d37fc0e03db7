"""A worker that ends when nothing is left to do."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError
from django.utils import timezone

from background_task.exceptions import DuplicateWorkerError
from background_task.identity import is_name_with, new_worker_name
from background_task.management.commands.process_tasks import Command
from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.store import Fleet
from background_task.worker import Loop, recovery
from background_task.worker.drain import DRAINED
from tests.app.models import Ledger
from tests.app.tasks import fail, record
from tests.process import worker_process
from tests.store.rows import LEASE, worker
from tests.worker.running import Worker, work_off

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _quick_to_judge(monkeypatch):
    """Workers need not have been in contact for long to take others for dead."""
    monkeypatch.setattr(recovery, "GRACE_SECONDS", 0.1)


def never(name, fields):
    return False


def enter(name, *, expired_for):
    worker(name, now=timezone.now() - LEASE - timedelta(seconds=expired_for))


def drain(**options):
    return work_off(until=never, is_batch=True, **options)


@pytest.mark.parametrize("how", [{}, {"threads": 3}, {"concurrency": 2}], ids=str)
def test_drain_runs_what_is_due_and_what_that_adds_then_ends(registry, how):
    @registry.background(name="chain")
    def chain(left):
        Ledger.objects.create(key=f"chain {left}")
        if left:
            chain(left - 1)

    chain(3)
    record("later", schedule=3600)
    run = drain(registry=registry._tasks, **how)
    assert run.control.reason == DRAINED
    assert (run.summary.succeeded, run.summary.processed) == (4, 4)
    assert Ledger.objects.count() == 4
    assert Task.objects.get().task_name == "tests.app.tasks.record"
    assert WorkerRow.objects.get(name=run.name).stopped_at is not None


def test_drain_leaves_excluded_queues_and_says_what_it_does_not_know():
    record("mine", queue="mine")
    record("left", queue="left")
    Task.objects.new_task("unknown").save()
    run = drain(excluded=("left",))
    assert run.summary.succeeded == 1
    assert set(Task.objects.values_list("task_name", "queue")) == {
        ("unknown", None),
        ("tests.app.tasks.record", "left"),
    }
    assert run.events.of("unknown") == [{"names": ["unknown"]}]


def test_drain_ends_with_what_may_run_only_later_left(settings):
    fail()
    record("good")
    run = drain()
    assert (run.summary.succeeded, run.summary.failures) == (1, 0)
    assert run.summary.retried >= 1
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    Task.objects.update(run_at=timezone.now())
    assert drain().summary.failures == 1
    assert CompletedTask.objects.count() == 2


@pytest.mark.usefixtures("_quick_to_judge")
def test_drain_first_takes_back_what_the_dead_have_held():
    """Where cron starts nothing but short batches, nobody else would."""
    task = record("lost")
    enter("dead", expired_for=60)
    Task.objects.filter(pk=task.pk).update(locked_by="dead", locked_at=timezone.now())
    run = drain()
    assert (run.summary.recovered, run.summary.succeeded) == (1, 1)
    assert Ledger.objects.get().key == "lost"


def test_batch_with_reload_is_run_without_and_says_so(caplog):
    record("a")
    call_command("process_tasks", batch=True, dev=True, verbosity=0)
    assert "--batch ends by itself: running it without --dev" in caplog.text
    assert Ledger.objects.count() == 1


# -- names ----------------------------------------------------------------------------------------


def test_name_of_a_living_worker_is_refused_with_the_remedy():
    living = new_worker_name("web-1")
    enter(living, expired_for=-60)
    with pytest.raises(DuplicateWorkerError, match=r"id 'web-1' is alive .*choose another one"):
        drain(label="web-1")
    with pytest.raises(CommandError, match="--worker-id: a worker with the id 'web-1' is alive"):
        call_command("process_tasks", worker_id="web-1", batch=True)
    assert WorkerRow.objects.filter(WorkerRow.alive(timezone.now())).get().name == living
    assert is_name_with("web-2", drain(label="web-2").name)


@pytest.mark.usefixtures("_quick_to_judge")
def test_name_of_a_dead_worker_is_free_and_its_rows_are_not_those_of_the_next():
    dead = new_worker_name("web-1")
    enter(dead, expired_for=1)
    task = record("lost")
    Task.objects.filter(pk=task.pk).update(locked_by=dead, locked_at=timezone.now(), claim_number=7)
    run = drain(label="web-1")
    assert is_name_with("web-1", run.name)
    assert run.name != dead
    assert (run.summary.recovered, run.summary.succeeded) == (1, 1)
    (error,) = CompletedTask.objects.get().attempt_errors
    assert error.worker == dead


def test_name_of_a_process_that_can_be_seen_to_be_gone_is_free_at_once(monkeypatch):
    fleet = Fleet("default")
    enter(new_worker_name("web-1"), expired_for=-60)
    monkeypatch.setattr("background_task.store.fleet.is_pid_running", lambda pid: False)
    with pytest.raises(DuplicateWorkerError):  # it is this very process
        fleet.check_label("web-1")
    WorkerRow.objects.update(pid=1)
    fleet.check_label("web-1")
    WorkerRow.objects.update(host="elsewhere")
    with pytest.raises(DuplicateWorkerError, match="process 1 on elsewhere"):
        fleet.check_label("web-1")


def test_name_stays_recognizable_after_an_eviction():
    run = Worker(label="web-1", is_batch=True)
    run.loop.identity.register()
    first = run.name
    WorkerRow.objects.update(stopped_at=timezone.now())
    run.loop.identity.renew()
    run.control.polling.close()
    assert run.name != first
    assert is_name_with("web-1", run.name)
    assert run.loop.identity.names == {first, run.name}


# -- exit codes -----------------------------------------------------------------------------------


def test_call_command_with_exit_codes_returns_them(registry, settings):
    codes = {"empty_exit_code": 3, "failed_exit_code": 4, "batch": True, "verbosity": 0}

    def code():
        with pytest.raises(SystemExit) as end:
            call_command("process_tasks", **codes)
        return end.value.code

    assert code() == 3
    record("good")
    assert code() == 0
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    fail()
    record("better")
    assert code() == 4
    call_command("process_tasks", batch=True, verbosity=0)


def test_end_while_the_database_is_away_is_not_in_order(monkeypatch):
    def run(loop):
        loop.control.outage.begin(OperationalError("away"))
        return loop.summary

    monkeypatch.setattr(Loop, "run", run)
    command = Command()
    call_command(command, verbosity=0)
    assert command.exit_status == 1


def test_batch_process_with_nothing_to_run_returns_the_code_for_that():
    with worker_process("--batch", "--empty-exit-code", "3", "--failed-exit-code", "4") as process:
        assert process.wait() == 3
    assert f"Stopped ({DRAINED})" in process.lines[-1]


def test_batch_of_several_processes_drains_the_queue_and_tells_of_failures():
    for number in range(20):
        record(f"task {number}")
    fail()
    line = "--batch --processes 2 --worker-id web-1 --failed-exit-code 4"
    with worker_process(*line.split(), settings={"BACKGROUND_TASK_MAX_ATTEMPTS": 1}) as process:
        assert process.wait(60) == 4
    assert f"All worker processes have ended ({DRAINED})" in process.lines[-1]
    assert "starting another" not in process.output
    assert (Ledger.objects.count(), CompletedTask.objects.count()) == (20, 21)
    names = set(WorkerRow.objects.values_list("name", flat=True))
    assert len(names) == 2
    assert all(is_name_with("web-1", name) for name in names)
