"""How code is run: one protocol, one class for each way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from ..attempt import Claim
from .control import Control
from .hygiene import close_connections

#: A thread without work gives its database connections back after this time.
IDLE_SECONDS = 30.0


class Executor(Protocol):
    """Runs claims in a number of slots."""

    slots: int

    def free(self) -> int:
        """Return how many claims can be submitted now."""
        ...

    def submit(self, claim: Claim) -> None:
        """Run a claim, now or soon; the caller has looked at ``free`` before."""
        ...

    def running(self) -> list[Claim]:
        """Return the claims that are not finished."""
        ...

    def forget_connections(self) -> None:
        """The database has failed: let threads connect anew before they run another claim."""
        ...

    def drain(self) -> list[Claim]:
        """Wait for running claims as long as the worker's orders allow; return those left."""
        ...


class InlineExecutor:
    """Runs each claim in the loop's own thread: one after another.

    Args:
        work: Runs a claim and records its outcome.
    """

    def __init__(self, work: Callable[[Claim], None]) -> None:
        self.slots = 1
        self._work = work
        self._current: Claim | None = None

    def free(self) -> int:
        """Return 1: when the loop can ask, nothing runs."""
        return 1

    def submit(self, claim: Claim) -> None:
        """Run the claim and return when it is done."""
        self._current = claim
        try:
            self._work(claim)
        finally:
            self._current = None

    def running(self) -> list[Claim]:
        """Return the claim that runs, if the caller is another thread."""
        current = self._current
        return [] if current is None else [current]

    def forget_connections(self) -> None:
        """Nothing to do: the loop has closed those of its own thread."""

    def drain(self) -> list[Claim]:
        """Return nothing: nothing is left."""
        return []


class ThreadExecutor:
    """Runs claims on threads of its own.

    The threads are daemons: what still runs when the worker has waited long enough cannot keep
    the process alive. Its row is released, and whatever it writes for it later matches nothing.

    Args:
        work: Runs a claim and records its outcome.
        threads: How many claims run at once.
        control: The worker's orders.
    """

    def __init__(self, work: Callable[[Claim], None], *, threads: int, control: Control) -> None:
        self.slots = threads
        self._work = work
        self._control = control
        self._inbox: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._running: dict[tuple[int, int], Claim] = {}
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._outages = 0

    def free(self) -> int:
        """Return how many threads have nothing to do."""
        with self._changed:
            return self.slots - len(self._running)

    def submit(self, claim: Claim) -> None:
        """Hand the claim to a thread."""
        with self._changed:
            self._running[claim.task_id, claim.number] = claim
            is_short = len(self._threads) < min(self.slots, len(self._running))
        self._inbox.put(claim)
        if is_short:
            name = f"background_task {len(self._threads) + 1}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def running(self) -> list[Claim]:
        """Return the claims that are not finished."""
        with self._changed:
            return list(self._running.values())

    def forget_connections(self) -> None:
        """Let each thread close its connections before its next claim, not in the middle of one.

        An idle thread cannot know that the server was restarted: the next task's first query
        would fail, and cost the task an attempt.
        """
        self._outages += 1

    def drain(self) -> list[Claim]:
        """Wait for the threads; return the claims that they did not finish in time."""
        while self.running() and self._control.remaining() > 0:
            self._control.polling.wait(min(self._control.remaining(), 1.0))
        left = self.running()
        for _ in self._threads:
            self._inbox.put(None)
        if not left:
            until = time.monotonic() + 5
            for thread in self._threads:
                thread.join(timeout=max(0.0, until - time.monotonic()))
        return left

    def _serve(self) -> None:
        outages = self._outages
        while True:
            try:
                claim = self._inbox.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                close_connections()
                continue
            if claim is None:
                close_connections()
                return
            if outages != self._outages:
                outages = self._outages
                close_connections()
            try:
                self._work(claim)
            finally:
                with self._changed:
                    del self._running[claim.task_id, claim.number]
                self._control.polling.wake()
