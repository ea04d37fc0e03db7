"""The processes that the demo starts: workers and the site."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
#: Longer than BACKGROUND_TASK_SHUTDOWN_SECONDS, which a worker takes at most to stop.
STOP_DEADLINE_SECONDS = 35


class Process:
    """A running `manage.py` command whose output goes to a file."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            # In a session of its own, Ctrl-C reaches the demo only, which then stops the others.
            self._popen = subprocess.Popen(
                [sys.executable, str(MANAGE), *arguments],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process number."""
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self._popen.poll() is None

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines that the process wrote."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-lines:])

    def ask_to_stop(self) -> None:
        """Send SIGTERM: a worker finishes what it runs and exits."""
        self._popen.terminate()

    def wait(self) -> int:
        """Wait for the end after `ask_to_stop`, kill at the deadline; return the exit code."""
        with suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout=STOP_DEADLINE_SECONDS)
        self.kill()
        return self._popen.returncode

    def kill(self) -> None:
        """Send SIGKILL: the process gets no chance to say goodbye."""
        self._popen.kill()
        self._popen.wait(timeout=STOP_DEADLINE_SECONDS)


class Processes:
    """All processes of the demo; none of them is left when the ``with`` block ends."""

    def __init__(self, *, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ask every process to stop, wait for all; a second Ctrl-C kills them."""
        running = [process for process in self._started if process.is_running]
        try:
            for process in running:
                process.ask_to_stop()
            for process in running:
                process.wait()
        except BaseException:
            for process in running:
                process.kill()
            raise

    def start_worker(self, *, threads: int, workers: int = 1, duration: int = 0) -> Process:
        """Start `manage.py process_tasks`.

        Args:
            threads: How many tasks it runs at the same time.
            workers: From two on, a process that starts so many and replaces those that die.
            duration: Seconds after which it ends by itself, 0 for never. A limit means that
                nothing is left over should the demo itself be killed.
        """
        arguments = ["process_tasks", "--threads", str(threads), "--sleep", "0.2"]
        if workers > 1:
            arguments += ["--processes", str(workers)]
        return self._start(*arguments, "--duration", str(duration), log="worker.log")

    def start_site(self, *, port: int) -> Process:
        """Start Django's development server on 127.0.0.1."""
        return self._start("runserver", "--noreload", f"127.0.0.1:{port}", log="site.log")

    def _start(self, *arguments: str, log: str) -> Process:
        process = Process(*arguments, log=self._log_dir / log)
        self._started.append(process)
        return process
