"""Fixtures shared by the tests of the old contract."""

import importlib
import logging
import signal
import sys

import pytest

from background_task.tasks import tasks
from tests.compat.running import Recording, Runs, SignalLog
from tests.worker.running import let_end_without_work


@pytest.fixture(autouse=True)
def registry():
    """The registered tasks; whatever a test registers is forgotten after it."""
    before = dict(tasks._tasks)
    yield tasks._tasks
    tasks._tasks.clear()
    tasks._tasks.update(before)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def mode(request, settings):
    """Runs the test twice: tasks in the calling thread, and in the thread pool."""
    settings.BACKGROUND_TASK_RUN_ASYNC = request.param
    settings.BACKGROUND_TASK_ASYNC_THREADS = 2
    return request.param


@pytest.fixture
def end_without_work(monkeypatch):
    """The command ends when it has nothing left to do."""
    let_end_without_work(monkeypatch)


@pytest.fixture
def runs():
    with Runs() as counting:
        yield counting


@pytest.fixture
def signal_log():
    with SignalLog() as log:
        yield log


@pytest.fixture
def recording():
    """A function registered as the task ``recorded``; ``recording.proxy`` schedules it."""
    function = Recording()
    function.proxy = tasks.background(name="recorded")(function)
    return function


@pytest.fixture
def failing():
    """A task that raises ``ValueError``."""

    @tasks.background(name="failing")
    def fail(*args, **kwargs):
        raise ValueError("this task always fails")

    return fail


class RecordKeeper(logging.Handler):
    """Keeps the records that reach one logger, whatever the project configured."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def levels(self):
        return {record.levelname for record in self.records}

    def messages(self, level=None):
        return [r.getMessage() for r in self.records if level in (None, r.levelname)]


@pytest.fixture
def records_of():
    """``records_of(name)`` collects what is logged directly or below that logger."""
    attached = []

    def attach(name):
        logger = logging.getLogger(name)
        keeper = RecordKeeper()
        attached.append((logger, keeper, logger.level, logger.disabled))
        logger.addHandler(keeper)
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
        return keeper

    yield attach
    for logger, keeper, level, disabled in reversed(attached):
        logger.removeHandler(keeper)
        logger.setLevel(level)
        logger.disabled = disabled


@pytest.fixture
def os_signals():
    """Puts the handlers of the process back after a test that installed others."""
    names = ("SIGTERM", "SIGINT", "SIGTSTP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def make_app(tmp_path, monkeypatch, settings):
    """``make_app(name, tasks=source)`` installs a package of that name as a Django app."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def make(name, tasks=None, installed_as=None):
        package = tmp_path / name
        package.mkdir()
        package.joinpath("__init__.py").write_text("")
        package.joinpath("apps.py").write_text(
            f"from django.apps import AppConfig\n\nclass Config(AppConfig):\n    name = {name!r}\n"
        )
        if tasks is not None:
            package.joinpath("tasks.py").write_text(tasks)
        made.append(name)
        importlib.invalidate_caches()
        settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, installed_as or name]

    yield make
    for name in made:
        for module in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
            del sys.modules[module]
