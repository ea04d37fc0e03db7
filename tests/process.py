"""Real worker processes on the test database.

The test needs committed rows, so it must be transactional:

    @pytest.mark.django_db(transaction=True)
    def test_worker_runs_a_task():
        record("once")
        with worker_process("--sleep", "0.1") as worker:
            worker.wait_for_line(r"Ran ")
            worker.terminate()
            assert worker.wait() == 0
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

ROOT = Path(__file__).resolve().parent.parent


class RunningProcess:
    """A started process, its output so far, and the signals a test sends it."""

    def __init__(self, command: list[str], *, env: Mapping[str, str], cwd: Path) -> None:
        self.command = command
        # A session of its own: a signal for the process, or Ctrl-C for the test run, stays where
        # it belongs, and at the end everything the process started can be killed with it.
        self._popen = subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._is_output_closed = False
        self._reader = threading.Thread(target=self._read, name="process-output", daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._popen.stdout is not None
        with self._popen.stdout as stream:
            for line in stream:
                with self._changed:
                    self._lines.append(line.rstrip("\r\n"))
                    self._changed.notify_all()
        with self._changed:
            self._is_output_closed = True
            self._changed.notify_all()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def lines(self) -> list[str]:
        """The lines printed so far, standard output and error in the order they came."""
        with self._changed:
            return list(self._lines)

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    @property
    def returncode(self) -> int | None:
        """None while it runs; the negative signal number when a signal ended it."""
        return self._popen.poll()

    def wait_for_line(
        self, pattern: str, *, deadline: float = 30.0, count: int = 1
    ) -> re.Match[str]:
        """Wait for the `count`-th line (of all lines so far and to come) that has the pattern."""
        end = time.monotonic() + deadline
        with self._changed:
            while True:
                found = [match for line in self._lines if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found[count - 1]
                remaining = end - time.monotonic()
                if self._is_output_closed or remaining <= 0:
                    break
                self._changed.wait(remaining)
        why = "output ended" if self._is_output_closed else f"waited {deadline:g} s"
        raise AssertionError(f"{why}; line {count} with {pattern!r} did not come\n{self._state()}")

    def send_signal(self, signal_number: int) -> None:
        self._popen.send_signal(signal_number)

    def kill(self) -> None:
        """SIGKILL: the process gets no chance to say goodbye."""
        self._popen.kill()

    def terminate(self) -> None:
        self._popen.terminate()

    def interrupt(self) -> None:
        self.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """SIGSTOP: the process stands still, as on a frozen host."""
        self.send_signal(signal.SIGSTOP)

    def cont(self) -> None:
        self.send_signal(signal.SIGCONT)

    def wait(self, deadline: float = 30.0) -> int:
        """Wait for the end and return the exit code."""
        try:
            code = self._popen.wait(timeout=deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline:g} s\n{self._state()}") from None
        self._reader.join(timeout=5)
        return code

    def _state(self) -> str:
        output = "\n".join(f"  | {line}" for line in self._lines) or "  (no output)"
        command = " ".join(self.command)
        return f"command: {command}\nexit code: {self._popen.poll()}\noutput:\n{output}"

    def clean_up(self) -> None:
        """Kill whatever is left: the process and what it started."""
        if hasattr(os, "killpg"):
            try:
                os.killpg(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            except PermissionError:
                # macOS answers so when only a zombie is left in the group.
                pass
        else:
            self._popen.kill()
        self._popen.wait(timeout=30)
        self._reader.join(timeout=5)


def process_environment(
    *, settings: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment that points a process at the database this test run uses.

    Args:
        settings: Django settings that differ from tests/settings.py; JSON values.
        env: Environment variables on top.
    """
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "BACKGROUND_TASK_TEST_NAME": str(connection.settings_dict["NAME"]),
        "BACKGROUND_TASK_TEST_SETTINGS": json.dumps(settings or {}),
        "PYTHONPATH": os.pathsep.join(
            part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part
        ),
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        **(env or {}),
    }


@contextmanager
def running(
    *command: str,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
) -> Iterator[RunningProcess]:
    """Run any command in the test environment; it is gone when the block ends."""
    if connection.in_atomic_block:
        raise AssertionError(
            "another process cannot see uncommitted rows: mark the test with "
            "@pytest.mark.django_db(transaction=True)"
        )
    process = RunningProcess(
        list(command), env=process_environment(settings=settings, env=env), cwd=cwd
    )
    try:
        yield process
    finally:
        process.clean_up()


def django_process(
    *arguments: str,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> AbstractContextManager[RunningProcess]:
    """Run `manage.py <arguments>` as a process: a context manager with a `RunningProcess`."""
    return running(sys.executable, "-m", "django", *arguments, settings=settings, env=env)


def worker_process(
    *arguments: str,
    settings: Mapping[str, Any] | None = None,
    env: Mapping[str, str] | None = None,
) -> AbstractContextManager[RunningProcess]:
    """Run `manage.py process_tasks <arguments>`: a context manager with a `RunningProcess`."""
    return django_process("process_tasks", *arguments, settings=settings, env=env)
