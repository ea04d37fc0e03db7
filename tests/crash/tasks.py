"""Tasks for workers that are killed. What really ran is written down outside the database."""

import fcntl
import os
import signal
import threading
from contextlib import ExitStack
from pathlib import Path

from background_task import background
from background_task.backends import task
from tests.app.models import Ledger
from tests.waiting import wait_until


def note(key):
    """Append one line; the operating system keeps lines of several processes apart."""
    descriptor = os.open(os.environ["CRASH_LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, f"{key} {os.getpid()}\n".encode())
    finally:
        os.close(descriptor)


@background
def work(key):
    """Run once, as far as the ledger outside and the one inside the database know."""
    note(key)
    Ledger.objects.create(key=str(key))


@task(backend="retrying", max_attempts=10)
def queued(key):
    """Do the same, queued by a backend of ``django.tasks``."""
    work.task_function(key)
    return key


@background(atomic=True, max_attempts=10_000)
def pay(key):
    """Have two effects, of which one alone would be wrong."""
    note(key)
    Ledger.objects.create(key=f"{key}:debit")
    Ledger.objects.create(key=f"{key}:credit")


#: How many of ``squeeze`` may run at once.
PLACES = 3
BUSY_SECONDS = 0.03


@background(max_concurrency=PLACES, max_attempts=10_000)
def squeeze(key):
    """Run in one of a few places, which the operating system empties when a process dies."""
    folder = os.environ["CRASH_LEDGER"]
    with ExitStack() as stack:
        for place in range(PLACES):
            lock = stack.enter_context(open(f"{folder}.{place}", "w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            threading.Event().wait(BUSY_SECONDS)  # so that runs meet
            note(key)
            return
    note(f"{key}:too-many")


@background
def note_only(key):
    """Take next to no time, so that workers claim many ahead."""
    note(key)


@background
def signal_worker(key, names, path):
    """Send its own worker signals, the first time, and end."""
    note(key)
    if not Path(path).exists():
        Path(path).touch()
        for name in names:
            os.kill(os.getpid(), getattr(signal, name))


@background
def kill_worker(key):
    note(key)
    os.kill(os.getpid(), signal.SIGKILL)


@background
def work_until(key, path):
    """Note the start, wait for a file, note the end."""
    note(f"{key}:started")
    wait_until(Path(path).exists, deadline=60)
    note(f"{key}:finished")


@background
def fail(key):
    note(key)
    raise ValueError("on purpose")


@background
def exit_process(key):
    """What a task that brings its worker down looks like from outside."""
    note(key)
    os._exit(7)
