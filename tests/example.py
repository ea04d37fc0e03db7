"""The example project, run by tests as processes of its own, in folders of its own."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from tests.process import ROOT

EXAMPLE = ROOT / "example_project"


def example_environment(**variables: str) -> dict[str, str]:
    """The environment of a stranger: nothing of this test run but the checkout itself."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BACKGROUND_TASK_", "EXAMPLE_", "DJANGO_", "PYTEST_"))
    }
    return {
        **inherited,
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        **variables,
    }


def copy_example(folder: Path) -> Path:
    """Copy the project without what its use leaves behind; its `.venv` is this Python."""
    copy = folder / "example_project"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns(".venv", "var", "__pycache__"))
    python = copy / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return copy


def manage(project: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `manage.py` of the project and return what it printed."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=project,
        env=example_environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )


def query(database: Path, sql: str) -> list[tuple]:
    """Read from the project's database, as somebody who is not Django."""
    connection = sqlite3.connect(database, timeout=20)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()
