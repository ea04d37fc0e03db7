"""How code is run: one protocol, one class for each way."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
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

    def load(self) -> int:
        """Return how many claims run or wait to be run."""
        ...

    def submit(self, claim: Claim) -> None:
        """Take a claim to be run when a slot is free."""
        ...

    def work_off(self) -> None:
        """Run what waits, if the executor has no threads of its own to do so."""
        ...

    def has_waiting(self) -> bool:
        """Tell whether claims have been submitted that have not begun."""
        ...

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Tell whether claims wait although none has begun or ended for so many seconds."""
        ...

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun; they will not be run here."""
        ...

    def claims(self) -> list[Claim]:
        """Return the claims that run or wait to be run."""
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
        work: Runs a claim and passes on its outcome.
        control: The worker's orders.
    """

    def __init__(self, work: Callable[[Claim], None], *, control: Control) -> None:
        self.slots = 1
        self._work = work
        self._control = control
        self._waiting: deque[Claim] = deque()
        self._current: Claim | None = None
        self._moved_at = 0.0

    def load(self) -> int:
        """Return how many claims wait: when the loop can ask, none runs."""
        return len(self._waiting)

    def submit(self, claim: Claim) -> None:
        """Take a claim to be run by ``work_off``."""
        self._moved_at = time.monotonic()
        self._waiting.append(claim)

    def work_off(self) -> None:
        """Run what waits, until told to stop."""
        while not self._control.is_stopping:
            self._moved_at = time.monotonic()
            try:
                self._current = self._waiting.popleft()  # the keeper may take some, too
            except IndexError:
                return
            try:
                self._work(self._current)
            finally:
                self._current = None
            self._control.pause()

    def has_waiting(self) -> bool:
        """Tell whether claims have not begun."""
        return bool(self._waiting)

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Tell whether the running claim holds up others."""
        return bool(self._waiting) and now - self._moved_at > seconds

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun."""
        taken = []
        while self._waiting:
            try:
                taken.append(self._waiting.popleft())
            except IndexError:  # the loop has just taken the last one
                break
        return taken

    def claims(self) -> list[Claim]:
        """Return the claims that run or wait."""
        waiting = list(self._waiting.copy())
        current = self._current
        return waiting if current is None else [current, *waiting]

    def forget_connections(self) -> None:
        """Nothing to do: the loop has closed those of its own thread."""

    def drain(self) -> list[Claim]:
        """Return nothing: nothing is left running."""
        return []


class ThreadExecutor:
    """Runs claims on threads of its own.

    The threads are daemons: what still runs when the worker has waited long enough cannot keep
    the process alive. Its row is released, and whatever it writes for it later matches nothing.

    Args:
        work: Runs a claim and passes on its outcome.
        threads: How many claims run at once.
        control: The worker's orders.
    """

    def __init__(self, work: Callable[[Claim], None], *, threads: int, control: Control) -> None:
        self.slots = threads
        self._work = work
        self._control = control
        self._inbox: queue.SimpleQueue[Claim | None] = queue.SimpleQueue()
        self._submitted: dict[tuple[int, int], Claim] = {}
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._outages = 0
        self._moved_at = 0.0

    def load(self) -> int:
        """Return how many claims run or wait."""
        with self._lock:
            return len(self._submitted)

    def submit(self, claim: Claim) -> None:
        """Hand the claim to the threads."""
        with self._lock:
            self._submitted[claim.task_id, claim.number] = claim
            is_short = len(self._threads) < min(self.slots, len(self._submitted))
        self._moved_at = time.monotonic()
        self._inbox.put(claim)
        if is_short:
            name = f"background_task {len(self._threads) + 1}"
            thread = threading.Thread(target=self._serve, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the system gives no more; those that there are do the work
                if not self._threads:
                    raise
            else:
                self._threads.append(thread)
        self._control.pause()

    def work_off(self) -> None:
        """Nothing to do: the threads do it."""

    def has_waiting(self) -> bool:
        """Tell whether claims have not begun."""
        return not self._inbox.empty()

    def is_stalled(self, now: float, seconds: float) -> bool:
        """Tell whether the running claims hold up others."""
        return self.has_waiting() and now - self._moved_at > seconds

    def take_back(self) -> list[Claim]:
        """Return the claims that have not begun."""
        taken: list[Claim] = []
        try:
            while (claim := self._inbox.get_nowait()) is not None:
                taken.append(claim)
        except queue.Empty:
            pass
        with self._lock:
            for claim in taken:
                self._submitted.pop((claim.task_id, claim.number), None)
        return taken

    def claims(self) -> list[Claim]:
        """Return the claims that run or wait."""
        with self._lock:
            return list(self._submitted.values())

    def forget_connections(self) -> None:
        """Let each thread close its connections before its next claim, not in the middle of one.

        An idle thread cannot know that the server was restarted: the next task's first query
        would fail, and cost the task an attempt.
        """
        self._outages += 1

    def drain(self) -> list[Claim]:
        """Wait for the threads; return the claims that they did not finish in time."""
        while self.load() and self._control.remaining() > 0:
            self._control.polling.wait(min(self._control.remaining(), 1.0))
        left = self.claims()
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
                if not self._control.is_stopping:  # what has not begun is released
                    self._work(claim)
            finally:
                with self._lock:
                    del self._submitted[claim.task_id, claim.number]
                self._moved_at = time.monotonic()
                # While there is more to do, the loop need not be disturbed: it looks in by itself.
                if self._inbox.empty():
                    self._control.polling.wake()
