"""Tasks and schedules of django-q2."""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from dateutil.relativedelta import relativedelta
from django.conf import settings
from django.db import models
from django.db.models import Q

from ..exceptions import InvalidOptionError
from ..payload.text import brief
from ..recurrence import Calendar, Crontab, Rule, make_rule
from ..recurrence.zone import instant
from .call import Call, checked_arguments, uid_of
from .moment import first_from
from .part import Part, Row, Rows
from .pickled import Named, read_package

#: Without a name a cluster is called so.
DEFAULT_CLUSTER = "default"
#: What a caller of django-q2 can say of a task. The first do more than run a function once.
FLOW = ("hook", "chain", "iter_count", "iter_cached")
OPTIONS = (
    *FLOW,
    "group",
    "save",
    "sync",
    "cached",
    "ack_failure",
    "broker",
    "cluster",
    "timeout",
    "task_name",
)
#: Those that change what becomes of the run; the others name it, or say where it is recorded.
TOLD = ("timeout", "cached", "ack_failure")
STEPS = {
    "D": relativedelta(days=1),
    "W": relativedelta(weeks=1),
    "BW": relativedelta(weeks=2),
    "M": relativedelta(months=1),
    "BM": relativedelta(months=2),
    "Q": relativedelta(months=3),
    "Y": relativedelta(years=1),
}
ONCE, MINUTES, HOURLY, CRON = "O", "I", "H", "C"


def cluster_settings() -> Mapping[str, Any]:
    """Return ``Q_CLUSTER``, empty if the project no longer has it."""
    found = getattr(settings, "Q_CLUSTER", None)
    return found if isinstance(found, Mapping) else {}


def queue_of(cluster: str | None) -> str | None:
    """Return the queue for a cluster's tasks; those of the default one are left to the function."""
    usual = cluster_settings()
    named = usual.get("cluster_name") or usual.get("name") or DEFAULT_CLUSTER
    return None if cluster in (None, "", named) else cluster


class QueuedTasks(Part):
    """The queue of the ORM broker. Other brokers keep theirs elsewhere."""

    table = "django_q_ormq"
    queue: ClassVar[str] = "key"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": models.BigIntegerField(primary_key=True),
        "key": models.CharField(max_length=100),
        "payload": models.TextField(),
        "lock": models.DateTimeField(null=True),
    }

    def waiting(self, now: datetime) -> Rows:
        """Return the rows that no cluster has."""
        return self.rows.filter(Q(lock=None) | Q(lock__lte=now))

    def others(self, now: datetime) -> dict[str, int]:
        """Count those that a cluster has taken, for as long as it may have them."""
        return {"running": self.rows.filter(lock__gt=now).count()}

    def read(self, row: Row, *, now: datetime) -> Call:
        """Return what a row asks for."""
        package = read_package(
            row["payload"], salt=cluster_settings().get("name") or DEFAULT_CLUSTER
        )
        options = {name: package[name] for name in OPTIONS if name in package}
        function, started = package.get("func"), package.get("started")
        path = function.path if isinstance(function, Named) else function
        args, kwargs = checked_arguments(package.get("args", ()), package.get("kwargs", {}))
        if not isinstance(path, str) or not isinstance(started, datetime | None):
            raise InvalidOptionError(f"its function {brief(function)} is no path; delete the row")
        return Call(
            key=row["id"],
            uid=_uid(package.get("id"), row["id"]),
            path=path,
            args=args,
            kwargs=kwargs,
            queue=queue_of(row["key"]),
            run_at=started,
            enqueued_at=started,
            dropped=_dropped(options),
        )


