"""Waiting for a while, or until somebody in this process has news."""

from __future__ import annotations

import contextlib
import socket


class Polling:
    """A wait that a thread or a signal handler of this process can end.

    A pair of sockets rather than ``threading.Event``: a handler that runs while its own thread is
    inside ``Event.wait`` would deadlock on the event's lock.
    """

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)

    def wake(self) -> None:
        """End the wait that is going on, or the next one; safe in signal handlers."""
        with contextlib.suppress(OSError):  # full: a wake-up is already under way; closed: too late
            self._sender.send(b".")

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether it was ended by ``wake``."""
        self._receiver.settimeout(max(0.001, seconds))
        try:
            self._receiver.recv(4096)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Give back the sockets."""
        self._receiver.close()
        self._sender.close()
