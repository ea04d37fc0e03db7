"""Fixtures of the crash tests."""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest

from background_task.models import Task
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.waiting import wait_until

#: What is lost is found again within about this time; long enough for a busy machine.
LEASE_SECONDS = 2


class Crashes:
    """Workers that know the tasks of this folder, and what these have written down."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "ledger"
        self.settings = {
            "INSTALLED_APPS": [*INSTALLED_APPS, "tests.crash.apps.CrashConfig"],
            "BACKGROUND_TASK_LEASE_SECONDS": LEASE_SECONDS,
        }

    def worker(self, *arguments, at=None, after=1, announced=False, settings=None):
        env = {"CRASH_LEDGER": str(self.ledger)}
        if at is not None:
            env.update(CRASH_AT=at, CRASH_AFTER=str(after))
        if announced:
            env["CRASH_ANNOUNCED"] = "1"
        return worker_process(
            "--sleep", "0.1", *arguments, settings={**self.settings, **(settings or {})}, env=env
        )

    @property
    def lines(self) -> list[list[str]]:
        return [line.split() for line in self.text.splitlines()]

    @property
    def text(self) -> str:
        return self.ledger.read_text() if self.ledger.exists() else ""

    @property
    def runs(self) -> Counter:
        """How often each key was really run."""
        return Counter(key for key, _ in self.lines)

    def kill(self, worker) -> None:
        worker.kill()
        assert worker.wait() == -signal.SIGKILL

    def wait_for(self, predicate, deadline: float = 60.0) -> None:
        wait_until(predicate, deadline=deadline)

    def wait_for_no_rows(self, deadline: float = 60.0) -> None:
        wait_until(lambda: not Task.objects.exists(), deadline=deadline, message="no row is left")

    def wait_for_line(self, text: str, deadline: float = 30.0) -> None:
        wait_until(lambda: text in self.text, deadline=deadline, message=f"{text} in the ledger")


@pytest.fixture
def crashes(tmp_path):
    return Crashes(tmp_path)


@pytest.fixture
def chance():
    """Random numbers that can be repeated."""
    seed = os.environ.get("BACKGROUND_TASK_TEST_SEED") or str(random.randrange(10**9))
    print(f"BACKGROUND_TASK_TEST_SEED={seed}")  # noqa: T201 - pytest shows it when the test fails
    return random.Random(seed)
