"""A worker whose output is a terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time

from tests.process import process_environment


def run_on_a_terminal(*arguments, until, env=None, number=signal.SIGTERM, settings=None, status=0):
    """Run a worker on a pseudo terminal, stop it once it has shown a text; all it has shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "process_tasks", *arguments],
        env=process_environment(settings=settings, env={"TERM": "xterm", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown, end, is_stopped = "", time.monotonic() + 60, False
    try:
        while time.monotonic() < end:
            ready, _, _ = select.select([ours], [], [], 1)
            if ready:
                try:
                    piece = os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
                if not piece:
                    break
                shown += piece.decode()
            if until in shown and not is_stopped:
                process.send_signal(number)
                is_stopped = True
        assert process.wait(30) == status
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return shown
