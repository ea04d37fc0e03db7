"""Section 16, defects 21 to 23: each test fails on django-background-tasks 1.2.8."""

import asyncio
import contextlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import timezone

import background_task
from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from tests.compat.running import Recording, SignalLog
from tests.process import process_environment

PACKAGE = Path(background_task.__file__).parent


# -- 21: leftovers of Python 2 ------------------------------------------------------------------

IMPORT_WITHOUT = """
import sys
for name in ("six", "mock", "compat", "imp"):
    sys.modules[name] = None
import django
django.setup()
import background_task.admin, background_task.tasks, background_task.utils
import background_task.management.commands.process_tasks
"""


def test_defect_21_library_needs_neither_six_nor_mock():
    subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_WITHOUT],
        env=process_environment(env={"BACKGROUND_TASK_TEST_DATABASE": "sqlite"}),
        check=True,
        timeout=60,
    )


def test_defect_21_sources_have_unix_line_ends():
    sources = [path for path in PACKAGE.rglob("*") if path.suffix in {".py", ".html", ".css"}]
    assert len(sources) > 10
    assert [path.name for path in sources if b"\r" in path.read_bytes()] == []


def test_defect_21_package_ships_no_tests():
    assert importlib.util.find_spec("background_task.tests") is None
    assert not [path for path in PACKAGE.rglob("test_*.py") if path.name != "testing.py"]


# -- 22: task_finished after BaseException ------------------------------------------------------


class EverythingStopsError(BaseException):
    """What is no ``Exception`` still ends a run."""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, EverythingStopsError])
def test_defect_22_run_that_ends_in_base_exception_is_finished_and_unlocked(mode, runs, error):
    @tasks.background(name="ends")
    def ends():
        raise error("at once")

    ends()
    with SignalLog() as log:
        assert runs.next() is True
    assert log.names == ["task_started", "task_error", "task_rescheduled", "task_finished"]
    assert log.of("task_error")[0] is error
    stored = Task.objects.get()
    assert (stored.attempts, stored.locked_by, stored.locked_at) == (1, None, None)
    assert error.__name__ in stored.last_error


@pytest.mark.django_db(transaction=True)
def test_defect_22_run_that_ends_in_keyboard_interrupt_leaves_no_lock():
    """Ctrl-C outside a worker still reaches the caller; the row is free for the next run."""

    @tasks.background(name="interrupted")
    def interrupted():
        raise KeyboardInterrupt

    interrupted()
    with contextlib.suppress(KeyboardInterrupt):
        tasks.run_next_task()
    assert Task.objects.get().locked_by is None


@pytest.mark.django_db(transaction=True)
def test_defect_22_worker_goes_on_after_a_task_that_exits(mode, runs):
    recording = Recording()
    tasks.background(name="exits")(sys.exit)(priority=9)
    tasks.background(name="after")(recording)()
    assert runs.all() == 2
    assert recording.calls == [((), {})]


# -- 23: coroutine functions --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_defect_23_coroutine_function_is_awaited(mode, runs):
    seen = []

    @tasks.background(name="coroutine")
    async def coroutine(number, key=None):
        await asyncio.sleep(0)
        seen.append((number, key, asyncio.get_running_loop() is not None))

    coroutine(1, key="k")
    assert runs.next()
    assert seen == [(1, "k", True)]
    assert CompletedTask.objects.get().attempts == 1


@pytest.mark.django_db(transaction=True)
def test_defect_23_coroutine_that_raises_is_retried(mode, runs):
    @tasks.background(name="coroutine")
    async def coroutine():
        await asyncio.sleep(0)
        raise ValueError("it broke while awaited")

    coroutine()
    assert runs.next()
    stored = Task.objects.get()
    assert stored.attempts == 1
    assert "it broke while awaited" in stored.last_error


@pytest.mark.django_db(transaction=True)
def test_defect_23_coroutine_uses_the_async_orm(mode, runs):
    @tasks.background(name="coroutine")
    async def coroutine():
        await Task.objects.acreate(
            task_name="made by a coroutine",
            task_params="[[], {}]",
            task_hash="h",
            run_at=timezone.now(),
        )

    coroutine()
    assert runs.next()
    assert Task.objects.get().task_name == "made by a coroutine"


@pytest.mark.django_db(transaction=True)
def test_defect_23_callable_that_returns_an_awaitable_is_awaited(mode, runs):
    seen = []

    async def work(number):
        seen.append(number)

    tasks.background(name="lambda")(lambda number: work(number))(7)
    assert runs.next()
    assert seen == [7]


@pytest.mark.django_db(transaction=True)
def test_defect_23_coroutine_run_by_name_is_awaited(mode, runs):
    seen = []

    @tasks.background(name="coroutine")
    async def coroutine():
        seen.append(True)

    runs.this("coroutine", [], {})
    assert seen == [True]
