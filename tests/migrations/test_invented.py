"""A migration that somebody's Django wrote into the installed package lies beside ours."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import background_task

INVENTED = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("background_task", "0002_auto_20170927_1109")]
    operations = [
        migrations.AlterField(
            model_name=name, name="id", field=models.BigAutoField(primary_key=True, serialize=False)
        )
        for name in ("completedtask", "task")
    ]
"""
SETTINGS = """
SECRET_KEY = "tests"
INSTALLED_APPS = ["django.contrib.contenttypes", "background_task"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "invented.sqlite3"}}
USE_TZ = True
"""


@pytest.fixture
def manage(tmp_path):
    """Call it to run a command of Django on a copy of the package, with such a file in it."""
    package = tmp_path / "background_task"
    shutil.copytree(
        Path(background_task.__file__).parent,
        package,
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    invented = package / "migrations" / "0003_alter_completedtask_id_alter_task_id.py"
    invented.write_text(INVENTED)
    (tmp_path / "site_settings.py").write_text(SETTINGS)
    env = {**os.environ, "PYTHONPATH": str(tmp_path), "DJANGO_SETTINGS_MODULE": "site_settings"}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize("first", ["0002", "0003_alter_completedtask_id_alter_task_id"])
def test_migrate_with_an_invented_migration_beside_ours(manage, first):
    assert manage("migrate", "background_task", first).returncode == 0
    migrated = manage("migrate")
    assert migrated.returncode == 0, migrated.stderr
    assert "0003_wider_keys... OK" in migrated.stdout
    checked = manage("makemigrations", "--check", "--dry-run")
    assert checked.returncode == 0, checked.stdout
