"""The schedules of django-celery-beat."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q

from ..exceptions import InvalidOptionError
from ..recurrence import Crontab, Interval, Rule
from .call import Call, checked_arguments, uid_of
from .moment import first_from
from .part import Part, Row, Rows, open_table

#: Tasks of Celery itself, such as the one that tidies up its results.
CELERYS_OWN = "celery."
#: The field of a crontab line, and the column.
CRONTAB = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")
#: What a row may say to the broker.
FOR_THE_BROKER = ("exchange", "routing_key", "priority")
CHANGED = "django_celery_beat_periodictasks"


class PeriodicTasks(Part):
    """Its schedules, with what the four tables of times say. What is taken is disabled there."""

    table = "django_celery_beat_periodictask"
    queue: ClassVar[str] = "queue"
    is_schedule: ClassVar[bool] = True
    says_gone: ClassVar[str] = "disabled there"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": models.BigIntegerField(primary_key=True),
        "name": models.CharField(max_length=200),
        "task": models.CharField(max_length=200),
        "args": models.TextField(),
        "kwargs": models.TextField(),
        "queue": models.CharField(max_length=200, null=True),
        "exchange": models.CharField(max_length=200, null=True),
        "routing_key": models.CharField(max_length=200, null=True),
        "expires": models.DateTimeField(null=True),
        "enabled": models.BooleanField(),
        "last_run_at": models.DateTimeField(null=True),
        "total_run_count": models.PositiveIntegerField(),
        "date_changed": models.DateTimeField(),
        "interval_id": models.BigIntegerField(null=True),
        "crontab_id": models.BigIntegerField(null=True),
        "solar_id": models.BigIntegerField(null=True),
    }
    later_fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "clocked_id": models.BigIntegerField(null=True),
        "priority": models.PositiveIntegerField(null=True),
        "headers": models.TextField(),
        "expire_seconds": models.PositiveIntegerField(null=True),
        "one_off": models.BooleanField(),
        "start_time": models.DateTimeField(null=True),
    }

    def __init__(self, using: str) -> None:
        super().__init__(using)
        self._columns = {field.name for field in self.rows.model._meta.get_fields()}
        self._times: dict[str, dict[int, Row]] = {}

    def waiting(self, now: datetime) -> Rows:
        """Return those that are enabled, but for Celery's own and those that had their only run."""
        return self.rows.filter(enabled=True).exclude(self._passed())

    def others(self, now: datetime) -> dict[str, int]:
        """Count those that are disabled, and Celery's own."""
        enabled = self.rows.filter(enabled=True)
        return {
            "disabled": self.rows.filter(enabled=False).count(),
            "of Celery itself, or ended": enabled.filter(self._passed()).count(),
        }

    def read(self, row: Row, *, now: datetime) -> Call:
        """Return what a row asks for."""
        args, kwargs = checked_arguments(_read(row["args"], []), _read(row["kwargs"], {}))
        rule, run_at = self._time(row, now=now)
        if row["expires"] is not None and row["expires"] < run_at:
            raise InvalidOptionError(f"it expired at {row['expires']}; disable it")
        return Call(
            key=row["id"],
            uid=uid_of(self.table, row["id"]),
            path=row["task"],
            args=args,
            kwargs=kwargs,
            queue=row["queue"] or None,
            run_at=run_at,
            name=row["name"],
            rule=None if row.get("one_off") else rule,
            until=row["expires"],
            expires=row.get("expire_seconds"),
            dropped=_dropped(row),
        )

    def take(self, keys: Collection[Any], *, now: datetime) -> None:
        """Disable them, and leave word for a beat that is running."""
        self.rows.filter(pk__in=keys).update(enabled=False)
        changes = open_table(
            CHANGED,
            {
                "ident": models.SmallIntegerField(primary_key=True),
                "last_update": models.DateTimeField(),
            },
            using=self.using,
        )
        changes.update_or_create(ident=1, defaults={"last_update": now})

    def _passed(self) -> Q:
        passed = Q(task__startswith=CELERYS_OWN)
        if "one_off" in self._columns:
            passed |= Q(one_off=True, total_run_count__gt=0)
        return passed

    def _time(self, row: Row, *, now: datetime) -> tuple[Rule | None, datetime]:
        """Return the rule, None for a single time, and when it is due next, or has been."""
        last_run_at, start_time = row["last_run_at"], row.get("start_time")
        if row["crontab_id"] is not None:
            rule: Rule = _crontab(self._found("crontab", row["crontab_id"]))
            since = last_run_at or now
            return rule, first_from(rule, max(since, start_time or since))
        if row["interval_id"] is not None:
            period = _period(self._found("interval", row["interval_id"]))
            due_at = (last_run_at or row["date_changed"]) + period
            return Interval(period), max(due_at, start_time or due_at)
        if row.get("clocked_id") is not None:
            return None, self._found("clocked", row["clocked_id"])["clocked_time"]
        what = "follows the sun" if row["solar_id"] is not None else "has no time at all"
        raise InvalidOptionError(f"it {what}, and nothing here does; give it a crontab line")

    def _found(self, kind: str, key: int) -> Row:
        if kind not in self._times:
            table = f"django_celery_beat_{kind}schedule"
            rows = open_table(table, TIMES[kind], LATER_TIMES[kind], using=self.using)
            self._times[kind] = {row["id"]: row for row in rows.values()}
        if key not in self._times[kind]:
            raise InvalidOptionError(f"its {kind} {key} is not there; correct the row")
        return self._times[kind][key]


