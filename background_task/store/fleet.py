"""The rows of workers: who is alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from ..exceptions import DuplicateWorkerError
from ..identity import is_name_with, is_pid_running
from ..models import Worker
from .clock import read_clock

#: How long rows of stopped workers are kept for people to see.
KEPT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What a worker says of itself when it gives a sign of life.

    Attributes:
        memory_bytes: The memory of its process; None if it cannot be known.
        processed: How many runs have come to an end in it.
    """

    memory_bytes: int | None = None
    processed: int | None = None

    def columns(self) -> dict[str, int | None]:
        """Return the values for its row."""
        return {"memory_bytes": self.memory_bytes, "processed": self.processed}


UNKNOWN = Vitals()


class Fleet:
    """The workers of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def register(
        self,
        name: str,
        *,
        queues: str,
        capacity: int,
        lease: timedelta,
        now: datetime | None = None,
        vitals: Vitals = UNKNOWN,
    ) -> None:
        """Enter a worker that is alive until its lease runs out, and forget long gone ones."""
        now = read_clock(self.using) if now is None else now
        workers = Worker.objects.using(self.using)
        workers.filter(stopped_at__lt=now - KEPT).delete()
        workers.create(
            name=name,
            host=socket.gethostname()[:255],
            pid=os.getpid(),
            queues=queues,
            capacity=capacity,
            started_at=now,
            heartbeat_at=now,
            expires_at=now + lease,
            **vitals.columns(),
        )

    def renew(
        self,
        name: str,
        *,
        lease: timedelta,
        now: datetime | None = None,
        vitals: Vitals = UNKNOWN,
    ) -> bool:
        """Extend the lease of a worker; False if others have already taken it for dead."""
        now = read_clock(self.using) if now is None else now
        alive = Worker.objects.using(self.using).filter(name=name, stopped_at__isnull=True)
        changed = {"heartbeat_at": now, "expires_at": now + lease, **vitals.columns()}
        return bool(alive.update(**changed))

    def retire(
        self, name: str, *, now: datetime | None = None, vitals: Vitals | None = None
    ) -> None:
        """Mark a worker as stopped."""
        now = read_clock(self.using) if now is None else now
        alive = Worker.objects.using(self.using).filter(name=name, stopped_at__isnull=True)
        last_words = {} if vitals is None else vitals.columns()
        alive.update(heartbeat_at=now, stopped_at=now, **last_words)

    def check_label(self, label: str, *, of: str = "", now: datetime | None = None) -> None:
        """Make sure that nobody alive has a name with this label.

        A worker that was killed seems to be alive until its lease is over, unless its process ran
        on this machine, where it can be seen to be gone.

        Args:
            label: See ``new_worker_name``.
            of: The name of the worker that asks.
            now: Overrides the database's clock.

        Raises:
            DuplicateWorkerError: Somebody has.
        """
        now = read_clock(self.using) if now is None else now
        worker = self.holder(label, of=of, now=now)
        if worker is not None:
            seconds = (worker.expires_at - now).total_seconds()
            raise DuplicateWorkerError(
                f"a worker with the id {label!r} is alive ({worker.name}, process {worker.pid} "
                f"on {worker.host}), and each needs an id of its own; choose another one, or "
                f"stop that worker; if it was killed, its id is free in {seconds:.0f} seconds"
            )

    def holder(self, label: str, *, of: str = "", now: datetime | None = None) -> Worker | None:
        """Return the living worker that has a name with this label; see ``check_label``."""
        now = read_clock(self.using) if now is None else now
        workers = Worker.objects.using(self.using).filter(Worker.alive(now)).exclude(name=of)
        named = (worker for worker in workers if is_name_with(label, worker.name))
        return next((worker for worker in named if not _is_gone(worker)), None)

    def last_seen(self) -> datetime | None:
        """Return when any worker last gave a sign of life."""
        workers = Worker.objects.using(self.using).order_by("-heartbeat_at")
        return workers.values_list("heartbeat_at", flat=True).first()

    def living(self, *, now: datetime) -> list[str]:
        """Return the names of all workers that are alive."""
        workers = Worker.objects.using(self.using).filter(Worker.alive(now))
        return list(workers.values_list("name", flat=True))

    def silent(self, *, now: datetime) -> list[str]:
        """Return the names of workers whose lease has run out and that nobody has declared dead."""
        workers = Worker.objects.using(self.using).filter(
            stopped_at__isnull=True, expires_at__lt=now
        )
        return list(workers.values_list("name", flat=True))

    def declare_dead(self, names: Collection[str], *, now: datetime) -> int:
        """Mark those of the workers as stopped that are still silent; return how many.

        A worker that was only slow finds the mark at its next heartbeat and takes a new name.
        """
        workers = Worker.objects.using(self.using).filter(name__in=names)
        return workers.filter(stopped_at__isnull=True, expires_at__lt=now).update(stopped_at=now)

    def is_anyone_alive(self, *, now: datetime | None = None) -> bool:
        """Tell whether a worker is alive."""
        now = read_clock(self.using) if now is None else now
        return Worker.objects.using(self.using).filter(Worker.alive(now)).exists()

    def is_anyone_overdue(self, *, now: datetime | None = None) -> bool:
        """Tell whether a lease has run out of a worker that nobody has declared dead yet."""
        now = read_clock(self.using) if now is None else now
        workers = Worker.objects.using(self.using)
        return workers.filter(stopped_at__isnull=True, expires_at__lt=now).exists()

    def was_anyone_alive(self, moment: datetime) -> bool:
        """Tell whether a worker was alive at a time within the last day."""
        workers = Worker.objects.using(self.using).filter(
            Q(stopped_at__isnull=True) | Q(stopped_at__gte=moment),
            started_at__lte=moment,
            expires_at__gte=moment,
        )
        return workers.exists()


def _is_gone(worker: Worker) -> bool:
    """Tell whether a worker's process can be seen to have ended, from here."""
    is_here = worker.host == socket.gethostname()[:255] and worker.pid != os.getpid()
    return is_here and os.name != "nt" and not is_pid_running(worker.pid)
