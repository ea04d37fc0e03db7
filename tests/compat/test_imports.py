"""Section 1: every module and name that code outside imports."""

import importlib
import logging
import subprocess
import sys

import pytest
from django.apps import apps

NAMES = {
    "background_task": ["background", "__version__", "default_app_config"],
    "background_task.apps": ["BackgroundTasksAppConfig"],
    "background_task.tasks": [
        "tasks", "autodiscover", "bg_runner", "PoolRunner", "Tasks", "TaskSchedule",
        "DBTaskRunner", "TaskProxy", "logger", "Task", "app_settings", "signals",
        "BackgroundTaskError", "OperationalError", "timezone", "ThreadPool",
    ],
    "background_task.models": [
        "Task", "CompletedTask", "TaskManager", "TaskQuerySet", "CompletedTaskQuerySet",
        "logger", "InvalidTaskError", "app_settings", "task_failed", "task_rescheduled",
    ],
    "background_task.signals": [
        "task_created", "task_error", "task_rescheduled", "task_failed", "task_successful",
        "task_started", "task_finished", "reset_queries", "close_old_connections",
    ],
    "background_task.exceptions": ["BackgroundTaskError", "InvalidTaskError"],
    "background_task.settings": ["app_settings", "AppSettings", "cpu_count"],
    "background_task.utils": ["SignalManager", "TTW_SLOW", "TTW_FAST"],
    "background_task.admin": ["TaskAdmin", "CompletedTaskAdmin", "inc_priority", "dec_priority"],
    "background_task.management.commands.process_tasks": [
        "Command", "_configure_log_std", "logger",
    ],
    "background_task.migrations.0001_initial": ["Migration"],
    "background_task.migrations.0002_auto_20170927_1109": ["Migration"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in NAMES.items() for name in names]
)
def test_import_old_name_from_old_module_works(module, name):
    assert hasattr(importlib.import_module(module), name)


def test_import_models_completed_of_very_old_releases_gives_the_same_classes():
    from background_task import models

    old = importlib.import_module("background_task.models_completed")
    assert old.CompletedTask is models.CompletedTask
    assert old.CompletedTaskQuerySet is models.CompletedTaskQuerySet


def test_import_same_thing_by_two_paths_gives_one_object():
    from background_task import exceptions, models, settings, signals, tasks

    assert tasks.Task is models.Task
    assert tasks.app_settings is settings.app_settings is models.app_settings
    assert tasks.signals is signals
    assert tasks.BackgroundTaskError is exceptions.BackgroundTaskError
    assert models.InvalidTaskError is exceptions.InvalidTaskError
    assert models.task_failed is signals.task_failed
    assert models.task_rescheduled is signals.task_rescheduled
    assert isinstance(tasks.tasks, tasks.Tasks)
    assert isinstance(settings.app_settings, settings.AppSettings)


def test_import_operational_error_from_tasks_is_the_one_of_django():
    from django.db.utils import OperationalError

    from background_task import tasks

    assert tasks.OperationalError is OperationalError


def test_import_background_before_apps_are_loaded_is_legal():
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "from background_task import background, __version__\n"
        "import django.apps\n"
        "assert callable(background) and not django.apps.apps.ready\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_read_version_and_default_app_config_gives_strings():
    import background_task

    assert isinstance(background_task.__version__, str)
    assert background_task.__version__[0].isdigit()
    assert background_task.default_app_config == "background_task.apps.BackgroundTasksAppConfig"


def test_read_app_config_gives_old_name_label_and_versioned_title():
    from background_task import __version__
    from background_task.apps import BackgroundTasksAppConfig

    config = apps.get_app_config("background_task")
    assert isinstance(config, BackgroundTasksAppConfig)
    assert config.name == "background_task"
    assert str(config.verbose_name) == f"Background Tasks ({__version__})"


def test_create_background_task_error_keeps_message_and_errors():
    from background_task.exceptions import BackgroundTaskError, InvalidTaskError

    error = BackgroundTaskError("it broke", errors={"field": ["bad"]})
    assert str(error) == "it broke"
    assert error.errors == {"field": ["bad"]}
    assert BackgroundTaskError("it broke").errors is None
    assert isinstance(error, Exception)
    assert issubclass(InvalidTaskError, BackgroundTaskError)


@pytest.mark.parametrize(
    "module",
    [
        "background_task.tasks",
        "background_task.models",
        "background_task.management.commands.process_tasks",
    ],
)
def test_read_logger_of_module_has_the_name_of_the_module(module):
    logger = importlib.import_module(module).logger
    assert logger is logging.getLogger(module)


def test_read_pauses_of_utils_gives_old_values():
    from background_task.utils import TTW_FAST, TTW_SLOW

    assert list(TTW_SLOW) == [0.5, 1.5]
    assert list(TTW_FAST) == [0.0, 0.1]
