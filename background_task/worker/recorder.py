"""Adds up what becomes of this worker's tasks, and writes it down now and then.

Each end of a run costs about a microsecond. What has been counted goes to the database a few times
a minute, in one statement, from the thread of the bookkeeper: no task can hold it up, and it holds
up no task and no heartbeat. A worker that is killed takes with it what it has counted since.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from django.db import Error

from .. import telemetry
from ..recurrence.zone import instant
from ..rollup import OTHER, Tally
from ..store import is_outage
from ..store.rollups import Key, Rollups

#: How often what was counted is written.
INTERVAL_SECONDS = 10.0
#: How many functions are told apart between two times; the others count as ``OTHER``.
MOST_KEYS = 1000

#: Event -> what is counted.
ENDS = {
    "success": "succeeded",
    "failure": "failed",
    "retry": "retried",
    "discard": "discarded",
    "cancel": "cancelled",
}
#: Those whose exceptions are told apart.
ERRORS = ("failure", "retry")


class Recorder:
    """Counts for one worker, or for one thread.

    Args:
        rollups: Where it is written.
        owners: The names of the worker whose runs are counted. None counts all that is told in the
            thread that opens this.
    """

    def __init__(self, rollups: Rollups, *, owners: Collection[str] | None) -> None:
        self.rollups = rollups
        self.owners = owners
        self._tallies: dict[Key, Tally] = {}
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._has_told = False

    def open(self) -> None:
        """Count from now on; what this thread takes back from dead workers counts, too."""
        self._thread = threading.get_ident()
        telemetry.subscribe(self.count, to=ENDS)

    def close(self) -> None:
        """Count no more."""
        if self._thread is not None:
            self._thread = None
            telemetry.unsubscribe(self.count)

    def has_counted(self) -> bool:
        """Tell whether there is anything to write."""
        return bool(self._tallies)

    def count(self, name: str, fields: dict[str, Any]) -> None:
        """Count an event; called in the thread where it happens.

        Rivals: several workers in this process, each with a recorder. What a run comes to is told
        under its worker's name, so it is that one's. What is taken back from a dead worker is told
        under a name that may be anybody's; it belongs to whose thread takes it back.
        """
        claim = fields["claim"]
        lost = fields.get("lost", False)
        if lost or self.owners is None:
            if threading.get_ident() != self._thread:
                return
        elif getattr(claim, "owner", None) not in self.owners:
            return
        wait, seconds = _wait_of(claim), None if lost else fields["seconds"]
        is_error = name in ERRORS and not fields.get("is_wish")
        error = fields["error_class"] if is_error else None
        with self._lock:
            key = (claim.task_name, claim.queue or None)
            tally = self._tally(key)
            counter = ENDS[name]
            setattr(tally, counter, getattr(tally, counter) + 1)
            if wait is not None:
                tally.waits.add(wait)
            if seconds is not None:
                tally.runs.add(seconds)
            if error:
                tally.errors[error] += 1

    def write(self) -> None:
        """Write what was counted; if that fails, keep it for the next time.

        Only a write that succeeded without this worker's learning of it counts twice.

        Raises:
            Exception: It has failed.
        """
        with self._lock:
            tallies, self._tallies = self._tallies, {}
        try:
            self.rollups.add(tallies)
        except Exception as error:
            self._take_back(tallies)
            if not self._has_told and not (isinstance(error, Error) and is_outage(error)):
                self._has_told = True
                telemetry.event("not_counted", exception=error)
            raise

    def try_to_write(self) -> None:
        """Write what was counted, unless the database cannot be used."""
        with suppress(Exception):
            self.write()

    def _take_back(self, tallies: dict[Key, Tally]) -> None:
        with self._lock:
            for key, tally in tallies.items():
                self._tally(key).merge(tally)

    def _tally(self, key: Key) -> Tally:
        """Return what counts for a function. Called with the lock held."""
        tally = self._tallies.get(key)
        if tally is None:
            if len(self._tallies) >= MOST_KEYS:
                key = (OTHER, None)
            tally = self._tallies.setdefault(key, Tally())
        return tally


def _wait_of(claim: Any) -> float | None:
    """Return how long a task was due before it was claimed; None if nobody knows.

    What was stored with a time in the past has waited only since then. A task that a limit had put
    aside has been given its own time again before it was claimed, so it has waited for its limit.
    """
    since, until = claim.run_at, claim.locked_at  # SQLite takes any text, some of it unreadable
    if since is None or until is None:
        return None
    if claim.enqueued_at is not None and claim.enqueued_at > since:
        since = claim.enqueued_at
    if until.tzinfo is None:
        since, until = instant(since), instant(until)
    seconds: float = (until - since).total_seconds()
    return seconds
