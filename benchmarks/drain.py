"""How many no-op tasks one worker stores and runs in a second.

Uses the project of ``DJANGO_SETTINGS_MODULE`` if there is one, else a fresh SQLite file.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import django
from django.conf import settings


def configure(folder: str) -> None:
    """Set Django up."""
    if "DJANGO_SETTINGS_MODULE" not in os.environ:
        options = {"timeout": 20}
        if django.VERSION >= (5, 1):
            options |= {"transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
        settings.configure(
            INSTALLED_APPS=["django.contrib.contenttypes", "background_task"],
            DATABASES={
                "default": {
                    "ENGINE": "django.db.backends.sqlite3",
                    "NAME": str(Path(folder, "benchmark.sqlite3")),
                    "OPTIONS": options,
                }
            },
            USE_TZ=True,
        )
    django.setup()


def measure(*, count: int, threads: int | None) -> tuple[float, float]:
    """Return tasks stored per second, and tasks run per second."""
    from background_task import background
    from background_task.store import get_store
    from background_task.tasks import tasks
    from background_task.worker import Control, Loop, Options

    @background(name="benchmark", queue="benchmark")
    def nothing() -> None:
        """Do nothing."""

    began = time.perf_counter()
    for _ in range(count):
        nothing()
    stored = count / (time.perf_counter() - began)

    control = Control()
    options = Options(queues=("benchmark",), threads=threads, sleep=0.1, duration=600)
    loop = Loop(tasks._tasks, store=get_store(), control=control, options=options)
    done = 0

    def stop_when_done(name: str, fields: dict[str, object]) -> None:
        nonlocal done
        if name == "success":
            done += 1
            if done == count:
                control.stop("done", within=10)

    from background_task import telemetry

    began = time.perf_counter()
    with telemetry.subscribed(stop_when_done):
        loop.run()
    return stored, count / (time.perf_counter() - began)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--threads", type=int, help="on a thread pool (default: one by one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        configure(folder)
        from django.core.management import call_command
        from django.db import connections

        call_command("migrate", verbosity=0)
        from background_task.store import task_database

        connection = connections[task_database()]
        stored, run = measure(count=chosen.tasks, threads=chosen.threads)
        print(
            f"Python {platform.python_version()}, Django {django.get_version()}, "
            f"{connection.display_name} {'.'.join(map(str, connection.get_database_version()))}, "
            f"{os.cpu_count()} processors"
        )
        print(f"stored {stored:,.0f} tasks/s, ran {run:,.0f} tasks/s ({chosen.tasks} no-op tasks)")
        connections.close_all()


if __name__ == "__main__":
    main()
