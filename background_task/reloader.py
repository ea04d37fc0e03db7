"""The autoreloader of ``runserver``: a process that starts the serving one again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

#: Environment variable: whether this is the serving process.
SERVING_CHILD = "RUN_MAIN"
#: After so many seconds a serving process that goes on is told of Ctrl-C: not every SIGINT comes
#: from a terminal, which gives it to both.
HAND_ON_SECONDS = 1.0
#: How long the serving process may take to end.
PATIENCE_SECONDS = 30.0
SLICE_SECONDS = 0.02


def be_patient() -> None:
    """Give the serving process the time to hand back its rows when Ctrl-C ends both.

    Otherwise it would be killed a quarter of a second later. A second Ctrl-C does that at once.
    """
    is_usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_usual and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, _on_sigint)


def _on_sigint(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.default_int_handler)
    child = _awaited_in(frame)
    began, is_told = time.monotonic(), False
    while child is not None and not _has_ended(child):
        seconds = time.monotonic() - began
        if seconds > PATIENCE_SECONDS:
            break
        if seconds > HAND_ON_SECONDS and not is_told:
            is_told = True
            child.send_signal(number)
        time.sleep(SLICE_SECONDS)
    raise KeyboardInterrupt


def _awaited_in(frame: FrameType | None) -> subprocess.Popen[bytes] | None:
    """Return the process that the interrupted code waits for."""
    while frame is not None:
        for value in frame.f_locals.values():
            if isinstance(value, subprocess.Popen):
                return value
        frame = frame.f_back
    return None


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Tell whether a process has ended; ``poll`` cannot, as the interrupted code has its lock."""
    if sys.platform == "win32" or not hasattr(os, "waitid"):
        return True
    try:
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, child.pid, options) is not None
    except ChildProcessError:
        return True
