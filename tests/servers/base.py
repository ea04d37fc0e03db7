"""What every throwaway server has in common."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

DURABLE = "BACKGROUND_TASK_TEST_DURABLE"
START_SECONDS = 60.0
STOP_SECONDS = 60.0


class UnavailableError(Exception):
    """This machine cannot run the server; the message says why."""


class Server(ABC):
    """One server with its own folder and port. `start` after `stop` finds the data again."""

    name: ClassVar[str]
    user: ClassVar[str] = "background_task"

    def __init__(self) -> None:
        if os.name != "posix":
            raise UnavailableError("throwaway servers are started on Linux and macOS only")
        self.account = unprivileged_account() if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix=f"background_task_{self.name}_"))
        self.port = free_port()
        self.description = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._is_prepared = False

    def start(self) -> None:
        """Start and wait until it answers; does nothing when it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        if not self._is_prepared:
            self.prepare()
            self._is_prepared = True
        with open(self.folder / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                # Ctrl-C in the terminal is for the test run, which then stops the server.
                start_new_session=True,
                **self.identity(),
            )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + START_SECONDS
        while not self.is_ready():
            try:
                process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() < end:
                    continue
            process.kill()
            process.wait()
            raise UnavailableError(f"{self.name} did not start: {self.last_words()}")

    def stop(self, *, immediately: bool = False) -> None:
        """Stop in an orderly way, or `immediately`, as a crash would.

        Committed rows survive both: they have left the server's memory, if perhaps not the
        operating system's.
        """
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(self.crash_signal() if immediately else self.stop_signal())
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, *, immediately: bool = False) -> None:
        self.stop(immediately=immediately)
        self.start()

    def remove(self) -> None:
        """Stop and delete everything."""
        self.stop(immediately=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What tests/settings.py needs to find the server."""
        return {
            "BACKGROUND_TASK_TEST_DATABASE": self.name,
            "BACKGROUND_TASK_TEST_HOST": "127.0.0.1",
            "BACKGROUND_TASK_TEST_PORT": str(self.port),
            "BACKGROUND_TASK_TEST_USER": self.user,
        }

    def identity(self) -> dict[str, Any]:
        """Arguments for subprocess that give the server its account."""
        return {}

    def run(self, *command: str | Path) -> str:
        """Run a tool of the server to its end and return what it printed."""
        result: subprocess.CompletedProcess[str] = subprocess.run(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=120,
            check=False,
            cwd=self.folder,
            **self.identity(),
        )
        if result.returncode != 0:
            tail = " / ".join(result.stdout.strip().splitlines()[-3:])
            raise UnavailableError(f"{Path(command[0]).name} failed ({result.returncode}): {tail}")
        return result.stdout

    def last_words(self) -> str:
        log = self.folder / "server.log"
        lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
        return " / ".join(lines[-3:]) or "it said nothing"

    @abstractmethod
    def prepare(self) -> None:
        """Fill the empty folder: data, accounts, `description`."""

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs the server in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers on its port."""

    def stop_signal(self) -> int:
        return signal.SIGTERM

    def crash_signal(self) -> int:
        return signal.SIGKILL


def find_program(name: str) -> Path | None:
    """Like `which`, but also where servers live that are not on a user's PATH."""
    extra = ["/usr/local/sbin", "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/opt/homebrew/bin"]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *extra])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def unprivileged_account() -> tuple[int, int]:
    """User and group id of an account without rights, for servers that refuse root."""
    import pwd

    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def free_port() -> int:
    """A port nobody listens on, below the range that outgoing connections take theirs from.

    Otherwise a client that retries while the server restarts could be given the server's port as
    its own end and connect to itself.
    """
    for port in random.sample(range(20000, 30000), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise UnavailableError("no free port between 20000 and 30000")
