"""How rows get into the table, one or many at once.

What ``save`` and ``bulk_create`` do, without what they do for nothing: ``save`` sends all columns,
of which two thirds are empty; ``bulk_create`` prepares every value and sends every column, though
the rows of one call differ in three.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from operator import attrgetter, is_
from typing import Any, cast
from uuid import UUID

from django.db import connections, transaction
from django.db.models import CharField, Field, TextField
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from ..identity import new_uid, new_uids
from ..models import Task, TaskQuerySet

#: Who they are that are known to tell the key of a row as ``insert_one`` asks for it.
VENDORS = ("postgresql", "sqlite", "mysql")
INSERT = "INSERT INTO {table} ({names}) VALUES ({values})"


@dataclass(frozen=True)
class Column:
    """What the rows have in one column, as it is sent; only one value if they all have the same."""

    name: str
    field: Field[Any, Any]
    values: Sequence[Any]
    is_constant: bool

    @property
    def literal(self) -> str | None:
        """The constant in SQL, where it needs no quoting: most columns of a new row are empty."""
        if self.is_constant and self.values[0] is None:
            return "NULL"
        if self.is_constant and type(self.values[0]) is int:
            return str(self.values[0])
        return None


def insert_many(tasks: Sequence[Task], *, using: str) -> None:
    """Insert new rows, all or none of them, and give the tasks what ``save`` would give them.

    Django's ``pre_save`` and ``post_save`` are not sent, as with ``bulk_create``.
    """
    if not tasks:
        return
    now = timezone.now()
    for task, uid in zip(tasks, new_uids(len(tasks)), strict=True):
        task.uid = task.uid or uid
        task.enqueued_at = task.enqueued_at or now
    with transaction.atomic(using=using, savepoint=False):
        keys = _insert(tasks, using=using)
    for task, key in zip(tasks, keys, strict=True):
        task.pk = key
        task.mark_saved(using)


def insert_one(task: Task, *, using: str) -> None:
    """Insert a new row, and give the task what ``save`` would give it.

    As ``save`` itself does it where somebody listens to its signals, and for what is not new.
    """
    connection = connections[using]
    is_watched = pre_save.has_listeners(Task) or post_save.has_listeners(Task)
    if is_watched or connection.vendor not in VENDORS or not _is_new(task):
        task.save(using=using, force_insert=True)
        return
    task.uid = task.uid or new_uid()
    task.enqueued_at = task.enqueued_at or timezone.now()
    names, values = [], []
    for field in Task._meta.local_concrete_fields:
        value = getattr(task, field.attname)
        if field.primary_key or (value is None and field.null):
            continue
        names.append(connection.ops.quote_name(field.column or field.attname))
        values.append(field.get_db_prep_save(value, connection))
    table, key = Task._meta.db_table, Task._meta.pk.attname
    quoted = connection.ops.quote_name(table)
    statement = INSERT.format(
        table=quoted, names=", ".join(names), values=", ".join(["%s"] * len(names))
    )
    is_told = connection.vendor == "postgresql"
    if is_told:
        statement += f" RETURNING {connection.ops.quote_name(key)}"
    with transaction.mark_for_rollback_on_error(using=using), connection.cursor() as cursor:
        cursor.execute(statement, values)
        task.pk = (
            cursor.fetchone()[0] if is_told else connection.ops.last_insert_id(cursor, table, key)
        )
    task.mark_saved(using)


def _is_new(task: Task) -> bool:
    """Tell whether a task is a plain one that has never been saved, of values alone."""
    key = cast("int | None", task.pk)
    is_first = type(task) is Task and key is None and not task.has_been_a_row()
    return is_first and task.locked_by is None and not any(map(_is_expression, vars(task).values()))


def _is_expression(value: Any) -> bool:
    return hasattr(value, "as_sql")


def _insert(tasks: Sequence[Task], *, using: str) -> Iterable[int]:
    """Insert rows by the road that suits the database; return their keys, in order."""
    vendor = connections[using].vendor
    columns = _columns(tasks, using=using)
    is_plain = not any(map(_has_expression, columns))
    if is_plain and vendor == "postgresql" and all(map(_has_text, columns)):
        return _insert_from_json(columns, using=using)
    if is_plain and vendor in ("sqlite", "mysql"):
        _insert_values(columns, count=len(tasks), using=using)
    else:
        TaskQuerySet(Task, using=using).bulk_create(tasks)
    return _read_keys(tasks, using=using)


def _columns(tasks: Sequence[Task], *, using: str) -> list[Column]:
    """Prepare the values, each constant once. A column of a single row is not constant."""
    connection = connections[using]
    quote = connection.ops.quote_name
    columns = []
    for field in Task._meta.local_concrete_fields:
        if field.primary_key:
            continue
        given = list(map(attrgetter(field.attname), tasks))
        # The very same object, not an equal one: of equal times one may be an hour later (fold).
        is_constant = len(given) > 1 and all(map(is_, given, repeat(given[0])))
        values = [
            field.get_db_prep_save(value, connection)
            for value in (given[:1] if is_constant else given)
        ]
        columns.append(Column(quote(field.column or field.attname), field, values, is_constant))
    return columns


def _has_expression(column: Column) -> bool:
    return any(map(_is_expression, column.values))


# -- PostgreSQL ----------------------------------------------------------------------------------

INSERT_FROM_JSON = """
INSERT INTO {table} ({names})
SELECT {values} FROM ROWS FROM ({lists}) WITH ORDINALITY AS given ({aliases}, place) ORDER BY place
RETURNING {key}
"""


def _insert_from_json(columns: Sequence[Column], *, using: str) -> list[int]:
    """Send each column as one text, whatever the driver: a parameter for each value costs more."""
    connection = connections[using]
    quote = connection.ops.quote_name
    values: list[str] = []
    constants: list[Any] = []
    lists: list[str] = []
    for column in columns:
        if column.is_constant:
            values.append(column.literal or "%s")
            constants += [] if column.literal else column.values
            continue
        alias = f"c{len(lists)}"
        lists.append(json.dumps(list(map(_as_text, column.values))))
        # Text is not cast: a cast would shorten what is too long, instead of refusing it.
        is_text = isinstance(column.field, CharField | TextField)
        values.append(alias if is_text else f"CAST({alias} AS {column.field.db_type(connection)})")
    statement = INSERT_FROM_JSON.format(
        table=quote(Task._meta.db_table),
        names=", ".join(column.name for column in columns),
        values=", ".join(values),
        lists=", ".join(["json_array_elements_text(%s)"] * len(lists)),
        aliases=", ".join(f"c{number}" for number in range(len(lists))),
        key=quote(Task._meta.pk.attname),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, [*constants, *lists])
        # Keys are given in the order of the rows; in which order they are returned, nobody says.
        return sorted(key for (key,) in cursor.fetchall())


def _has_text(column: Column) -> bool:
    """Tell whether a column can be sent as text. A constant is sent as it is."""
    known = str | int | UUID | date | None
    return column.is_constant or all(isinstance(value, known) for value in column.values)


def _as_text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else str(value)


# -- SQLite, MySQL, MariaDB ----------------------------------------------------------------------


def _insert_values(columns: Sequence[Column], *, count: int, using: str) -> None:
    connection = connections[using]
    table = connection.ops.quote_name(Task._meta.db_table)
    names = ", ".join(column.name for column in columns)
    start = f"INSERT INTO {table} ({names}) VALUES "
    row = f"({', '.join(column.literal or '%s' for column in columns)})"
    rows = zip(
        *(
            repeat(column.values[0], count) if column.is_constant else column.values
            for column in columns
            if column.literal is None
        ),
        strict=True,
    )
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":  # it limits the parameters of one statement
            cursor.executemany(start + row, list(rows))
        else:
            cursor.execute(
                start + ", ".join([row] * count), [value for row in rows for value in row]
            )


def _read_keys(tasks: Sequence[Task], *, using: str) -> Iterable[int]:
    """Return the keys of inserted rows, in the order of the tasks.

    Keys grow within a statement. So if those of the first and the last row are as far apart as the
    rows, nothing lies between them; asking for two is enough.
    """
    rows = TaskQuerySet(Task, using=using)
    ends = [tasks[0].uid, tasks[-1].uid]
    keys = dict(rows.filter(uid__in=ends).values_list("uid", "pk"))
    first, last = (keys[uid] for uid in ends)
    if last - first == len(tasks) - 1:
        return range(first, last + 1)
    found = rows.in_bulk([task.uid for task in tasks], field_name="uid")
    return [found[task.uid].pk for task in tasks]
