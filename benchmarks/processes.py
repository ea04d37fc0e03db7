"""Workers and clients as processes, and what they cost."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from .environments import LOGS, search_path
from .peers import Peer, Place

CLIENT_SECONDS = 240
STOP_SECONDS = 4


class FailedError(Exception):
    """Something under test did not do what it should; the message says what."""


@dataclass(frozen=True)
class Project:
    """One queue in one database, configured in one way."""

    peer: Peer
    python: Path
    place: Place
    config: str

    def environment(self) -> dict[str, str]:
        """Return the variables that a process of the project needs."""
        said = {
            "peer": self.peer.name,
            "place": asdict(self.place),
            "config": self.config,
            "stamps": str(self.stamps),
        }
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "DJANGO"))
        }
        return {
            **kept,
            "PYTHONPATH": search_path(is_ours=self.peer.is_ours),
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SETTINGS_MODULE": "benchmarks.project.settings",
            "BENCHMARK": json.dumps(said),
        }

    @property
    def stamps(self) -> Path:
        return LOGS / f"{self.label}.stamps"

    @property
    def label(self) -> str:
        return f"{self.peer.name}-{Path(self.place.name).stem}-{self.config}".replace(" ", "-")

    def client(self, verb: str, number: int = 0) -> dict[str, Any]:
        """Let the project do something and return its answer."""
        done = subprocess.run(
            [str(self.python), "-m", "benchmarks.project.client", verb, str(number)],
            env=self.environment(),
            cwd=LOGS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=CLIENT_SECONDS,
        )
        if done.returncode != 0:
            tail = " / ".join(done.stderr.strip().splitlines()[-2:])
            raise FailedError(f"{self.label} {verb}: {tail}")
        answer: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    @contextlib.contextmanager
    def workers(self, count: int) -> Iterator[Workers]:
        """Run so many worker commands."""
        words = self.peer.command(self.config)
        with open(LOGS / f"{self.label}.log", "wb") as log:
            running = [
                subprocess.Popen(
                    [self.python, "-m", *(word.format(number=number) for word in words)],
                    env=self.environment(),
                    cwd=LOGS,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for number in range(count)
            ]
            try:
                yield Workers(running, Path(log.name))
            finally:
                stop(running)


class Workers:
    """Running worker commands with all their children."""

    def __init__(self, running: list[subprocess.Popen[bytes]], log: Path) -> None:
        self._running = running
        self._log = log

    def check(self) -> None:
        """Raise if one has ended."""
        for process in self._running:
            if process.poll() is not None:
                lines = self._log.read_text(errors="replace").strip().splitlines()
                said = " / ".join(lines[-2:])
                raise FailedError(f"the worker ended with status {process.returncode}: {said}")

    def cpu_seconds(self) -> float:
        return cpu_seconds(process.pid for process in self._running)

    def memory(self) -> dict[str, int]:
        """Return resident and proportional set size of the whole tree, and its processes."""
        found = {"rss": 0, "pss": 0, "processes": 0}
        for process in tree(process.pid for process in self._running):
            with contextlib.suppress(psutil.Error):
                memory = process.memory_full_info()
                found["rss"] += memory.rss
                found["pss"] += getattr(memory, "pss", memory.rss)
                found["processes"] += 1
        return found


def tree(pids: Iterable[int]) -> list[psutil.Process]:
    """Return these processes and their descendants."""
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            found += [process, *process.children(recursive=True)]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return user and system time of process trees, ended and awaited children included."""
    total = 0.0
    for process in tree(pids):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
            total += getattr(times, "children_user", 0) + getattr(times, "children_system", 0)
    return total


def stop(running: list[subprocess.Popen[bytes]]) -> None:
    """End the workers: asked first, then killed, with every process they leave behind."""
    family = tree(process.pid for process in running)
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    end = time.monotonic() + STOP_SECONDS
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=max(0.0, end - time.monotonic()))
    for member in family:
        with contextlib.suppress(psutil.Error):
            if member.is_running():
                member.kill()
    for process in running:
        process.wait()
