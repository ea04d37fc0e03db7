"""Limits beside everything else that may happen to a row."""

from datetime import timedelta
from unittest import mock

import pytest
from django.db import OperationalError

from background_task import pause, resume
from background_task.models import CompletedTask, Gate, Permit, Task
from background_task.store import get_store
from background_task.store.gate import ASIDE, Gates
from background_task.tasks import tasks
from tests.limits.test_worker import Ledger, work_off

pytestmark = pytest.mark.django_db(transaction=True)


def put_aside(task):
    """What a gate does to a row that is refused."""
    row = Task.objects.get(pk=task.pk)
    Task.objects.filter(pk=row.pk).update(due_at=row.run_at, run_at=row.run_at + ASIDE)
    return row


def test_claim_whose_gate_could_not_be_asked_passes_it_later(registry, threads):
    """The claim is in the database, and what follows it fails: nobody has let it through."""
    ledger = Ledger(registry, max_concurrency=1)
    for number in range(4):
        ledger.task("a", number)
    admit, failures = Gates.admit, iter([False, True, False, True])

    def admit_at_times(gates, wanted, **options):
        if next(failures, False):
            raise OperationalError("deadlock")
        return admit(gates, wanted, **options)

    with mock.patch.object(Gates, "admit", admit_at_times):
        worker = work_off(threads=threads)
    assert next(failures, None) is None
    assert worker.summary.succeeded == 4
    assert Permit.objects.count() == 4, "each run has passed the gate"
    assert ledger.most["a"] == 1


def test_unique_task_that_is_run_by_hand_lets_go_of_its_key(registry):
    """It may schedule itself anew, as it may without a limit."""
    again = []

    @registry.background(name="sync", max_concurrency=1, unique=True)
    def sync():
        if not again:
            again.append(sync.using(schedule=60)())

    sync()
    assert tasks.run_next_task()
    assert again[0] is not None


def test_unique_task_whose_limit_is_gone_lets_go_of_its_key(registry):
    again = []

    def sync():
        if not again:
            again.append(free())

    limited = registry.background(name="sync", max_concurrency=1, unique=True)(sync)
    limited()
    free = registry.background(name="sync", unique=True)(sync)
    assert work_off().summary.succeeded == 2
    assert again[0] is not None


@pytest.mark.parametrize("way", ["claim_one", "lock"])
def test_row_that_is_put_aside_and_taken_by_hand_has_its_own_time(registry, way):
    task = Ledger(registry, max_concurrency=1).task("a", 1)
    before = put_aside(task)
    if way == "lock":
        assert before.lock("hand") is not None
    else:
        assert get_store().claim_one(task.pk, "hand").run_at == before.run_at
    row = Task.objects.get()
    assert (row.run_at, row.due_at) == (before.run_at, None)


def test_expired_task_takes_no_start_from_one_that_is_run(registry, threads):
    """Or a rate with a backlog would spend itself on what comes too late."""
    ledger = Ledger(registry, rate_limit=(1, 3600))
    for number in range(5):
        ledger.task.using(expires=1, schedule=-60)("late", number)
    ledger.task("a", 1)
    worker = work_off(threads=threads)
    assert ledger.runs == [("a", 1)]
    assert len(worker.events.of("discard")) == 5
    assert Permit.objects.count() == 1
