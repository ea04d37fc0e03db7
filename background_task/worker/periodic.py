"""Puts the ticks of periodic tasks into the queue, each once, however many workers do so.

There is no leader. Each worker knows from the table of schedules when it has to look at one, and
takes a tick by changing its row, in the same transaction that inserts the task. Of two workers at
the same tick the second one's change finds another revision, changes nothing, and inserts nothing.

When workers with different code run side by side, as during a deployment, the declaration of the
one that was started last is in the row. The others leave that schedule alone, until none that
agrees with the row has been there for two leases.
"""

from __future__ import annotations

import math
import time
from datetime import datetime, timedelta

from django.db import Error, transaction

from .. import telemetry
from ..declaration import Declaration
from ..recurrence.zone import TICK, instant
from ..registry import Registry
from ..store import Fleet, Store, is_outage
from ..store.schedule import ScheduleRow, Schedules, stored_moment
from .heartbeat import BEATS_PER_LEASE
from .served import all_declared

#: How many ticks of one schedule are put at once; then the worker sees to its other duties.
MOST_TICKS = 100
#: How long a row is kept that no worker declares: whether it was paused, and what it did last.
KEPT = timedelta(days=30)


class Ticker:
    """Sees to the schedules of the functions that a worker has.

    Args:
        store: Where the rows are.
        registry: The functions by name.
        lease: The worker's own lease; a quarter of it is how often the table is read.
    """

    def __init__(self, store: Store, *, registry: Registry, lease: timedelta) -> None:
        found = all_declared(registry)
        self.declarations = {declaration.key: declaration for declaration in found.values()}
        self.store = store
        self.lease = lease
        self.schedules = Schedules(store.using)
        self._fleet = Fleet(store.using)
        self._rows: dict[str, ScheduleRow] = {}
        self._started_at: datetime | None = None
        self._read_again = time.monotonic()
        self._due = self._read_again if self.declarations else math.inf

    def seconds_until_due(self) -> float:
        """Return how long the loop may sleep before it should call ``run_if_due``."""
        return max(0.0, self._due - time.monotonic())

    def run_if_due(self) -> int:
        """Put what is due into the queue, if there may be any; return how many it has taken."""
        return 0 if self.seconds_until_due() > 0 else self.look(instant(self.store.now()))

    def look(self, now: datetime) -> int:
        """Put what is due into the queue, after a look at the table if it is time for one."""
        if time.monotonic() >= self._read_again:
            self.read(now)
        return self.tick(now)

    def due(self, now: datetime) -> list[tuple[Declaration, ScheduleRow]]:
        """Return the schedules that have a tick to put, as far as this worker knows."""
        due = [(self.declarations[key], row) for key, row in self._rows.items() if row.is_due(now)]
        return sorted(due, key=lambda pair: (pair[1].next_tick_at, pair[1].name))

    def tick(self, now: datetime) -> int:
        """Put the due ticks into the queue; return how many this worker has taken."""
        put = 0
        for declaration, row in self.due(now):
            try:
                put += self._see_to(declaration, row, now=now)
            except Error:
                raise
            except Exception as error:  # noqa: BLE001 - one schedule must not end the worker
                del self._rows[declaration.key]  # until the table is read again
                telemetry.event(
                    "tick_lost", schedule=row.name, tick=row.next_tick_at, exception=error
                )
        times = [row.next_tick_at for row in self._rows.values() if not row.is_paused]
        next_at = min((moment for moment in times if moment is not None), default=None)
        self._due = self._read_again
        if next_at is not None:
            self._due = min(self._due, time.monotonic() + (next_at - now).total_seconds())
        return put

    # -- the table ------------------------------------------------------------------------------

    def read(self, now: datetime) -> None:
        """Learn when to tick what, enter what is new, and say that somebody is there."""
        self._started_at = self._started_at or now
        rows = self.schedules.read()
        if self._declare(rows, now=now):
            rows = self.schedules.read()
        self._rows = {
            key: rows[key]
            for key, declaration in self.declarations.items()
            if key in rows and rows[key].digest == declaration.digest
        }
        unseen = [key for key, row in self._rows.items() if row.seen_at < now - self.lease / 2]
        if unseen:
            self.schedules.mark_seen(unseen, now=now)
        if any(row.seen_at < now - KEPT for key, row in rows.items() if key not in self._rows):
            self.schedules.forget(before=now - KEPT)
        self._read_again = time.monotonic() + self.lease.total_seconds() / BEATS_PER_LEASE

    def _declare(self, rows: dict[str, ScheduleRow], *, now: datetime) -> bool:
        """Write what is not yet in the table and what this worker knows better."""
        missing: list[ScheduleRow] = []
        has_changed = False
        for key, declaration in self.declarations.items():
            row = rows.get(key)
            if row is None:
                missing.append(self._first_row(declaration, now=now))
            elif row.digest != declaration.digest and self._knows_better(row, now=now):
                self._change(row, declaration, now=now)
                has_changed = True
        if missing:
            self.schedules.add(missing)
        return has_changed or bool(missing)

    def _knows_better(self, row: ScheduleRow, *, now: datetime) -> bool:
        was_started_later = self._started_at is not None and self._started_at > row.declared_at
        return was_started_later or row.seen_at < now - 2 * self.lease

    def _first_row(self, declaration: Declaration, *, now: datetime) -> ScheduleRow:
        return ScheduleRow(
            key=declaration.key,
            name=declaration.name,
            task_name=declaration.callee.name,
            rule=str(declaration.rule),
            digest=declaration.digest,
            last_tick_at=None,
            next_tick_at=declaration.after(now),
            is_paused=False,
            declared_at=self._started_at or now,
            seen_at=now,
        )

    def _change(self, row: ScheduleRow, declaration: Declaration, *, now: datetime) -> None:
        """Write another declaration; another rule begins anew, after the last tick and now."""
        first = self._first_row(declaration, now=now)
        next_tick_at = row.next_tick_at
        if first.rule != row.rule:
            next_tick_at = declaration.after(max(now - TICK, row.last_tick_at or now - TICK))
        self.schedules.change(
            row,
            task_name=first.task_name,
            rule=first.rule,
            digest=first.digest,
            next_tick_at=next_tick_at,
            declared_at=first.declared_at,
            seen_at=now,
        )

    # -- ticks ----------------------------------------------------------------------------------

    def _see_to(self, declaration: Declaration, row: ScheduleRow, *, now: datetime) -> int:
        """Put the due ticks of one schedule, one transaction each; return how many."""
        put = 0
        for _ in range(MOST_TICKS):
            due_at = row.next_tick_at
            if due_at is None or due_at > now:
                break
            tick, following = declaration.step(
                due_at, now=now, grace=self.lease, was_watched=self._was_watched
            )
            changed = self._put(declaration, row, tick=tick, following=following)
            if changed is None:  # somebody was quicker, or has paused it: what is known is old
                self._read_again = time.monotonic()
                del self._rows[declaration.key]
                break
            self._rows[declaration.key] = row = changed
            put += tick is not None
        return put

    def _put(
        self,
        declaration: Declaration,
        row: ScheduleRow,
        *,
        tick: datetime | None,
        following: datetime | None,
    ) -> ScheduleRow | None:
        """Take one tick and insert its task, both or neither; None if a rival has taken it."""
        if tick is None:
            return self.schedules.change(row, next_tick_at=following)
        task = None
        try:
            # Before the row is locked: a function of the project's may take long.
            args, kwargs = declaration.arguments()
            with transaction.atomic(using=self.store.using):
                # A write comes first: it makes the rivals wait, on SQLite, too.
                changed = self.schedules.change(row, last_tick_at=tick, next_tick_at=following)
                if changed is not None:
                    task = declaration.call(stored_moment(tick), args, kwargs)
        except (Exception, SystemExit) as error:
            if isinstance(error, Error) and (is_outage(error) or self.store.in_transaction()):
                raise
            changed = self.schedules.change(row, last_tick_at=tick, next_tick_at=following)
            if changed is not None:
                telemetry.event("tick_lost", schedule=row.name, tick=tick, exception=error)
            return changed
        if task is not None:  # unless the function's options leave it out
            telemetry.event("tick", schedule=row.name, tick=tick)
        return changed

    def _was_watched(self, moment: datetime) -> bool:
        return self._fleet.was_anyone_alive(stored_moment(moment))
