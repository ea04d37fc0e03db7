"""Which rows are meant, of those that wait, run, or have finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Literal, TypeVar

from django.db import models
from django.db.models import Q

from ..fields import ExactText

Rows = TypeVar("Rows", bound="models.QuerySet[Any]")


class Backendless(Enum):
    """The rows that no backend of ``TASKS`` has queued: those of ``@background``."""

    ROWS = "@background"

    def __repr__(self) -> str:
        return "NO_BACKEND"


#: In the place of an alias.
NO_BACKEND: Final = Backendless.ROWS

#: An alias in ``TASKS``; NO_BACKEND for the rows of ``@background``; None for all rows.
BackendLike = str | Literal[Backendless.ROWS] | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Some rows: those for which all of this is true.

    Attributes:
        names: Their functions; none means all.
        queue: Their queue; None means all queues.
        backend: Which backend queued them; None means any, and none.
        keys: Their primary keys, as many as fit into one statement; none means all.
    """

    names: Sequence[str] = ()
    queue: str | None = None
    backend: BackendLike = None
    keys: Sequence[int] = ()

    def among(self, rows: Rows) -> Rows:
        """Return those of ``rows`` that are meant.

        Names are compared byte by byte; the plain comparison beside that is for the index.
        """
        if self.keys:
            rows = rows.filter(pk__in=self.keys)
        if self.names:
            rows = rows.alias(exact_name=ExactText("task_name")).filter(
                task_name__in=self.names, exact_name__in=self.names
            )
        if self.queue is not None:
            rows = rows.alias(exact_queue=ExactText("queue")).filter(
                queue=self.queue, exact_queue=self.queue
            )
        return rows.filter(self.condition())

    def condition(self) -> Q:
        """Return what the backend's column has to be."""
        if self.backend is None:
            return Q()
        is_null = self.backend is NO_BACKEND
        return Q(backend__isnull=True) if is_null else Q(backend=self.backend)


ALL = Selection()
