"""Each system check: its id, when it speaks, and that it names the remedy."""

import sys

import django
import pytest
from django.apps import apps
from django.core import checks
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from background_task.checks import check_apps, check_settings, check_sqlite, check_tables


def ids(messages):
    return [message.id.removeprefix("background_task.") for message in messages]


@pytest.mark.django_db
def test_settings_of_these_tests_are_in_order():
    assert checks.run_checks(tags=["background_task"], databases=["default"]) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BACKGROUND_TASK_MAX_ATTEMPTS", "ten"),
        ("MAX_ATTEMPTS", None),
        ("BACKGROUND_TASK_MAX_RUN_TIME", -1),
        ("MAX_RUN_TIME", float("nan")),
        ("BACKGROUND_TASK_ASYNC_THREADS", 0),
        ("BACKGROUND_TASK_ASYNC_THREADS", 2.5),
        ("BACKGROUND_TASK_LEASE_SECONDS", 0.5),
        ("BACKGROUND_TASK_LEASE_SECONDS", float("inf")),
        ("BACKGROUND_TASK_SHUTDOWN_SECONDS", 0),
    ],
)
def test_e001_value_that_cannot_work(settings, name, value):
    setattr(settings, name, value)
    (message,) = check_settings()
    assert ids([message]) == ["E001"]
    assert message.is_serious()
    assert repr(value) in message.msg
    assert "the default is" in message.hint


def test_w001_setting_that_nobody_reads(settings):
    settings.BACKGROUND_TASK_MAX_ATEMPTS = 3
    (message,) = check_settings()
    assert ids([message]) == ["W001"]
    assert message.hint == "Did you mean BACKGROUND_TASK_MAX_ATTEMPTS?"
    del settings.BACKGROUND_TASK_MAX_ATEMPTS
    settings.BACKGROUND_TASK_XYZ = 3
    (message,) = check_settings()
    assert "BACKGROUND_TASK_LEASE_SECONDS" in message.hint


def test_w002_old_and_new_name_that_differ(settings):
    settings.MAX_ATTEMPTS = 3
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 3
    assert check_settings() == []
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 4
    (message,) = check_settings()
    assert ids([message]) == ["W002"]
    assert message.hint == "Remove MAX_ATTEMPTS."


def test_e002_missing_contenttypes(monkeypatch):
    assert check_apps() == []
    installed = apps.is_installed
    monkeypatch.setattr(
        apps, "is_installed", lambda name: name != "django.contrib.contenttypes" and installed(name)
    )
    (message,) = check_apps()
    assert ids([message]) == ["E002"]
    assert "INSTALLED_APPS" in message.hint


@pytest.mark.only_on("sqlite")
@pytest.mark.skipif(django.VERSION < (5, 1), reason="Django has transaction_mode since 5.1")
@pytest.mark.parametrize("mode", [None, "DEFERRED", "deferred", 7])
def test_w003_sqlite_that_begins_without_the_write_lock(monkeypatch, mode):
    options = {"timeout": 30}
    if mode is not None:
        options["transaction_mode"] = mode
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", options)
    (message,) = check_sqlite()
    assert ids([message]) == ["W003"]
    assert '"transaction_mode": "IMMEDIATE"' in message.hint
    assert "DATABASES['default']" in message.hint


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_w003_is_silent_when_the_write_lock_comes_first(monkeypatch, mode):
    options = {"transaction_mode": mode}
    monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", options)
    assert check_sqlite() == []


@pytest.mark.only_on("postgresql", "mariadb")
def test_w003_is_about_sqlite_only():
    assert check_sqlite() == []


@pytest.fixture
def missing(monkeypatch):
    """A migration of ours, and one of somebody else's, that are not applied."""
    loader = MigrationExecutor(connection).loader
    ours = loader.get_migration("background_task", "0001_initial")
    other = loader.get_migration("contenttypes", "0001_initial")
    monkeypatch.setattr(
        MigrationExecutor, "migration_plan", lambda *args: [(other, False), (ours, False)]
    )


@pytest.mark.django_db
def test_w004_tables_that_are_missing(missing):
    (message,) = check_tables(databases=["default"])
    assert ids([message]) == ["W004"]
    assert "background_task.0001_initial" in message.msg
    assert "contenttypes" not in message.msg
    assert message.hint == "Run: python manage.py migrate"


@pytest.mark.django_db
def test_w004_is_silent_during_migrate_and_where_no_database_is_asked(missing, monkeypatch):
    assert check_tables() == []
    assert check_tables(databases=["other"]) == []
    monkeypatch.setattr(sys, "argv", ["manage.py", "migrate"])
    assert check_tables(databases=["default"]) == []


@pytest.mark.django_db
def test_e003_database_that_cannot_be_read(monkeypatch):
    from django.db import OperationalError

    def fail(*args):
        raise OperationalError("connection refused")

    monkeypatch.setattr(MigrationExecutor, "__init__", fail)
    (message,) = check_tables(databases=["default"])
    assert ids([message]) == ["E003"]
    assert "connection refused" in message.msg
