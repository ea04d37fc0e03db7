"""A worker that ends when nothing is left to do."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from background_task.exceptions import DuplicateWorkerError
from background_task.identity import is_name_with, new_worker_name
from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.worker.drain import DRAINED
from tests.app.models import Ledger
from tests.app.tasks import fail, record
from tests.store.rows import LEASE, worker
from tests.worker.running import Worker, work_off

pytestmark = pytest.mark.django_db(transaction=True)

#: A worker judges others once it has been in contact for a quarter of it.
SHORT_LEASE = timedelta(seconds=2)


def never(name, fields):
    return False


def enter(name, *, expired_for):
    worker(name, now=timezone.now() - LEASE - timedelta(seconds=expired_for))


def drain(**options):
    return work_off(until=never, is_batch=True, **options)


@pytest.mark.parametrize("threads", [None, 3], ids=["inline", "threads"])
def test_drain_runs_what_is_due_and_what_that_adds_then_ends(registry, threads):
    @registry.background(name="chain")
    def chain(left):
        Ledger.objects.create(key=f"chain {left}")
        if left:
            chain(left - 1)

    chain(3)
    record("later", schedule=3600)
    run = drain(threads=threads, registry=registry._tasks)
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
    assert (run.summary.succeeded, run.summary.retried, run.summary.failures) == (1, 1, 0)
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1
    Task.objects.update(run_at=timezone.now())
    assert drain().summary.failures == 1
    assert CompletedTask.objects.count() == 2


def test_drain_first_takes_back_what_the_dead_have_held():
    """Where cron starts nothing but short batches, nobody else would."""
    task = record("lost")
    enter("dead", expired_for=60)
    Task.objects.filter(pk=task.pk).update(locked_by="dead", locked_at=timezone.now())
    run = drain(lease=SHORT_LEASE)
    assert (run.summary.recovered, run.summary.succeeded) == (1, 1)
    assert Ledger.objects.get().key == "lost"


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


def test_name_of_a_dead_worker_is_free_and_its_rows_are_not_those_of_the_next():
    dead = new_worker_name("web-1")
    enter(dead, expired_for=1)
    task = record("lost")
    Task.objects.filter(pk=task.pk).update(locked_by=dead, locked_at=timezone.now(), claim_number=7)
    run = drain(label="web-1", lease=SHORT_LEASE)
    assert is_name_with("web-1", run.name)
    assert run.name != dead
    assert (run.summary.recovered, run.summary.succeeded) == (1, 1)
    (error,) = CompletedTask.objects.get().attempt_errors
    assert error.worker == dead


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
