"""Model fields that need more than Django's own."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Func


class UidField(models.UUIDField):  # type: ignore[type-arg]
    """A UUID column that does not change its type with the Django version.

    From Django 5.0 on, ``UUIDField`` is ``uuid`` instead of ``char(32)`` on MariaDB 10.7+, which
    would break existing tables at the next Django upgrade; so it stays ``char(32)`` there.
    """

    def db_type(self, connection: Any) -> str | None:
        """Return the column type."""
        if connection.vendor == "mysql":
            return "char(32)"
        return super().db_type(connection)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Return what is sent to the database."""
        if not isinstance(value, uuid.UUID):
            value = super().get_db_prep_value(value, connection, prepared)
        if not isinstance(value, uuid.UUID):
            return value
        # Asked of each row that is added, so what Django would ask on the way is left out.
        is_text = connection.vendor == "mysql" or not connection.features.has_native_uuid_field
        return value.hex if is_text else value

    def get_db_converters(self, connection: Any) -> Any:
        """Read the text that MariaDB returns; others convert by themselves."""
        converters = super().get_db_converters(connection)
        if connection.vendor == "mysql":
            return [*converters, _to_uuid]
        return converters


class OwnerKeyField(models.CharField):  # type: ignore[type-arg]
    """Any model's primary key, as text in the database.

    Reads whole numbers back as ``int``, so that ``task.creator_object_id == user.id`` goes on
    holding for rows and code from before 2.0, when the column was an integer.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        """Return an int for the text of an int, other text unchanged."""
        if value is not None and value.removeprefix("-").isdecimal() and str(int(value)) == value:
            return int(value)
        return value


class ClaimNumberField(models.BigIntegerField):  # type: ignore[type-arg]
    """A counter that only claiming moves.

    ``instance.save()`` of somebody's stale copy must not set it back: an update writes the column
    to itself.
    """

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Return the value to insert, or the column itself to update."""
        return super().pre_save(model_instance, add) if add else F(self.attname)


class ExactText(Func):
    """A text as MySQL and MariaDB should compare it: byte by byte.

    Their usual collations take ``Send`` and ``send`` for the same task. And two tables of the same
    database may well have different collations, of which a plain comparison is an error.
    """

    template = "%(expressions)s"
    arity = 1
    output_field = models.CharField()

    def as_mysql(self, compiler: Any, connection: Any, **extra: Any) -> Any:
        """Return the comparison's side in binary form."""
        return self.as_sql(
            compiler, connection, template="CAST(%(expressions)s AS BINARY)", **extra
        )


def _to_uuid(value: Any, expression: Any, connection: Any) -> uuid.UUID | None:
    if value is None or isinstance(value, uuid.UUID):
        return value
    return uuid.UUID(value)
