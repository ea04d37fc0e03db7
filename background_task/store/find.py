"""Finding a task by its uid with one statement, wherever it is by now."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import Value

from ..models import CompletedTask, Task, TaskRecord

#: What only the archive has.
OF_ARCHIVE = ("discarded_at", "cancelled_at", "return_value")


def find(using: str, uid: UUID) -> Task | CompletedTask | None:
    """Return the row of a task that a backend has queued; None if there is none.

    One statement sees both tables at the same moment, so that a task which is just being archived
    is found in one of them.
    """
    columns = ["id", *(field.attname for field in TaskRecord._meta.local_concrete_fields)]
    live = _chosen(Task, using, uid).values_list(
        *columns, *(_nothing(name) for name in OF_ARCHIVE), Value(False)
    )
    archived = _chosen(CompletedTask, using, uid).values_list(*columns, *OF_ARCHIVE, Value(True))
    row = live.union(archived, all=True).first()
    if row is None:
        return None
    model: type[Task | CompletedTask] = CompletedTask if row[-1] else Task
    values = dict(zip([*columns, *OF_ARCHIVE], row, strict=False))
    names = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    return model.from_db(using, names, [values[name] for name in names])


def _chosen(model: type[models.Model], using: str, uid: UUID) -> Any:
    return model._default_manager.using(using).filter(uid=uid, backend__isnull=False).order_by()


def _nothing(name: str) -> Value:
    field = CompletedTask._meta.get_field(name)
    return Value(None, output_field=field)  # type: ignore[arg-type]
