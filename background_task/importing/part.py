"""A table of another system, read through its names alone: the other package need not be there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, ClassVar

from django.apps.registry import Apps
from django.db import connections, models
from django.db.models import F

from ..exceptions import InvalidOptionError
from .call import Call

Row = Mapping[str, Any]
Rows = models.QuerySet[Any]


class Part(ABC):
    """One table of a source, and what is to be read of it.

    Attributes:
        table: Its name.
        fields: The columns that every version of the other system has; its key is the first.
        later_fields: Columns that came with a later version, or went with one.
        order: In which order its rows are taken.
        queue: The column with the name of the queue.
        is_schedule: Whether its rows are schedules rather than tasks.
        says_gone: What becomes of its rows when they are taken.

    Args:
        using: The alias of the database that has it.

    Raises:
        InvalidOptionError: The database has no such table, or the table has other columns.
    """

    table: ClassVar[str]
    fields: ClassVar[Mapping[str, models.Field[Any, Any]]]
    later_fields: ClassVar[Mapping[str, models.Field[Any, Any]]] = {}
    order: ClassVar[tuple[str, ...]] = ("id",)
    queue: ClassVar[str]
    is_schedule: ClassVar[bool] = False
    says_gone: ClassVar[str] = "deleted there"

    def __init__(self, using: str) -> None:
        self.using = using
        self.rows = open_table(self.table, self.fields, self.later_fields, using=using)

    @abstractmethod
    def waiting(self, now: datetime) -> Rows:
        """Return the rows that are to be taken."""

    @abstractmethod
    def others(self, now: datetime) -> dict[str, int]:
        """Return how many rows stay, by why they do."""

    @abstractmethod
    def read(self, row: Row, *, now: datetime) -> Call:
        """Return what a row asks for.

        Raises:
            InvalidOptionError: Nothing here corresponds to it.
            InvalidOptionTypeError: Likewise.
        """

    def of_queues(self, rows: Rows, queues: Collection[str]) -> Rows:
        """Return those of some queues; of all if none is named."""
        return rows.filter(**{f"{self.queue}__in": queues}) if queues else rows

    def locked(self, rows: Rows) -> list[Row]:
        """Read rows so that nobody takes them before the transaction ends.

        The rivals are this and a worker of the other system. Were it to claim a row between our
        reading and our deleting it, the task would be run by both.
        """
        if connections[self.using].features.has_select_for_update:
            return list(rows.select_for_update().values())
        # There writers take turns, and the first write of a transaction takes the turn.
        column = next(name for name in self.fields if name != "id")
        rows.order_by().update(**{column: F(column)})
        return list(rows.values())

    def take(self, keys: Collection[Any], *, now: datetime) -> None:
        """Let the other system never run rows that have been taken."""
        self.rows.filter(pk__in=keys).delete()


def open_table(
    table: str,
    fields: Mapping[str, models.Field[Any, Any]],
    later_fields: Mapping[str, models.Field[Any, Any]] | None = None,
    *,
    using: str,
) -> Rows:
    """Return all rows of a table by a model that is known to nobody else.

    Raises:
        InvalidOptionError: The database has no such table, or the table has other columns.
    """
    connection = connections[using]
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            raise InvalidOptionError(
                f"table {table} is not in database {using!r}; name the database that has it with "
                "--database; if none has, there is nothing to import"
            )
        found = {
            each.name for each in connection.introspection.get_table_description(cursor, table)
        }
    columns = {name: field.get_attname_column()[1] or name for name, field in named(fields).items()}
    if missing := [column for column in columns.values() if column not in found]:
        raise InvalidOptionError(
            f"table {table} in database {using!r} has no column {', '.join(missing)}; "
            "bring it up to date with the migrations of the package that made it"
        )
    present = {
        name: field
        for name, field in named(later_fields or {}).items()
        if (field.get_attname_column()[1] or name) in found
    }
    own = {
        "apps": Apps(),
        "app_label": "background_task_importing",
        "db_table": table,
        "managed": False,
    }
    members = {**named(fields), **present, "Meta": type("Meta", (), own), "__module__": __name__}
    model: Any = type("ForeignRow", (models.Model,), members)
    return models.QuerySet(model, using=using)


def named(fields: Mapping[str, models.Field[Any, Any]]) -> dict[str, models.Field[Any, Any]]:
    """Return copies of fields that know their names: a field can belong to one model only."""
    copies = {name: field.clone() for name, field in fields.items()}
    for name, field in copies.items():
        field.set_attributes_from_name(name)
    return copies
