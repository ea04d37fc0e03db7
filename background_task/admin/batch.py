"""The rows that somebody has chosen: a page of them, or millions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

#: Keys that fit into one statement of any database.
BATCH_SIZE = 500
#: How far rows are counted for people to read, and how many are named.
MOST_COUNTED, MOST_NAMED = 1000, 10


@dataclass(frozen=True, slots=True)
class Glance:
    """What is said of chosen rows before anything is done to them.

    Attributes:
        number: How many there are, as far as was counted.
        is_more: Whether there are more.
        first: The first ones, in the order of the list.
    """

    number: int
    is_more: bool
    first: list[Any]

    @property
    def unnamed(self) -> bool:
        """Whether some of them are not among the first ones."""
        return self.is_more or self.number > len(self.first)


def batches(queryset: QuerySet[Any]) -> Iterator[list[int]]:
    """Yield the keys of the rows, the oldest first, as many at a time as fit into a statement.

    Never all at once: there may be millions. Each batch begins after the last key of the one
    before, so rows that no longer match, because something was done to them, move nothing. Rows
    that come meanwhile are not meant.
    """
    newest = queryset.model._default_manager.using(queryset.db).order_by("-pk")
    last = newest.values_list("pk", flat=True).first()
    beyond = 0
    while last is not None:
        rows = queryset.filter(pk__gt=beyond, pk__lte=last).order_by("pk")
        keys = list(rows.values_list("pk", flat=True)[:BATCH_SIZE])
        if keys:
            yield keys
        if len(keys) < BATCH_SIZE:
            break
        beyond = keys[-1]


def glance(queryset: QuerySet[Any]) -> Glance:
    """Count rows up to a bound and read the first ones, as the list does."""
    number = queryset.order_by()[: MOST_COUNTED + 1].count()
    first = list(queryset[:MOST_NAMED])
    return Glance(min(number, MOST_COUNTED), number > MOST_COUNTED, first)
