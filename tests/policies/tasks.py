"""Tasks with options, for worker processes."""

import os
import signal
import threading
from pathlib import Path

from background_task import background, current_task
from tests.app.models import Ledger
from tests.waiting import wait_until


def die(key):
    """Note that the task runs, and kill its worker."""
    Ledger.objects.create(key=key)
    os.kill(os.getpid(), signal.SIGKILL)


@background(max_attempts=1)
def die_once(key):
    die(key)


@background(max_attempts=1, repeat_on_failure=True)
def die_each_time(key):
    die(key)


@background
def die_as_often_as_told(key):
    die(key)


def overrun():
    """Go on for ever, and swallow each interruption."""
    while True:
        try:
            threading.Event().wait(600)
        except BaseException:  # noqa: BLE001 - it is about those who write this
            continue


@background(timeout=1, max_attempts=1)
def overrun_its_own_limit():
    overrun()


@background(timeout=600)
def overrun_that_of_the_call():
    overrun()


@background
def overrun_without_limit_of_its_own():
    overrun()


@background(timeout=0)
def outlast_the_setting(path):
    Ledger.objects.create(key="outlasting")
    wait_until(Path(path).exists, deadline=60)
    Ledger.objects.create(key="outlasted")


@background
def wait_for_the_end():
    """Leave off when the worker is told to stop."""
    Ledger.objects.create(key="waiting")
    wait_until(current_task().is_stopping, deadline=60)
    Ledger.objects.create(key="left off")
