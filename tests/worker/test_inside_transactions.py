"""Users' own tests: the worker inside a ``TestCase``, whose rows nobody else can see."""

import threading
from contextlib import suppress

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.test import TestCase, TransactionTestCase

from background_task.models import CompletedTask, Task, Worker
from background_task.tasks import tasks
from tests.app.models import Ledger, TextOwner
from tests.app.tasks import fail, record
from tests.worker.running import let_end_without_work


@pytest.fixture(autouse=True)
def broken(registry):
    """Tasks that leave the transaction of the test in a bad state."""

    @registry.background(name="broken.integrity")
    def break_integrity():
        TextOwner.objects.bulk_create([TextOwner(code="a"), TextOwner(code="a")])

    @registry.background(name="broken.swallowed")
    def swallow_integrity_error():
        with suppress(IntegrityError):
            TextOwner.objects.bulk_create([TextOwner(code="b"), TextOwner(code="b")])

    @registry.background(name="broken.open")
    def leave_open():
        transaction.atomic().__enter__()
        Ledger.objects.create(key="rolled back")

    @registry.background(name="broken.rollback")
    def set_rollback():
        transaction.set_rollback(True)

    return {
        "integrity": break_integrity,
        "swallowed": swallow_integrity_error,
        "open": leave_open,
        "rollback": set_rollback,
    }


@pytest.fixture(autouse=True)
def end_without_work(monkeypatch):
    let_end_without_work(monkeypatch)


def keys():
    return set(Ledger.objects.values_list("key", flat=True))


class Behaviour:
    """What holds in both kinds of test."""

    def test_run_next_task_runs_what_the_test_scheduled(self):
        record("a")
        assert tasks.run_next_task() is True
        assert tasks.run_next_task() is False
        assert keys() == {"a"}
        assert CompletedTask.objects.count() == 1

    def test_command_runs_what_the_test_scheduled(self):
        record("a")
        record("b")
        fail()
        call_command("process_tasks", duration=60, sleep=0.01, verbosity=0)
        assert keys() == {"a", "b"}
        assert Task.objects.get().attempts == 1

    def test_command_inside_atomic_keeps_the_transaction(self):
        with transaction.atomic():
            Ledger.objects.create(key="before")
            record("a")
            call_command("process_tasks", duration=60, sleep=0.01, verbosity=0, threads=2)
            assert connection.in_atomic_block
            Ledger.objects.create(key="after")
        assert keys() == {"before", "a", "after"}
        assert not Worker.objects.filter(stopped_at=None).exists()

    def test_command_rolls_back_with_the_callers_transaction(self):
        with transaction.atomic():
            record("a")
            call_command("process_tasks", duration=60, sleep=0.01, verbosity=0)
            assert keys() == {"a"}
            transaction.set_rollback(True)
        assert keys() == set()
        assert not CompletedTask.objects.exists()
        assert not Task.objects.exists()


class TestInTestCase(Behaviour, TestCase):
    def test_command_leaves_no_thread_behind(self):
        before = threading.active_count()
        record("a")
        call_command("process_tasks", duration=60, sleep=0.01, verbosity=0)
        assert threading.active_count() <= before

    def test_task_that_breaks_the_transaction_leaves_the_test_usable(self):
        for name in ("integrity", "swallowed", "open", "rollback"):
            with self.subTest(name):
                self.break_and_go_on(name)

    def break_and_go_on(self, name):
        Ledger.objects.create(key=f"before {name}")
        Task.objects.new_task(f"broken.{name}").save()
        record(f"next {name}")
        call_command("process_tasks", duration=60, sleep=0.01, verbosity=0)
        Ledger.objects.create(key=f"after {name}")
        assert {f"before {name}", f"next {name}", f"after {name}"} <= keys()
        assert "rolled back" not in keys()
        if name == "integrity":
            assert "IntegrityError" in Task.objects.get(task_name="broken.integrity").last_error

    def test_run_next_task_that_breaks_the_transaction_leaves_the_test_usable(self):
        Task.objects.new_task("broken.integrity").save()
        assert tasks.run_next_task() is True
        assert "IntegrityError" in Task.objects.get().last_error
        record("a")
        assert tasks.run_next_task() is True
        assert keys() == {"a"}


class TestInTransactionTestCase(Behaviour, TransactionTestCase):
    def test_command_with_threads_runs_what_the_test_scheduled(self):
        for number in range(5):
            record(str(number))
        call_command("process_tasks", duration=60, sleep=0.01, verbosity=0, threads=3)
        assert len(keys()) == 5
        assert not Task.objects.exists()
