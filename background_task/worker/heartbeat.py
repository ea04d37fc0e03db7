"""Keeps the worker alive in the database, from a thread that no task can hold up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError

from .. import telemetry
from ..exceptions import DuplicateWorkerError
from ..identity import new_worker_name
from ..store import Fleet
from ..store.fleet import Vitals
from .control import Backoff
from .hygiene import close_connections
from .options import Options, Summary
from .recycle import MIB, resident_mib

#: Heartbeats within one lease: two may be lost before anybody takes the worker for dead.
BEATS_PER_LEASE = 4
#: The longest pause between tries while the database is away. Others judge nobody dead until the
#: database has been back for longer than this (see ``Recovery``).
LONGEST_RETRY_SECONDS = 1.0


class Identity:
    """The worker's entry in the database: its name, and how it is renewed.

    Args:
        fleet: The table of workers.
        queues: What it serves, for people to read.
        capacity: How many tasks it runs at once.
        lease: How long it counts as alive after a heartbeat.
        label: What people call it, and what its names begin with.
        is_label_free: Whether it is certain that no other worker has this label.
        processed: Tells how many runs have come to an end.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        queues: str,
        capacity: int,
        lease: timedelta,
        label: str | None = None,
        is_label_free: bool = False,
        processed: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.label = label
        self.name = new_worker_name(label)
        #: All that it has ever had.
        self.names = {self.name}
        self._is_label_free = label is None or is_label_free
        self.fleet = fleet
        self.queues = queues
        self.capacity = capacity
        self.lease = lease
        self.renewed_at = time.monotonic()
        self._processed = processed
        self._lock = threading.Lock()

    @classmethod
    def of(cls, options: Options, using: str, *, capacity: int, summary: Summary) -> Identity:
        """Return the identity of a worker that runs with these options.

        Args:
            options: How it is to run.
            using: The database of its rows.
            capacity: How many tasks it runs at once.
            summary: What it does under its names is counted there.
        """
        identity = cls(
            Fleet(using),
            queues=options.queues_text(),
            capacity=capacity,
            lease=options.lease,
            label=options.label,
            is_label_free=options.is_label_free,
            processed=lambda: summary.processed,
        )
        summary.owners = identity.names
        return identity

    def register(self, name: str | None = None) -> None:
        """Enter the worker, under another name if one is given."""
        begun, name, lease = time.monotonic(), name or self.name, self.lease
        try:
            self.fleet.register(
                name,
                queues=self.queues,
                capacity=self.capacity,
                lease=lease,
                vitals=self._vitals(),
            )
        except IntegrityError:  # an earlier try got through, only its confirmation did not
            if not self.fleet.renew(name, lease=lease):
                raise
        self.renewed_at = begun
        if not self._is_label_free:
            self._claim_label()
        telemetry.event("heartbeat", worker=name)

    def _claim_label(self) -> None:
        """Make sure that no other living worker has the label, or say goodbye.

        Asked when this worker can be seen: of two that start at once, at least one sees the other.
        Should none see it, or should one that was only frozen come back, no harm is done to rows:
        both work under names of their own.
        """
        try:
            self.fleet.check_label(self.label or "", of=self.name)
        except DuplicateWorkerError:
            self.fleet.retire(self.name)
            raise
        self._is_label_free = True

    def renew(self) -> None:
        """Extend the lease; if others have declared it over, go on under a new name.

        What the old name still held is theirs: this worker's writes for it match no row.
        """
        with self._lock:  # the heartbeat and the loop may notice the same eviction
            begun = time.monotonic()
            if self.fleet.renew(self.name, lease=self.lease, vitals=self._vitals()):
                self.renewed_at = begun
                telemetry.event("heartbeat", worker=self.name)
                return
            former, name = self.name, new_worker_name(self.label)
            self.register(name)
            self.names.add(name)
            self.name = name
        telemetry.event("evicted", worker=former, name=name)

    def is_overdue(self) -> bool:
        """Tell whether others may have taken this worker for dead since the last heartbeat.

        Then nothing may be claimed: the heartbeat's thread need not be the first to run in a
        process that was stopped and continued.
        """
        return time.monotonic() - self.renewed_at >= self.lease.total_seconds()

    def retire(self) -> None:
        """Say goodbye."""
        self.fleet.retire(self.name, vitals=self._vitals())

    def _vitals(self) -> Vitals:
        memory = resident_mib()
        return Vitals(None if memory is None else int(memory * MIB), self._processed())


@dataclass(frozen=True)
class Errand:
    """Something small to ask the database now and then, which no task may hold up.

    Attributes:
        act: Does it, with one statement or none.
        interval: The pause between two times, in seconds.
    """

    act: Callable[[], object]
    interval: float


class Heartbeat(threading.Thread):
    """Renews the lease a few times in each lease period, and runs errands in between.

    Args:
        identity: What to renew.
        errands: What else to do.
    """

    def __init__(self, identity: Identity, *, errands: Sequence[Errand] = ()) -> None:
        super().__init__(name="background_task heartbeat", daemon=True)
        self.identity = identity
        self.in_contact_since: float | None = time.monotonic()
        beat = Errand(self._beat, identity.lease.total_seconds() / BEATS_PER_LEASE)
        self._errands = (beat, *errands)
        self._due = [time.monotonic() + errand.interval for errand in self._errands]
        self._backoff = Backoff(longest=LONGEST_RETRY_SECONDS)
        self._ended = threading.Event()

    def run(self) -> None:
        """Beat until ``end`` is called."""
        while not self._ended.wait(max(0.0, self._due[self._next()] - time.monotonic())):
            place = self._next()
            errand, is_beat = self._errands[place], place == 0
            try:
                errand.act()
            except Exception:  # noqa: BLE001 - on broken sockets drivers raise more than Error
                close_connections()
                self._due[place] = time.monotonic() + errand.interval
                # A beat tells whether the database is away.
                self._due[0] = time.monotonic() + (self._backoff.next() if is_beat else 0.0)
            else:
                self._due[place] = time.monotonic() + errand.interval
        close_connections()

    def _next(self) -> int:
        """Return what is next: the beat, if that is due, or if the database is away."""
        if self.in_contact_since is None or self._due[0] <= time.monotonic():
            return 0
        return min(range(len(self._due)), key=self._due.__getitem__)

    def _beat(self) -> None:
        try:
            self.identity.renew()
        except Exception:
            # Whatever it was: without a heartbeat others would take this worker's tasks.
            self.in_contact_since = None
            raise
        self._backoff.reset()
        if self.in_contact_since is None:
            self.in_contact_since = time.monotonic()

    def end(self) -> None:
        """Stop beating; returns when the thread is gone, or is held up by a dead connection."""
        self._ended.set()
        self.join(timeout=5)

    def contact_seconds(self) -> float:
        """Return for how long the database has been reachable without a break."""
        since = self.in_contact_since
        return 0.0 if since is None else time.monotonic() - since


class Watchdog(threading.Thread):
    """Looks after time limits, from a thread that no task can hold up.

    Args:
        checks: Called several times a second.
    """

    INTERVAL_SECONDS = 0.2

    def __init__(self, *checks: Callable[[], None]) -> None:
        super().__init__(name="background_task watchdog", daemon=True)
        self._checks = checks
        self._ended = threading.Event()

    def run(self) -> None:
        """Watch until ``end`` is called."""
        while not self._ended.wait(self.INTERVAL_SECONDS):
            for check in self._checks:
                check()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self.join(timeout=5)
