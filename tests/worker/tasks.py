"""Tasks for worker processes, where the state of the process is at stake."""

import asyncio
import signal
import sys
import threading
from pathlib import Path

from background_task import background
from tests.app.models import Ledger
from tests.waiting import wait_until


@background
async def hold_later(key, path):
    """The same as ``tests.app.tasks.hold``, in a coroutine."""
    await Ledger.objects.acreate(key=f"{key}:started")
    never = asyncio.Event()
    while not Path(path).exists():
        try:
            await asyncio.wait_for(never.wait(), 0.01)
        except asyncio.TimeoutError:
            continue


@background
def leave_thread(path):
    """Start a thread that would keep the process alive until a file comes."""

    def linger():
        wait_until(Path(path).exists, deadline=300)

    threading.Thread(target=linger, name="left behind", daemon=False).start()


@background
def take_signals():
    for name in ("SIGTERM", "SIGINT", "SIGTSTP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)


@background
def talk(text):
    print(text)  # noqa: T201
    print(text, file=sys.stderr)  # noqa: T201


@background
def ignore_everything(key, path):
    """Swallow each interruption until a file comes."""
    Ledger.objects.create(key=f"{key}:started")
    never = threading.Event()
    while True:
        try:
            while not Path(path).exists():  # interrupted here as likely as in the next line
                never.wait(0.01)
            return
        except BaseException:  # noqa: BLE001 - it is about those who write this
            continue


@background
async def hold_and_clean_up(key):
    """Wait to be interrupted, and use the database once more then."""
    await Ledger.objects.acreate(key=f"{key}:started")
    try:
        await asyncio.Event().wait()
    finally:
        await Ledger.objects.acreate(key=f"{key}:cleaned up")


@background
async def ignore_cancellation(key, path):
    """Swallow each interruption until a file comes."""
    await Ledger.objects.acreate(key=f"{key}:started")
    while not Path(path).exists():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@background
async def block_loop(key, path):
    """Wait in the thread of the event loop itself, as nobody should."""
    await Ledger.objects.acreate(key=f"{key}:started")
    wait_until(Path(path).exists, deadline=300)
