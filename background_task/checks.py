"""System checks: wrong settings, missing apps and tables, and a SQLite that will not share."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import Any

import django
from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import Error as DatabaseFailure, connections, router

from .declaration import declared, read_setting
from .embedded_worker import read_options
from .exceptions import InvalidOptionError, InvalidOptionTypeError
from .settings import PREFIX, SETTINGS, Setting
from .worker.served import own_backends

#: The value to paste; the two points are the rest of the database's own configuration.
IMMEDIATE = (
    '"OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, '
    '"init_command": "PRAGMA journal_mode=WAL;"}'
)


@register("background_task")
def check_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report values that cannot work, names that nobody reads, and contradictions."""
    messages: list[CheckMessage] = []
    for setting in SETTINGS.values():
        value = setting.read()
        rule = setting.rule(value)
        if rule is not None:
            messages.append(_broken(setting, value, rule))
        if (
            setting.old_name
            and hasattr(settings, setting.full_name)
            and hasattr(settings, setting.old_name)
            and getattr(settings, setting.full_name) != getattr(settings, setting.old_name)
        ):
            messages.append(
                Warning(
                    f"{setting.old_name} and {setting.full_name} differ; the latter is used.",
                    hint=f"Remove {setting.old_name}.",
                    id="background_task.W002",
                )
            )
    return messages + _unknown_settings()


def _broken(setting: Setting, value: Any, rule: str) -> CheckMessage:
    """Return an error; but a warning for what a project may have had since 1.x, and it worked."""
    text = f"{setting.used_name} is {value!r}; it must be {rule}."
    hint = f"Correct or remove it; the default is {setting.default_text}."
    meant = setting.meant(value)
    if meant is None:
        return Error(text, hint=hint, id="background_task.E001")
    return Warning(f"{text} It is taken as {meant}.", hint=hint, id="background_task.W005")


def _unknown_settings() -> list[CheckMessage]:
    known = [setting.full_name for setting in SETTINGS.values()]
    messages: list[CheckMessage] = []
    for name in dir(settings):
        if name.startswith(PREFIX) and name not in known:
            # Without the prefix, which would make everything look alike.
            close = difflib.get_close_matches(name.removeprefix(PREFIX), SETTINGS, n=1)
            hint = f"Known are: {', '.join(known)}."
            if close:
                hint = f"Did you mean {SETTINGS[close[0]].full_name}?"
            messages.append(
                Warning(f"Nothing reads the setting {name}.", hint=hint, id="background_task.W001")
            )
    return messages


@register("background_task")
def check_apps(app_configs: Sequence[AppConfig] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Report apps that this one cannot do without."""
    if apps.is_installed("django.contrib.contenttypes"):
        return []
    return [
        Error(
            "background_task needs django.contrib.contenttypes for the creator of a task.",
            hint="Add 'django.contrib.contenttypes' to INSTALLED_APPS.",
            id="background_task.E002",
        )
    ]


@register("background_task")
def check_task_backends(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a ``TASKS`` that cannot work, before a task that is decorated stumbles over it.

    The check of Django itself is there only where something has imported ``django.tasks``, and ends
    in a traceback.
    """
    try:
        own_backends()
    except ImproperlyConfigured as error:
        return [Error(f"{error}.", hint="Correct TASKS.", id="background_task.E006")]
    return []


@register("background_task")
def check_embedded_worker(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report options of the worker inside the site that cannot work."""
    setting = SETTINGS["EMBEDDED_WORKER"]
    if setting.rule(setting.read()):
        return []
    try:
        read_options()
    except (InvalidOptionError, InvalidOptionTypeError, ImproperlyConfigured) as error:
        hint = f"Correct {setting.full_name}."
        return [Error(f"{setting.full_name}: {error}.", hint=hint, id="background_task.E008")]
    return []


@register("background_task", deploy=True)
def check_eager(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a setting of tests and development; only runs with ``check --deploy``."""
    if not SETTINGS["EAGER"].read():
        return []
    name = SETTINGS["EAGER"].full_name
    return [
        Warning(
            f"{name} is on: each call is run at once, where it is made, and no worker gets it.",
            hint=f"Remove {name} from the settings of this site; it is for tests.",
            id="background_task.W007",
        )
    ]


@register("background_task")
def check_sqlite(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a SQLite on which simultaneous transactions fail instead of waiting."""
    from .models import Task

    alias = router.db_for_write(Task)
    connection = connections[alias]
    if connection.vendor != "sqlite" or django.VERSION < (5, 1):
        return []
    mode = (connection.settings_dict.get("OPTIONS") or {}).get("transaction_mode")
    if isinstance(mode, str) and mode.upper() in ("IMMEDIATE", "EXCLUSIVE"):
        return []
    return [
        Warning(
            "The SQLite database of the tasks begins transactions without the write lock, so "
            "simultaneous writers fail with 'database is locked' instead of waiting.",
            hint=f"In DATABASES[{alias!r}] set: {IMMEDIATE}",
            id="background_task.W003",
        )
    ]


@register("background_task", Tags.database)
def check_tables(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Report missing migrations; only runs where databases are checked (``check --database``).

    A warning, because ``migrate`` runs these checks too: an error would keep it from applying the
    very migrations that are missing.
    """
    from .models import Task

    alias = router.db_for_write(Task)
    if alias not in (databases or ()):
        return []
    from django.db.migrations.executor import MigrationExecutor

    try:
        executor = MigrationExecutor(connections[alias])
        leaves = executor.loader.graph.leaf_nodes("background_task")
        missing = [str(migration) for migration, _ in executor.migration_plan(leaves)]
    except DatabaseFailure as error:
        return [
            Error(
                f"The database {alias!r} of the tasks cannot be read: {error}",
                hint="Start it, or correct DATABASES.",
                id="background_task.E003",
            )
        ]
    ours = [name for name in missing if name.startswith("background_task.")]
    if not ours or sys.argv[1:2] == ["migrate"]:
        return []
    return [
        Warning(
            f"The tables of background_task are missing or old: {', '.join(ours)}.",
            hint="Run: python manage.py migrate",
            id="background_task.W004",
        )
    ]


@register("background_task")
def check_periodic(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Report schedules in the settings that cannot work, or call what is not there."""
    setting = SETTINGS["PERIODIC"]
    value = setting.read()
    if not value or setting.rule(value):
        return []
    from .tasks import autodiscover, tasks

    try:
        entries = read_setting(value)
        autodiscover()
        declared(tasks._tasks, value)
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        return [Error(f"{error}.", hint=f"Correct {setting.full_name}.", id="background_task.E004")]
    unknown = {
        name: task for name, (task, _) in entries.items() if task and task not in tasks._tasks
    }
    return [
        Warning(
            f"The schedule {name!r} calls {task!r}, which no tasks.py of an installed app has.",
            hint=f"Correct the name in {setting.full_name}, or decorate it with @background.",
            id="background_task.W006",
        )
        for name, task in unknown.items()
    ]
