"""The plugin for pytest, in a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: It would not be read a second time for another database.
pytestmark = pytest.mark.only_on("sqlite")

USING = """
import pytest
from django.db import connection
from background_task.models import Task
from tests.app.models import Ledger
from tests.app.tasks import record

def test_drain(background_task_drain):
    record("once")
    assert [run.status for run in background_task_drain()] == ["succeeded"]
    assert connection.in_atomic_block

def test_eager(background_task_eager):
    record("once")
    assert Ledger.objects.get().key == "once"

def test_eager_is_over(db):
    record("once")
    assert not Ledger.objects.exists()

def test_runner(background_task_runner):
    assert background_task_runner.wait_for(record("once"), timeout=60)
    assert Ledger.objects.get().key == "once"

def test_faults(background_task_faults):
    keys = iter("abcdef")
    for fault in background_task_faults.killed_at_each_commit(record, lambda: next(keys)):
        assert fault.status == "succeeded"
    assert not Task.objects.exists()
"""

DOING_NOTHING = """
import sys

def test_nothing_is_imported(pytestconfig):
    assert pytestconfig.pluginmanager.has_plugin("pytest_background_task")
    assert not {"django", "background_task"} & set(sys.modules)
"""


def run(folder, code, *plugins):
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (folder / "test_it.py").write_text(code)
    environment = {
        **os.environ,
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # installed or not, it is there once
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PYTHONPATH": str(ROOT),
    }
    names = [part for plugin in plugins for part in ("-p", plugin)]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names, "test_it.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_plugin_gives_the_fixtures(tmp_path):
    result = run(tmp_path, USING, "pytest_django.plugin", "pytest_background_task")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "5 passed" in result.stdout


def test_plugin_imports_nothing_until_it_is_asked(tmp_path):
    result = run(tmp_path, DOING_NOTHING, "pytest_background_task")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 passed" in result.stdout
