"""Fixtures of the tests of misbehaviour."""

import io
import json
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from django.db import connection

from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.hostile import tasks as hostile
from tests.worker.conftest import registry  # noqa: F401 - a fixture
from tests.worker.running import work_off


@pytest.fixture(params=[None, 1], ids=["inline", "thread"])
def threads(request):
    """Tasks in the worker's own thread, and in one other: the next task meets what is left."""
    return request.param


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where tasks write what must not depend on the database."""
    monkeypatch.setenv("HOSTILE_FOLDER", str(tmp_path))
    return tmp_path


@contextmanager
def throwaway_streams():
    """Standard streams that a task may close; pytest's own are set anew at each phase of a test."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):  # what the worker put in place of closed ones
                stream.close()


@pytest.fixture
def next_task(folder):
    """A task after the hostile one; ``next_task.assert_ran_normally()`` in the end."""
    return NextTask(folder)


class NextTask:
    def __init__(self, folder):
        self.folder = folder
        self.directory = os.getcwd()

    def schedule(self):
        hostile.probe("next", priority=-1)

    def assert_ran_normally(self):
        assert json.loads((self.folder / "next").read_text()) == {
            "in_atomic_block": False,
            "autocommit": True,
            "needs_rollback": False,
            "directory": self.directory,
            "zone": "UTC",
            "language": "en-us",
        }
        assert Ledger.objects.filter(key="next").count() == 1
        done = CompletedTask.objects.get(task_name="tests.hostile.tasks.probe")
        assert (done.attempts, done.failed_at, done.last_error) == (1, None, "")
        assert not connection.in_atomic_block
        assert connection.get_autocommit()


@pytest.fixture
def run_between(next_task, threads):
    """``run_between(schedule)`` runs what it schedules, then an ordinary task; the worker."""
    return lambda schedule: run_then_next(schedule, next_task, threads)


@pytest.fixture
def run_between_inline(next_task):
    """The same where the worker's own thread is enough."""
    return lambda schedule: run_then_next(schedule, next_task, None)


def run_then_next(schedule, next_task, threads):
    schedule()
    next_task.schedule()
    with throwaway_streams():
        worker = work_off(threads=threads)
    next_task.assert_ran_normally()
    assert not Task.objects.filter(locked_by__isnull=False).exists()
    return worker