TIMES: dict[str, dict[str, models.Field[Any, Any]]] = {
    "crontab": {
        "id": models.BigIntegerField(primary_key=True),
        **{name: models.CharField(max_length=240) for name in CRONTAB},
    },
    "interval": {
        "id": models.BigIntegerField(primary_key=True),
        "every": models.IntegerField(),
        "period": models.CharField(max_length=24),
    },
    "clocked": {
        "id": models.BigIntegerField(primary_key=True),
        "clocked_time": models.DateTimeField(),
    },
}
LATER_TIMES: dict[str, dict[str, models.Field[Any, Any]]] = {
    "crontab": {"timezone": models.CharField(max_length=63)},
    "interval": {},
    "clocked": {},
}


def _crontab(row: Row) -> Crontab:
    """Return the rule of a crontab row.

    Celery wants the day of the month and that of the week to match, crontab one of them.
    """
    days = (row["day_of_month"], row["day_of_week"])
    if not any(day.startswith("*") for day in days):
        raise InvalidOptionError(
            f"its crontab names days of the month ({days[0]}) and of the week ({days[1]}): Celery "
            "runs it when both match, a crontab line when one does; split it up"
        )
    line = " ".join(row[name].replace(" ", "") or "*" for name in CRONTAB)
    return Crontab.of(line, row.get("timezone") or "UTC")


def _period(row: Row) -> timedelta:
    try:
        period = timedelta(**{row["period"]: row["every"]})
    except (TypeError, OverflowError):
        period = timedelta(0)
    if period <= timedelta(0):
        raise InvalidOptionError(
            f"its interval of {row['every']} {row['period']} is none; correct the row"
        )
    return period


def _read(text: str | None, empty: Any) -> Any:
    try:
        return json.loads(text) if text else empty
    except (ValueError, RecursionError) as error:
        raise InvalidOptionError(
            f"its arguments, {len(text or '')} characters, are no JSON: {error}; correct the row"
        ) from error


def _dropped(row: Row) -> tuple[str, ...]:
    dropped = [name for name in FOR_THE_BROKER if row.get(name) not in (None, "")]
    if _read(row.get("headers"), {}):
        dropped.append("headers")
    return tuple(dropped)
