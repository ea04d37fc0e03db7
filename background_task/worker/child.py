"""A worker process, as the process that started it sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from .limit import GRACE_SECONDS
from .parent import VARIABLE

#: Task id and claim number.
Key = tuple[int, int]

#: Reading in batches costs less than being woken for each line.
READING_PAUSE_SECONDS = 0.05
#: A worker says that it is alive five times a second while it runs something that has a limit.
SILENCE_SECONDS = 5.0


class Child:
    """One worker process.

    Args:
        command: The command line to start.
        number: Its number among its siblings.
    """

    def __init__(self, command: Sequence[str], *, number: int) -> None:
        self.number = number
        self.started_at = self.heard_at = time.monotonic()
        #: When its heartbeat has last reached the database; None if it never has.
        self.beat_at: float | None = None
        #: The names under which it may have claimed something.
        self.names: list[str] = []
        self.is_recycled = self.is_drained = self.is_killed = False
        #: How many runs it has brought to an end, and how many tasks have failed.
        self.processed = self.failures = 0
        #: What runs with a limit: when it began, and the limit.
        self.running: dict[Key, tuple[float, float]] = {}
        self._hopeless: set[Key] = set()
        self._lock = threading.Lock()
        reports, sender = os.pipe()
        try:
            self.process = _start(command, number=number, sender=sender)
        except OSError:
            os.close(reports)
            raise
        finally:
            os.close(sender)
        self._reader = threading.Thread(
            target=self._read, args=(reports,), name=f"worker process {number}", daemon=True
        )
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process's number."""
        return self.process.pid

    def age(self) -> float:
        """Return how many seconds ago it was started."""
        return time.monotonic() - self.started_at

    def returncode(self) -> int | None:
        """Return None while it runs, then its exit status, negative for a signal."""
        return self.process.poll()

    def order(self, *words: object) -> None:
        """Give an order; one that has just ended will not hear it."""
        assert self.process.stdin is not None  # it was started with a pipe
        with suppress(OSError, ValueError):
            self.process.stdin.write((" ".join(map(str, words)) + "\n").encode())
            self.process.stdin.flush()

    def is_overdue(self) -> bool:
        """Tell whether it has to be killed to end a run.

        That is when it asks for it, or when a run should have ended and the process has said
        nothing for long: then nothing in it can end the run.
        """
        now = time.monotonic()
        with self._lock:
            if self._hopeless & self.running.keys():
                return True
            is_silent = now - self.heard_at > SILENCE_SECONDS
            return is_silent and bool(self._too_long(now, grace=GRACE_SECONDS))

    def timed_out(self) -> dict[Key, tuple[float, float]]:
        """Return the runs past their limit: for how long they ran, and the limit."""
        with self._lock:
            return self._too_long(time.monotonic(), grace=0)

    def close(self) -> None:
        """Take in what it has said last, and give back what belongs to it."""
        # Not for ever: a process that a task has left behind may have inherited the pipe.
        self._reader.join(timeout=2)
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()

    def hear(self, line: str) -> None:
        """Take in one line; see ``parent`` for what they mean."""
        word, *rest = line.split()
        with self._lock:
            self.heard_at = time.monotonic()
            if word == "N":
                self.names.append(rest[0])
            elif word == "H":
                self.beat_at = self.heard_at
            elif word == "R":
                self.is_recycled = True
            elif word == "D":
                self.is_drained = True
            elif word == "S":
                self.processed, self.failures = int(rest[0]), int(rest[1])
            elif word == "C":
                self.running.clear()
            elif word in ("B", "E", "K"):
                key = (int(rest[0]), int(rest[1]))
                if word == "B":
                    self.running[key] = (float(rest[2]), float(rest[3]))
                elif word == "E":
                    self.running.pop(key, None)
                else:
                    self._hopeless.add(key)

    def _too_long(self, now: float, *, grace: float) -> dict[Key, tuple[float, float]]:
        return {
            key: (now - begun, limit)
            for key, (begun, limit) in self.running.items()
            if now - begun > limit + grace
        }

    def _read(self, reports: int) -> None:
        rest = b""
        with open(reports, "rb", buffering=0) as stream:
            while data := stream.read(65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self.hear(line.decode("ascii", "replace"))
                time.sleep(READING_PAUSE_SECONDS)


def _start(command: Sequence[str], *, number: int, sender: int) -> subprocess.Popen[bytes]:
    """Start a process that reads orders as its standard input and inherits the pipe's end.

    It stays in the group of this one, so that Ctrl-C and ``kill`` for the group reach it.
    """
    environment = dict(os.environ)
    if sys.platform == "win32":
        import msvcrt

        handle = msvcrt.get_osfhandle(sender)
        os.set_handle_inheritable(handle, True)
        environment[VARIABLE] = f"{number}:{handle}"
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, env=environment, startupinfo=startup
        )
    environment[VARIABLE] = f"{number}:{sender}"
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, pass_fds=(sender,))
