"""The admin log: who has done what to which row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.http import HttpRequest

#: As long as the column for what a row is called.
MOST_CHARS = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """What was done to one row.

    Attributes:
        key: Its primary key.
        name: What people call it.
        what: What was done.
    """

    key: int | str
    name: str
    what: str


def write_log(
    request: HttpRequest | None, model: type[models.Model], entries: Iterable[Entry]
) -> None:
    """Write one entry for each row, all with one statement.

    Rows are written here because the methods of ``ModelAdmin`` that do so are of another name from
    one version of Django to the next, and write one row at a time in the older ones. Code that
    calls an action without a user leaves no trace, as it never did.
    """
    user = getattr(request, "user", None)
    entries = list(entries)
    if user is None or not user.is_authenticated or not entries:
        return
    content_type = ContentType.objects.get_for_model(model, for_concrete_model=False)
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user.pk,
            content_type_id=content_type.pk,
            object_id=str(entry.key),
            object_repr=entry.name[:MOST_CHARS],
            action_flag=CHANGE,
            change_message=entry.what,
        )
        for entry in entries
    )
