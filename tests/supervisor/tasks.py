"""Tasks that end their process, fill it, or go on for too long."""

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

from django.db import connection

from background_task import background
from tests.app.models import Ledger

_kept = []


def note(key):
    Ledger.objects.create(key=key)


def note_apart(key):
    note(key)
    connection.close()


@background
def die(how, path):
    """End the process; the second attempt finds the file and returns."""
    if Path(path).exists():
        note(f"{how} survived")
        return
    Path(path).touch()
    if how == "SIGKILL":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        os._exit(0)
    else:
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)


@background
def tell_process(key):
    """Say which process this is."""
    note(f"{key} {os.getpid()}")


@background
def speak():
    """Say so in the log, and which process this is."""
    logging.getLogger("tests.supervisor").info("I speak in %d", os.getpid())


@background
def take_memory(mib):
    """Never give it back."""
    _kept.append(b"x" * (mib * 2**20))


@background
def overrun(how, *, says_so=False):
    """Go on for ever, in one of many ways."""
    if says_so:
        note(f"{how} started")
    WAYS[how]()
    note(f"{how} finished")


@background
async def overrun_later():
    """The same in a coroutine."""
    await asyncio.sleep(600)


@background
async def block_the_loop():
    """Never give the event loop a chance."""
    sleep()


def compute():
    while True:
        pass


sleep = partial(time.sleep, 600)


def wait_for_a_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def swallow():
    """Swallow three exceptions, then give in."""
    for _ in range(3):
        with suppress(BaseException):
            compute()
    try:
        compute()
    finally:  # on a thread, which the next interruption does not reach however slow the database is
        threading.Thread(target=note_apart, args=("swallowed three",)).start()


def swallow_for_ever():
    while True:
        try:
            sleep()
        except BaseException:  # noqa: BLE001 - the same
            continue


def hold_the_interpreter():
    """Do not return to Python, and let no other thread go on, as a regular expression may."""
    ctypes.PyDLL(None).sleep(600)


WAYS = {
    "computing": compute,
    "sleeping": sleep,
    "waiting": wait_for_a_lock,
    "swallowing": swallow,
    "stubborn": swallow_for_ever,
    "holding": hold_the_interpreter,
}


@background
def look_around():
    """What a program that a task starts has from its worker."""
    program = (
        "import os, sys; "
        "print([name for name in os.environ if name.endswith('_PARENT')], end=' '); "
        "print(sys.stdin.read() or 'nothing to read')"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    note(output.stdout.strip())
