"""The tables of the other systems, as their migrations make them, and rows in them."""

import uuid
from datetime import datetime, timezone

from django.db import connection, models

LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def text(length=None, **options):
    return models.CharField(max_length=length, **options) if length else models.TextField(**options)


def moment(**options):
    return models.DateTimeField(**options)


ID = models.AutoField(primary_key=True)
UUID = models.UUIDField(primary_key=True)
NULL = {"null": True}

TABLES = {
    "django_tasks_database_dbtaskresult": {
        "id": UUID,
        "status": text(10, default="READY"),
        "enqueued_at": moment(default=LONG_AGO),
        "started_at": moment(**NULL),
        "finished_at": moment(**NULL),
        "args_kwargs": models.JSONField(),
        "priority": models.IntegerField(default=0),
        "task_path": text(),
        "worker_ids": models.JSONField(default=list),
        "queue_name": text(32, default="default"),
        "backend_name": text(32, default="default"),
        "run_after": moment(default=datetime(9999, 1, 1, tzinfo=timezone.utc)),
        "return_value": models.JSONField(**NULL),
        "exception_class_path": text(default=""),
        "traceback": text(default=""),
        "metadata": models.JSONField(default=dict),
    },
    "dbtasks_scheduledtask": {
        "id": UUID,
        "status": text(10, default="READY"),
        "enqueued_at": moment(default=LONG_AGO),
        "started_at": moment(**NULL),
        "finished_at": moment(**NULL),
        "args": models.JSONField(default=list),
        "kwargs": models.JSONField(default=dict),
        "task_path": text(),
        "priority": models.IntegerField(default=0),
        "queue": text(32, default="default"),
        "backend": text(32, default="default"),
        "run_after": moment(**NULL),
        "delete_after": moment(**NULL),
        "periodic": models.BooleanField(default=False),
        "worker_id": text(200, **NULL),
        "worker_ids": models.JSONField(default=list),
        "return_value": models.JSONField(**NULL),
        "exception_path": text(default=""),
        "traceback": text(default=""),
    },
    "django_database_task_databasetask": {
        "id": UUID,
        "task_path": text(512),
        "queue_name": text(255, default="default"),
        "priority": models.IntegerField(default=0),
        "args_json": models.JSONField(default=list),
        "kwargs_json": models.JSONField(default=dict),
        "status": text(20, default="READY"),
        "run_after": moment(**NULL),
        "enqueued_at": moment(default=LONG_AGO),
        "started_at": moment(**NULL),
        "finished_at": moment(**NULL),
        "last_attempted_at": moment(**NULL),
        "return_value_json": models.JSONField(**NULL),
        "errors_json": models.JSONField(default=list),
        "worker_ids_json": models.JSONField(default=list),
        "backend_name": text(255, default="default"),
        "created_at": moment(default=LONG_AGO),
        "updated_at": moment(default=LONG_AGO),
    },
    "django_q_ormq": {
        "id": ID,
        "key": text(100, default="default"),
        "payload": text(),
        "lock": moment(**NULL),
    },
    "django_q_schedule": {
        "id": ID,
        "name": text(100, **NULL),
        "func": text(256),
        "hook": text(256, **NULL),
        "args": text(**NULL),
        "kwargs": text(**NULL),
        "schedule_type": text(2, default="O"),
        "minutes": models.PositiveSmallIntegerField(**NULL),
        "repeats": models.IntegerField(default=-1),
        "next_run": moment(**NULL),
        "cron": text(100, **NULL),
        "task": text(100, **NULL),
        "cluster": text(100, **NULL),
        "intended_date_kwarg": text(100, **NULL),
    },
    "django_celery_beat_periodictask": {
        "id": ID,
        "name": text(200),
        "task": text(200),
        "args": text(default="[]"),
        "kwargs": text(default="{}"),
        "queue": text(200, **NULL),
        "exchange": text(200, **NULL),
        "routing_key": text(200, **NULL),
        "headers": text(default="{}"),
        "priority": models.PositiveIntegerField(**NULL),
        "expires": moment(**NULL),
        "expire_seconds": models.PositiveIntegerField(**NULL),
        "one_off": models.BooleanField(default=False),
        "start_time": moment(**NULL),
        "enabled": models.BooleanField(default=True),
        "last_run_at": moment(**NULL),
        "total_run_count": models.PositiveIntegerField(default=0),
        "date_changed": moment(default=LONG_AGO),
        "description": text(default=""),
        "interval_id": models.IntegerField(**NULL),
        "crontab_id": models.IntegerField(**NULL),
        "solar_id": models.IntegerField(**NULL),
        "clocked_id": models.IntegerField(**NULL),
    },
    "django_celery_beat_periodictasks": {
        "ident": models.SmallIntegerField(primary_key=True),
        "last_update": moment(),
    },
    "django_celery_beat_crontabschedule": {
        "id": ID,
        "minute": text(240, default="*"),
        "hour": text(96, default="*"),
        "day_of_month": text(124, default="*"),
        "month_of_year": text(64, default="*"),
        "day_of_week": text(64, default="*"),
        "timezone": text(63, default="UTC"),
    },
    "django_celery_beat_intervalschedule": {
        "id": ID,
        "every": models.IntegerField(),
        "period": text(24),
    },
    "django_celery_beat_clockedschedule": {"id": ID, "clocked_time": moment()},
}


#: Tables of django-dbtasks as Django 4.2 and 5.0 make them, with the type of their ids.
ON_MARIADB = {"char_scheduledtask": "char(32)", "uuid_scheduledtask": "uuid"}


def create_all():
    for table, columns in TABLES.items():
        create(table, columns)
    for table, kind in ON_MARIADB.items() if connection.vendor == "mysql" else ():
        create(table, TABLES["dbtasks_scheduledtask"], id=kind)


def drop_all():
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        for table in [*TABLES, *(ON_MARIADB if connection.vendor == "mysql" else ())]:
            cursor.execute(f"DROP TABLE {quote(table)}")


def create(table, columns, **types):
    """Create a table, by the types that Django gives its columns on this database."""
    quote = connection.ops.quote_name
    parts = []
    for name, field in columns.items():
        kind = types.get(name) or field.db_type(connection)
        suffix = " PRIMARY KEY" if field.primary_key else " NULL" if field.null else " NOT NULL"
        if isinstance(field, models.AutoField):
            suffix += f" {field.db_type_suffix(connection) or ''}"
        parts.append(f"{quote(name)} {kind}{suffix}")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {quote(table)} ({', '.join(parts)})")


def insert(table, **values):
    """Insert a row by SQL, the columns that are not given by their defaults; return its key."""
    fields = {
        name: field
        for name, field in TABLES[table].items()
        if name in values or not isinstance(field, models.AutoField)
    }
    row = {name: values.get(name, field.get_default()) for name, field in fields.items()}
    if TABLES[table].get("id") is UUID:
        row["id"] = uuid.uuid4()
    quote = connection.ops.quote_name
    names = ", ".join(map(quote, fields))
    parameters = [field.get_db_prep_save(row[name], connection) for name, field in fields.items()]
    marks = ", ".join(["%s"] * len(fields))
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {quote(table)} ({names}) VALUES ({marks})", parameters)
        if "id" in row:
            return row["id"]
        cursor.execute(f"SELECT max({quote(next(iter(TABLES[table])))}) FROM {quote(table)}")
        return cursor.fetchone()[0]


def read(table, column, key="id"):
    """Return a column of all rows, in the order of their keys."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {quote(column)} FROM {quote(table)} ORDER BY {quote(key)}")
        return [row[0] for row in cursor.fetchall()]
