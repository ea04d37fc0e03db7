"""Tasks with child processes made by fork, which inherit everything a worker has."""

import multiprocessing
import os
import signal
import sys
import threading
from pathlib import Path

from background_task import background
from tests.app.models import Ledger
from tests.waiting import wait_until

FORK = multiprocessing.get_context("fork")


def wait_for_ever(ready):
    ready.send(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    threading.Event().wait(300)


@background
def terminate_a_child():
    """Write down whether SIGTERM ended it."""
    parent_end, child_end = FORK.Pipe()
    child = FORK.Process(target=wait_for_ever, args=(child_end,))
    child.start()
    assert parent_end.poll(20)
    assert parent_end.recv(), "the child has the worker's handler"
    child.terminate()
    child.join(30)
    Ledger.objects.create(key=f"exit code {child.exitcode}")
    child.kill()
    child.join()


@background
def use_a_pool():
    """Leave ``with Pool()`` while its children work."""
    parent_end, child_end = FORK.Pipe()
    with FORK.Pool(1) as pool:
        pool.apply_async(wait_for_ever, (child_end,))
        assert parent_end.poll(20)
        children = FORK.active_children()
        # Would hang for ever; the children are killed so that the task at least comes to say so.
        killer = threading.Timer(30, lambda: [child.kill() for child in children])
        killer.start()
    killer.cancel()
    for child in children:
        child.join(30)
    Ledger.objects.create(key=f"exit codes {sorted({child.exitcode for child in children})}")


ENDINGS = {
    "return": lambda: None,
    "exit": sys.exit,
    "exit with 3": lambda: sys.exit(3),
    "raise": lambda: 1 // 0,
}


@background
def fork(how):
    """Let the child come to the task's end in its own way; write down its exit code."""
    pid = os.fork()
    if pid == 0:
        ENDINGS[how]()
        return
    state = {}

    def has_ended():
        found, status = os.waitpid(pid, os.WNOHANG)
        state["code"] = os.waitstatus_to_exitcode(status)
        return found

    try:
        wait_until(has_ended, deadline=30)
    except AssertionError:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise
    Ledger.objects.create(key=f"exit code {state['code']}")


@background
def swallow_interruptions(path, most):
    """Wait for a file; whatever is raised meanwhile is swallowed, as by a bare ``except:``."""
    Ledger.objects.create(key="swallowing")
    for _ in range(most):
        try:
            wait_until(Path(path).exists, deadline=60)
        except BaseException:  # noqa: BLE001 - the point of the test
            continue
        return
