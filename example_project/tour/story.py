"""The parts of the demo, in order."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import background_task
import django
from background_task.models import Task
from django.conf import settings
from django.core.management import call_command

from library.models import Document, Picture
from library.tasks import (
    build_concordance,
    count_words,
    fetch_rating,
    mail_report,
    make_thumbnail,
    write_report,
)
from tour import LEASE_SECONDS
from tour.observer import Observer
from tour.outcome import MAIL_DELAY, report
from tour.process import Process, Processes
from tour.terminal import Terminal

THREADS = 3
LOOK_EVERY_SECONDS = 0.1
#: A worker that outlives a killed demo ends by itself after this time.
WORKER_DURATION_SECONDS = 180


class DemoError(Exception):
    """Something that the demo waited for did not happen."""


def tell(*, log_dir: Path) -> int:
    """Tell the whole story and return the exit code.

    Args:
        log_dir: Folder for the output of the worker.
    """
    terminal = Terminal()
    with Processes(log_dir=log_dir) as processes:
        try:
            prepare(terminal)
            story = Story(terminal=terminal, processes=processes)
            story.schedule()
            worker = story.run_worker()
            worker = story.kill_worker(worker)
            story.stop_worker(worker)
        except DemoError as error:
            terminal.line()
            terminal.line(f"The demo failed: {error}")
            return 1
        except KeyboardInterrupt:
            terminal.line("Interrupted. The worker ends what it runs; Ctrl-C again kills it.")
            raise
        is_ok = report(terminal=terminal, observer=story.observer, log_dir=log_dir)
    return 0 if is_ok else 1


def prepare(terminal: Terminal) -> None:
    """Make the tables and load the samples."""
    version = f"background_task {background_task.__version__}, Django {django.__version__}"
    terminal.heading(f"Background tasks, live ({version})")
    call_command("migrate", verbosity=0)
    call_command("load_samples", verbosity=0)
    terminal.line(
        f"A fresh SQLite database with {Document.objects.count()} documents and "
        f"{Picture.objects.count()} pictures: {settings.DATABASES['default']['NAME']}"
    )


class Story:
    """Each public method is one part of the demo."""

    def __init__(self, *, terminal: Terminal, processes: Processes) -> None:
        self.terminal = terminal
        self.processes = processes
        self.observer = Observer(terminal)

    def schedule(self) -> None:
        """Call the task functions: rows appear, nothing runs."""
        self.terminal.heading("1. Calling a decorated function saves a row. No worker runs yet.")
        self.terminal.line(
            "   count_words(document.pk)            for each document\n"
            "   make_thumbnail(picture.pk)          for each picture\n"
            "   fetch_rating(document.pk)           fails the first time it runs\n"
            "   write_report(repeat=Task.HOURLY)    now, and then every hour\n"
            f"   mail_report(address, schedule={MAIL_DELAY.seconds})    "
            f"{MAIL_DELAY.seconds} seconds from now\n"
        )
        for document in Document.objects.order_by("pk"):
            count_words(document.pk)
        for picture in Picture.objects.order_by("pk"):
            make_thumbnail(picture.pk)
        fetch_rating(Document.objects.order_by("pk")[0].pk)
        write_report(repeat=Task.HOURLY)
        mail_report("ann@example.org", schedule=MAIL_DELAY)
        self.observer.look()

    def run_worker(self) -> Process:
        """Start a worker and watch until only the next hourly report is left."""
        self.terminal.heading(
            f"2. A worker with {THREADS} threads: manage.py process_tasks --threads {THREADS}"
        )
        worker = self._start_worker()
        self._watch(
            lambda: not Task.objects.filter(repeat=Task.NEVER).exists(),
            worker=worker,
            seconds=45,
            what="the worker to finish what is due",
        )
        return worker

    def kill_worker(self, worker: Process) -> Process:
        """Kill the worker in the middle of a task and watch another one recover the task."""
        self.terminal.heading("3. kill -9 in the middle of a task.")
        build_concordance(1.5)
        slow = Task.objects.filter(task_name=build_concordance.name)
        running = slow.filter(locked_by__isnull=False)
        self._watch(running.exists, worker=worker, seconds=20, what="the slow task to start")
        self._watch_for(seconds=1.0, worker=worker)
        worker.kill()
        self.observer.killed_pids.add(worker.pid)
        self.observer.tell("killed", task=f"worker {worker.pid}", detail="SIGKILL, as kill -9 does")
        left = running.first()
        if left is None:
            raise DemoError("the killed worker left no locked row behind")
        self.terminal.line(
            f"\n   The row is still there: attempts {left.attempts}, locked by {left.locked_by}\n"
            "   Another worker takes it over when nothing has been heard of that one for\n"
            f"   {LEASE_SECONDS} s (BACKGROUND_TASK_LEASE_SECONDS)."
        )
        worker = self._start_worker()
        self._watch(
            lambda: not slow.exists(),
            worker=worker,
            seconds=60,
            what="another worker to recover and finish the task",
        )
        return worker

    def stop_worker(self, worker: Process) -> None:
        """Stop the worker as systemd, supervisord or Ctrl-C would."""
        self.terminal.heading("4. SIGTERM: the worker stops in good order.")
        worker.ask_to_stop()
        code = worker.wait()
        if code != 0:
            raise DemoError(f"the worker ended with code {code}:\n{worker.log_tail()}")
        self.terminal.line(f"   Worker {worker.pid} ended with exit code 0. Its last words:")
        self.terminal.line(f"   {worker.log_tail(1)}")

    def _start_worker(self) -> Process:
        worker = self.processes.start_worker(threads=THREADS, duration=WORKER_DURATION_SECONDS)
        self.terminal.line(f"   Worker {worker.pid} writes to {worker.log}\n")
        return worker

    def _watch(
        self, is_over: Callable[[], bool], *, worker: Process, seconds: float, what: str
    ) -> None:
        """Show what happens until it is over, for at most so many seconds."""
        deadline = time.monotonic() + seconds
        while not is_over():
            if not worker.is_running:
                raise DemoError(f"the worker ended by itself:\n{worker.log_tail()}")
            if time.monotonic() > deadline:
                raise DemoError(f"waited {seconds} s for {what}; the worker:\n{worker.log_tail()}")
            self.observer.look()
            time.sleep(LOOK_EVERY_SECONDS)
        self.observer.look()

    def _watch_for(self, *, seconds: float, worker: Process) -> None:
        """Show what happens for so many seconds."""
        end = time.monotonic() + seconds
        self._watch(
            lambda: time.monotonic() >= end, worker=worker, seconds=seconds + 5, what="the clock"
        )
