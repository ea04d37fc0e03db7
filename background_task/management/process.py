"""Ending the process of a worker."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading

from ..worker import Loop
from .screen import end_all

logger = logging.getLogger(__name__)


def give_up(loop: Loop) -> None:
    """Called by the watchdog when the worker cannot leave: end the process as it is.

    Its rows are handed back on a connection of its own, unless what holds the worker up holds up
    that, too; then others recover them.
    """
    helper = threading.Thread(target=loop.abandon, daemon=True)
    helper.start()
    helper.join(timeout=2)
    logger.error(
        "The worker cannot leave (a task ignores interruption, or the database holds it up); "
        "ending the process"
    )
    end_all()
    logging.shutdown()
    os._exit(1)


def end_process(status: int) -> None:
    """End the process although a task left threads behind that would keep it alive."""
    left = [
        thread
        for thread in threading.enumerate()
        if thread is not threading.main_thread() and _keeps_alive(thread)
    ]
    if not left:
        if status:
            sys.exit(status)
        return
    names = ", ".join(thread.name for thread in left if not thread.daemon)
    if names:  # the worker's own threads have been spoken of when their rows were released
        logger.warning("Ending although threads of tasks are still running: %s", names)
    atexit._run_exitfuncs()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
    os._exit(status)


def _keeps_alive(thread: threading.Thread) -> bool:
    """Tell whether a thread would outlive the command, or crash in the middle of Python's end."""
    return not thread.daemon or thread.name.startswith("background_task ")
