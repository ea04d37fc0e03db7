"""A test case with a worker beside it."""

import threading
import unittest

import pytest
from django.test import TestCase

from background_task.exceptions import BackgroundTaskError
from background_task.models import Task, Worker
from background_task.tasks import tasks
from background_task.testing import RunnerTestCase
from background_task.testing.case import runner_beside

PATIENCE = 60


class WorkerBesideTests(RunnerTestCase):
    runner_options = {"queues": ["mail"], "workers": 1}

    def setUp(self):
        self.before = dict(tasks._tasks)
        self.addCleanup(self.forget)
        self.ran = []
        self.proceed = threading.Event()
        super().setUp()
        self.addCleanup(self.proceed.set)  # before the runner is stopped, which waits for the task

    def forget(self):
        tasks._tasks.clear()
        tasks._tasks.update(self.before)

    def test_wait_for_returns_when_the_task_has_ended(self):
        add = tasks.background(name="kit.add", queue="mail")(lambda a, b: a + b)
        task = add(1, 2)
        assert self.runner.wait_for(task, timeout=PATIENCE)
        assert task.result == 3

    def test_wait_returns_when_nothing_is_left_to_do(self):
        @tasks.background(name="kit.begin", queue="mail")
        def begin(left):
            self.ran.append(threading.current_thread() is threading.main_thread())
            if left:
                begin(left - 1)

        begin(2)
        begin(0, schedule=3600)
        assert self.runner.wait(timeout=PATIENCE)
        assert self.ran == [False] * 3
        assert Task.objects.count() == 1
        assert self.runner.wait()

    def test_wait_in_vain_says_so(self):
        @tasks.background(name="kit.hold", queue="mail")
        def hold():
            self.proceed.wait(PATIENCE)

        task = hold()
        assert not self.runner.wait(timeout=0)
        assert not self.runner.wait_for(task, timeout=0)
        self.proceed.set()
        assert self.runner.wait(timeout=PATIENCE)

    def test_worker_has_the_options_of_the_class(self):
        noted = tasks.background(name="kit.noted")(lambda: None)
        task, other = noted(queue="mail"), noted(queue="other")
        assert self.runner.wait_for(task, timeout=PATIENCE)
        assert self.runner.wait(timeout=PATIENCE)
        assert other.status == "waiting"
        assert self.runner.processed == 1


@pytest.mark.django_db(transaction=True)
def test_worker_that_breaks_fails_the_test(monkeypatch):
    loops = []

    def fail(loop):
        loops.append(loop)
        raise LookupError("the worker is broken")

    monkeypatch.setattr("background_task.embedded.Loop.run", fail)

    class Case(RunnerTestCase):
        def test_wait(self):
            Task.objects.new_task("nobody.knows").save()
            self.runner.wait()

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert loops
    assert "the worker is broken" in result.errors[0][1]


class WorkerInTransactionTests(TestCase):
    def test_worker_is_refused(self):
        with pytest.raises(BackgroundTaskError, match="in a TransactionTestCase"), runner_beside():
            pass
        assert not Worker.objects.exists()
