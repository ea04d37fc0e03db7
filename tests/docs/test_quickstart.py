"""A newcomer who follows the quickstart, command by command, in an empty folder."""

import re
import shlex
import sys

import django
import pytest

from tests.docs.pages import ROOT, blocks
from tests.process import running

PAGE = ROOT / "docs" / "quickstart.md"
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "site_settings.settings"}

pytestmark = [
    pytest.mark.only_on("sqlite"),  # the quickstart makes its own database
    pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal"),
]


def shell_commands():
    """The page's commands, but for the installation, as arguments after ``python``."""
    lines = [line for block in blocks(PAGE, "shell") for line in block.text.split("\n")]
    commands = [shlex.split(line) for line in lines]
    assert all(command[0] == "python" for command in commands)
    return [command[1:] for command in commands if "pip" not in command]


def python_block(title):
    (text,) = (block.text for block in blocks(PAGE, "python") if block.title == title)
    return text


def comparable(lines):
    """Replace what differs from run to run by what it is."""
    text = "\n".join(lines)
    text = re.sub(r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "<time>", text)
    text = re.sub(r"worker \S+:\d+:[0-9a-f]{16}", "worker <name>", text)
    text = re.sub(r"database '.*db\.sqlite3'", "database <file>", text)
    return re.sub(r"\b\d+\.\d+ s\b", "<seconds>", text).split("\n")


def test_follow_quickstart_gives_what_it_shows(tmp_path):
    def run(*arguments):
        with running(sys.executable, *arguments, cwd=tmp_path, env=ENVIRONMENT) as process:
            assert process.wait() == 0, process.output

    startproject, startapp, migrate, worker = shell_commands()
    with running(
        sys.executable, *startproject, cwd=tmp_path, env={"DJANGO_SETTINGS_MODULE": ""}
    ) as process:
        assert process.wait() == 0, process.output
    run(*startapp)
    apps = python_block("site_settings/settings.py").replace(
        "INSTALLED_APPS =", "INSTALLED_APPS +="
    )
    with open(tmp_path / "site_settings" / "settings.py", "a", encoding="utf-8") as settings:
        settings.write(f"\n{apps}\n")
        if django.VERSION >= (5, 1):
            settings.write('DATABASES["default"]["OPTIONS"] = {"transaction_mode": "IMMEDIATE"}\n')
    (tmp_path / "shop" / "tasks.py").write_text(python_block("shop/tasks.py"), encoding="utf-8")
    run(*migrate)
    (call,) = (block.text for block in blocks(PAGE, "python") if 'greet("Ada")' in block.text)
    run("manage.py", "shell", "-c", call)

    with running(sys.executable, *worker, cwd=tmp_path, env=ENVIRONMENT) as process:
        process.wait_for_line(r"Ran task and deleting shop\.tasks\.add")
        process.interrupt()
        assert process.wait() == 0
    (shown,) = (block.text.split("\n") for block in blocks(PAGE, "text"))
    assert comparable(process.lines) == comparable(shown)

    (record,) = (block.text for block in blocks(PAGE, "python") if "record =" in block.text)
    (value,) = re.findall(r"`record` is `(.*?)`", PAGE.read_text(encoding="utf-8"))
    run("manage.py", "shell", "-c", f"{record}\nassert record == {value}, record")
