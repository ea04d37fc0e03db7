"""supervisord starts, stops and restarts the worker, with the configuration the example ships."""

import os
import shutil
import signal
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.example import copy_example, example_environment, manage, query
from tests.process import RunningProcess
from tests.waiting import wait_until

pytest.importorskip("supervisor", reason="supervisor is not installed here")
pytest.importorskip("PIL", reason="Pillow, which the example needs, is not installed here")

pytestmark = pytest.mark.only_on("sqlite")  # the example brings its own SQLite database

SLOW_TASK = "from library.tasks import build_concordance; build_concordance(pause_seconds=2.0)"
QUICK_TASK = "from library.tasks import write_report; write_report()"


class Supervisor:
    """A supervisord that runs the copied example's worker."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.database = project / "var" / "db.sqlite3"
        self.config = project / "deploy" / "supervisord.conf"
        self.env = example_environment()

    def start(self) -> RunningProcess:
        command = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon"]
        return RunningProcess(
            [*command, "--configuration", str(self.config)], env=self.env, cwd=self.project
        )

    def control(self, *arguments: str) -> str:
        """Run supervisorctl, which waits until what it was told is done."""
        process = RunningProcess(
            [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self.config), *arguments],
            env=self.env,
            cwd=self.project,
        )
        try:
            process.wait(60)
            return process.output
        finally:
            process.clean_up()

    def worker_pid(self) -> int:
        return int(self.control("pid", "worker"))

    def wait_for_worker(self) -> int:
        """Wait until the worker is up and has told the database so; return its pid."""
        wait_until(
            lambda: "RUNNING" in self.control("status", "worker"),
            deadline=60,
            interval=0.2,
            message="supervisord reports the worker as running",
        )
        pid = self.worker_pid()
        alive = f"select 1 from background_task_worker where pid = {pid}"
        wait_until(
            lambda: query(self.database, alive), deadline=60, message="the worker's first heartbeat"
        )
        return pid

    def schedule(self, code: str) -> None:
        scheduled = manage(self.project, "shell", "-c", code)
        assert scheduled.returncode == 0, scheduled.stdout

    def finished(self, function: str) -> list[tuple]:
        return query(
            self.database,
            "select attempts, failed_at, run_at from background_task_completedtask "
            f"where task_name = 'library.tasks.{function}'",
        )

    def locked(self) -> list[tuple]:
        return query(
            self.database, "select task_name from background_task where locked_by is not null"
        )


@pytest.fixture
def supervisor():
    """A started supervisord with a worker; everything it started is gone at the end."""
    # pytest's own folders have names too long for a unix socket.
    folder = Path(tempfile.mkdtemp(prefix="bgtask"))
    supervisor = Supervisor(copy_example(folder))
    migrated = manage(supervisor.project, "migrate")
    assert migrated.returncode == 0, migrated.stdout
    manage(supervisor.project, "load_samples")
    process = supervisor.start()
    try:
        supervisor.wait_for_worker()
        yield supervisor
    finally:
        try:
            # A worker is in a process group of its own: only supervisord can take it along.
            process.terminate()
            code = process.wait(60)
        finally:
            process.clean_up()
            shutil.rmtree(folder)
    assert code == 0


def test_stop_while_a_task_runs_lets_it_finish_and_leaves_nothing_locked(supervisor):
    supervisor.schedule(SLOW_TASK)
    wait_until(supervisor.locked, deadline=60, message="the worker claims the slow task")

    stop_asked_at = datetime.now(timezone.utc).replace(tzinfo=None)
    assert supervisor.control("stop", "worker") == "worker: stopped"

    [(attempts, failed_at, finished_at)] = supervisor.finished("build_concordance")
    assert (attempts, failed_at) == (1, None)
    assert datetime.fromisoformat(finished_at) > stop_asked_at
    assert supervisor.locked() == []


def test_start_after_stop_runs_what_was_scheduled_in_between(supervisor):
    assert supervisor.control("stop", "worker") == "worker: stopped"
    supervisor.schedule(QUICK_TASK)
    assert supervisor.locked() == []

    assert supervisor.control("start", "worker") == "worker: started"

    wait_until(lambda: supervisor.finished("write_report"), deadline=60)
    assert query(supervisor.database, "select 1 from background_task") == []


def test_restart_replaces_the_worker_and_the_new_one_works(supervisor):
    before = supervisor.worker_pid()

    supervisor.control("restart", "worker")

    assert supervisor.wait_for_worker() != before
    supervisor.schedule(QUICK_TASK)
    wait_until(lambda: supervisor.finished("write_report"), deadline=60)


def test_killed_worker_is_started_again_and_the_new_one_works(supervisor):
    before = supervisor.worker_pid()

    os.kill(before, signal.SIGKILL)

    wait_until(
        lambda: supervisor.worker_pid() not in (0, before),
        deadline=60,
        interval=0.2,
        message="supervisord starts another worker",
    )
    supervisor.wait_for_worker()
    supervisor.schedule(QUICK_TASK)
    wait_until(lambda: supervisor.finished("write_report"), deadline=60)