class Schedules(Part):
    """Its schedules. What is taken stays there with no repeat left, which switches it off."""

    table = "django_q_schedule"
    queue: ClassVar[str] = "cluster"
    is_schedule: ClassVar[bool] = True
    says_gone: ClassVar[str] = "switched off there (repeats 0)"
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "id": models.BigIntegerField(primary_key=True),
        "name": models.CharField(max_length=100, null=True),
        "func": models.CharField(max_length=256),
        "hook": models.CharField(max_length=256, null=True),
        "args": models.TextField(null=True),
        "kwargs": models.TextField(null=True),
        "schedule_type": models.CharField(max_length=2),
        "minutes": models.PositiveSmallIntegerField(null=True),
        "repeats": models.IntegerField(),
        "next_run": models.DateTimeField(null=True),
    }
    later_fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {
        "cron": models.CharField(max_length=100, null=True),
        "cluster": models.CharField(max_length=100, null=True),
        "intended_date_kwarg": models.CharField(max_length=100, null=True),
    }

    def waiting(self, now: datetime) -> Rows:
        """Return those that are to run again."""
        return self.rows.exclude(repeats=0)

    def others(self, now: datetime) -> dict[str, int]:
        """Count those that have run as often as they were to."""
        return {"ended": self.rows.filter(repeats=0).count()}

    def read(self, row: Row, *, now: datetime) -> Call:
        """Return what a row asks for."""
        args, kwargs = _read_args(row["args"]), _read_kwargs(row["kwargs"])
        options = dict(kwargs.pop("q_options", None) or {})
        options |= {name: kwargs.pop(name) for name in OPTIONS if name in kwargs}
        if row["hook"]:
            options["hook"] = row["hook"]
        if row.get("intended_date_kwarg"):
            raise InvalidOptionError(
                "it passes its intended date on to the function, which nothing here does; let the "
                "function ask for the time, and clear intended_date_kwarg"
            )
        rule = self._rule(row, now=now)
        return Call(
            key=row["id"],
            uid=uid_of(self.table, row["id"]),
            path=row["func"],
            args=args,
            kwargs=kwargs,
            queue=queue_of(row.get("cluster") or options.get("cluster")),
            run_at=row["next_run"] or (now if rule is None else first_from(rule, now)),
            name=row["name"] or f"{row['func']} {row['id']}",
            rule=rule,
            runs=row["repeats"] if rule is not None and row["repeats"] > 0 else None,
            dropped=_dropped(options),
        )

    def take(self, keys: Collection[Any], *, now: datetime) -> None:
        """Leave no repeat: its scheduler passes such rows over, and people still see them."""
        self.rows.filter(pk__in=keys).update(repeats=0)

    def _rule(self, row: Row, *, now: datetime) -> Rule | None:
        zone = cluster_settings().get("time_zone")
        kind = row["schedule_type"]
        if kind == ONCE:
            return None
        if kind in (MINUTES, HOURLY):
            return make_rule(3600 if kind == HOURLY else (row["minutes"] or 1) * 60)
        if kind == CRON:
            return Crontab.of(row.get("cron") or "", zone)
        if kind in STEPS:
            start = instant(row["next_run"] or now)
            return Calendar.of(STEPS[kind], zone).anchored(start)
        raise InvalidOptionError(
            f"its schedule_type {kind!r} is unknown; this reads "
            f"{', '.join((ONCE, MINUTES, HOURLY, CRON, *STEPS))}"
        )


def _uid(text: Any, key: Any) -> UUID:
    try:
        return UUID(text)
    except (TypeError, ValueError, AttributeError):
        return uid_of(QueuedTasks.table, key)


def _dropped(options: Mapping[str, Any]) -> tuple[str, ...]:
    given = [name for name in FLOW if options.get(name)]
    if given:
        raise InvalidOptionError(
            f"it has a {' and a '.join(given)}, and nothing here corresponds to that; call what "
            "follows at the end of the function, and queue it again"
        )
    return tuple(name for name in TOLD if options.get(name) is not None)


def _read_args(text: str | None) -> tuple[Any, ...]:
    """Read positional arguments as its scheduler does: a literal, of which one may stand alone."""
    if not text:
        return ()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise InvalidOptionError(
            f"its arguments, {len(text)} characters, cannot be read: {error}; correct the row"
        ) from error
    return value if isinstance(value, tuple) else (value,)


def _read_kwargs(text: str | None) -> dict[str, Any]:
    """Read keyword arguments, written as a dict or as in a call."""
    if not text:
        return {}
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = _read_call(text)
    return dict(checked_arguments((), value)[1])


def _read_call(text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if isinstance(call, ast.Call) and not call.args:
            return {
                str(each.arg): ast.literal_eval(each.value) for each in call.keywords if each.arg
            }
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        pass
    raise InvalidOptionError(
        f"its keyword arguments, {len(text)} characters, cannot be read; write them as x=1, y='two'"
    )
