"""The example project works as its README says, in the Python that runs the tests."""

import configparser
import re
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode

import pytest

from background_task.settings import SETTINGS
from tests.example import EXAMPLE, copy_example, example_environment, manage, query
from tests.process import RunningProcess
from tests.waiting import wait_until

pytest.importorskip("PIL", reason="Pillow, which the example needs, is not installed here")

pytestmark = pytest.mark.only_on("sqlite")  # the example brings its own SQLite database


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_example(tmp_path)


def test_its_own_tests_pass(project):
    result = manage(project, "test")

    assert result.returncode == 0, result.stdout
    assert re.search(r"^Ran \d\d tests", result.stdout, re.MULTILINE), result.stdout


def test_its_migrations_are_complete(project):
    result = manage(project, "makemigrations", "--check", "--dry-run")

    assert result.returncode == 0, result.stdout


def test_its_settings_pass_the_system_checks(project):
    assert manage(project, "migrate").returncode == 0

    result = manage(project, "check", "--fail-level", "WARNING", "--database", "default")

    assert result.returncode == 0, result.stdout


def test_load_samples_twice_changes_nothing(project):
    manage(project, "migrate")

    first, second = manage(project, "load_samples"), manage(project, "load_samples")

    assert first.returncode == 0, first.stdout
    assert first.stdout == second.stdout == "The library holds 4 documents and 3 pictures.\n"


def test_app_for_django_tasks_runs_with_one_entry_in_the_settings(project):
    assert manage(project, "migrate").returncode == 0
    ids = manage(project, "postcards").stdout.split()

    worker = manage(project, "process_tasks", "--batch")

    assert worker.returncode == 0, worker.stdout
    assert manage(project, "postcards", *ids).stdout.splitlines() == [
        "write SUCCESSFUL after 1 attempts: Dear Ada, greetings from London!",
        "weigh SUCCESSFUL after 1 attempts: 4.08",
        "post SUCCESSFUL after 1 attempts: {'to': 'Grace', 'letters': 10, 'attempt': 1}",
        "post FAILED after 1 attempts: LookupError",
        "write READY after 0 attempts",
    ]


def start_demo(project: Path, *arguments: str) -> RunningProcess:
    return RunningProcess(
        [sys.executable, str(project / "demo.py"), "--no-venv", *arguments],
        env=example_environment(),
        cwd=project.parent,
    )


def end_demo(demo: RunningProcess) -> None:
    """Let it stop what it has started: that has sessions of its own, which no kill reaches."""
    try:
        if demo.returncode is None:
            demo.terminate()
            demo.wait(90)
    finally:
        demo.clean_up()


def test_demo_shows_everything(project):
    demo = start_demo(project)
    try:
        assert demo.wait(110) == 0, demo.output
    finally:
        end_demo(demo)
    for event in ("row", "running", "done", "failed", "repeats", "killed", "lost"):
        assert re.search(rf"\d s  {event} ", demo.output), f"{event} not in:\n{demo.output}"
    assert "MISSING" not in demo.output
    assert_nothing_runs(project / "var" / "db.sqlite3")


def assert_nothing_runs(database: Path) -> None:
    assert query(database, "select 1 from background_task where locked_by is not null") == []
    assert query(database, "select 1 from background_task_worker where stopped_at is null") == []


def test_demo_serves_the_site_with_workers_until_interrupted(project):
    demo = start_demo(project, "--serve", "--port", "0", "--no-browser")
    database = project / "var" / "db.sqlite3"
    try:
        address = demo.wait_for_line(r"http://127\.0\.0\.1:\d+/")[0]
        demo.wait_for_line("Ctrl-C stops")
        visitor = Visitor(address)
        assert "lighthouse" in visitor.get()
        assert "Log out" in visitor.get("admin/"), "whoever opens the demo is its administrator"

        assert "1 added to the queue" in visitor.press("trouble/crash/")
        wait_until(partial(query, database, ENDED_AFTER_CRASH), deadline=60)
        demo.interrupt()

        assert demo.wait(60) == 0, demo.output
    finally:
        end_demo(demo)
    assert_nothing_runs(database)


ENDED_AFTER_CRASH = """
select 1 from background_task_completedtask
where task_name = 'trouble.tasks.crash' and attempts = 2 and failed_at is null
"""


def test_demo_started_twice_in_one_folder_refuses_to_remove_the_other_ones_files(project):
    first = start_demo(project)
    try:
        first.wait_for_line("fresh SQLite database")
        second = start_demo(project)
        try:
            assert second.wait(30) == 1
        finally:
            end_demo(second)
        assert "Another demo runs in" in second.output
        first.terminate()
        assert first.wait(60) == 128 + 15
    finally:
        end_demo(first)


def test_demo_on_a_taken_port_says_so_and_starts_nothing(project):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        demo = start_demo(project, "--serve", "--port", str(port))
        try:
            assert demo.wait(30) == 1
        finally:
            end_demo(demo)
    assert f"Port {port} on 127.0.0.1 cannot be used" in demo.output
    assert not (project / "var").exists()


class Visitor:
    """Somebody with cookies, who presses buttons."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.cookies = CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor(self.cookies)
        )

    def get(self, path: str = "") -> str:
        with self.opener.open(f"{self.address}{path}", timeout=20) as response:
            return response.read().decode()

    def press(self, path: str) -> str:
        self.get("trouble/")
        [token] = [cookie.value for cookie in self.cookies if cookie.name == "csrftoken"]
        form = urlencode({"csrfmiddlewaretoken": token}).encode()
        with self.opener.open(f"{self.address}{path}", data=form, timeout=20) as response:
            return response.read().decode()


def test_supervisors_wait_longer_than_a_worker_takes_to_stop():
    longest = SETTINGS["SHUTDOWN_SECONDS"].default
    supervisord = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    supervisord.read(EXAMPLE / "deploy" / "supervisord.conf")
    systemd = configparser.RawConfigParser(strict=False)
    systemd.optionxform = str
    systemd.read(EXAMPLE / "deploy" / "example-worker.service")

    assert supervisord.getint("program:worker", "stopwaitsecs") > longest
    assert supervisord["program:worker"]["stopsignal"] == "TERM"
    assert systemd.getint("Service", "TimeoutStopSec") > longest
    assert systemd["Service"]["KillSignal"] == "SIGTERM"
    assert systemd["Service"]["Restart"] == "always"


def test_crontab_line_runs_a_worker_that_ends_by_itself(project):
    manage(project, "migrate")
    [line] = [
        line
        for line in (project / "deploy" / "crontab").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    command = line.removeprefix("* * * * * ")
    assert command != line
    command = command.replace("/srv/example_project", str(project))
    command = command.replace("--duration 55", "--duration 1")

    result = subprocess.run(
        ["/bin/sh", "-c", command], env=example_environment(), timeout=60, check=False
    )

    log = (project / "var" / "worker.log").read_text()
    assert result.returncode == 0, log
    assert query(
        project / "var" / "db.sqlite3",
        "select count(*) from background_task_worker where stopped_at is not null",
    ) == [(1,)]
