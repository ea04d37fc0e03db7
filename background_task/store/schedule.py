"""The rows of schedules: which tick of each is next, and who may put it into the queue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connections, transaction
from django.db.models import F

from ..declaration import EPOCH
from ..models import Schedule
from ..recurrence import parse
from ..recurrence.zone import instant, wall_time, zone_called, zone_name


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A row as it was read. All times are in UTC.

    Attributes:
        key: What it is found by: a hash of the name.
        name: What people call it.
        task_name: The function that it calls.
        rule: ``str`` of the rule.
        digest: Tells declarations of one name apart.
        last_tick_at: The last tick that was put into the queue.
        next_tick_at: The next tick; None when the rule has come to its end.
        is_paused: Whether people have paused it.
        declared_at: When the worker was started whose declaration it is.
        seen_at: When a worker with this declaration was last there.
        revision: Grows with each change.
    """

    key: str
    name: str
    task_name: str
    rule: str
    digest: str
    last_tick_at: datetime | None
    next_tick_at: datetime | None
    is_paused: bool
    declared_at: datetime
    seen_at: datetime
    revision: int = 1

    def is_due(self, now: datetime) -> bool:
        """Tell whether a tick is to be put into the queue."""
        return not self.is_paused and self.next_tick_at is not None and self.next_tick_at <= now


FIELDS = tuple(ScheduleRow.__dataclass_fields__)


class Schedules:
    """The schedules of one database.

    Args:
        using: The alias of the database that holds the tables.
    """

    def __init__(self, using: str) -> None:
        self.using = using

    def read(self) -> dict[str, ScheduleRow]:
        """Return all rows by their keys: there are as many as the code declares."""
        rows = (_read(values) for values in self._rows().values(*FIELDS))
        return {row.key: row for row in rows}

    def add(self, rows: Iterable[ScheduleRow]) -> None:
        """Insert rows; those that another worker has inserted meanwhile stay as they are."""
        written = [_stored({name: getattr(row, name) for name in FIELDS}) for row in rows]
        models = [Schedule(**values) for values in written]
        self._rows().bulk_create(models, ignore_conflicts=True)

    def change(self, row: ScheduleRow, **values: Any) -> ScheduleRow | None:
        """Change a row, unless anybody has changed it since it was read; return it as it is now."""
        changed = replace(row, **values, revision=row.revision + 1)
        # The tick, too: a row that was deleted and has come back counts from 1 again.
        read = _stored({"revision": row.revision, "next_tick_at": row.next_tick_at})
        found = self._rows().filter(key=row.key, **read)
        written = {**_stored(values), "revision": changed.revision}
        return changed if found.update(**written) else None

    def mark_seen(self, keys: Iterable[str], *, now: datetime) -> None:
        """Say that there is a worker that would tick these."""
        with transaction.atomic(using=self.using):
            rows = self._locked(self._rows().filter(key__in=list(keys)))
            rows.update(**_stored({"seen_at": now}))

    def forget(self, *, before: datetime) -> None:
        """Delete what no worker has declared for long."""
        with transaction.atomic(using=self.using):
            self._locked(self._rows().filter(**_stored({"seen_at__lt": before}))).delete()

    def pause(self, key: str) -> bool:
        """Put no tick into the queue until further notice; False if there is no such row."""
        rows = self._rows().filter(key=key)
        return bool(rows.update(is_paused=True, revision=F("revision") + 1))

    def resume(self, row: ScheduleRow, *, now: datetime) -> ScheduleRow | None:
        """Go on with the first tick later than ``now``; what came meanwhile is dropped.

        Returns:
            The row as it is now; None if somebody has changed it since it was read.

        Raises:
            InvalidOptionError: The rule cannot be read by this version.
        """
        next_tick_at = parse(row.rule).after(now, start=EPOCH)
        return self.change(row, is_paused=False, next_tick_at=next_tick_at)

    def _locked(self, rows: Any) -> Any:
        """Take the locks of rows, and return the same rows.

        Of two workers that look at the same moment, each writes to the same rows. PostgreSQL locks
        them as it comes across them, which may be in another order for each: then each has a row
        that the other one waits for. By their keys, the second waits for the first.
        """
        if connections[self.using].features.has_select_for_update:
            list(rows.order_by("key").select_for_update().values_list("key"))
        return rows

    def _rows(self) -> Any:
        return Schedule.objects.using(self.using)


def _read(values: dict[str, Any]) -> ScheduleRow:
    times = {name: instant(value) for name, value in values.items() if isinstance(value, datetime)}
    return ScheduleRow(**{**values, **times})


def stored_moment(moment: datetime) -> datetime:
    """Return a time as the project's models hold it: without a zone where ``USE_TZ`` is off."""
    return moment if settings.USE_TZ else wall_time(moment, zone_called(zone_name()))


def _stored(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: stored_moment(value) if isinstance(value, datetime) else value
        for name, value in values.items()
    }
