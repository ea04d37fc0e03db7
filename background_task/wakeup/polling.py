"""Waiting for a while, or until somebody in this process has news."""

from __future__ import annotations

import contextlib
import selectors
import socket

#: The shortest and the longest wait. Selectors refuse infinity, and zero would not wait at all.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.001, 86_400.0


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

    def wait(self, seconds: float, *, beside: int | None = None) -> bool:
        """Wait at most so long; return whether it was ended by ``wake``.

        Args:
            seconds: How long.
            beside: A file descriptor that ends the wait, too, once there is something to read.

        Raises:
            OSError: The descriptor cannot be waited for.
        """
        seconds = min(max(SHORTEST_SECONDS, seconds), LONGEST_SECONDS)
        if beside is not None:
            if not self._is_woken_beside(beside, seconds):
                return False
            seconds = SHORTEST_SECONDS
        self._receiver.settimeout(seconds)
        try:
            self._receiver.recv(4096)
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Give back the sockets."""
        self._receiver.close()
        self._sender.close()

    def _is_woken_beside(self, descriptor: int, seconds: float) -> bool:
        """Wait for both; a selector takes descriptors above 1023, ``select.select`` does not."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._receiver, selectors.EVENT_READ)
            selector.register(descriptor, selectors.EVENT_READ)
            ready = selector.select(seconds)
        return any(key.fileobj is self._receiver for key, _ in ready)
