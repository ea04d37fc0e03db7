"""Which rows a worker can run: by the names of functions, and by the backends that queued them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from django.db.models import Q

from ..fields import ExactText
from ..models import TaskQuerySet

#: Of workers that only run tasks of ``@background``.
NO_BACKENDS: Mapping[str, bool] = {}

#: ``backend`` compared as a text is, by the database.
EXACT_BACKEND = ExactText("backend")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows a worker can run.

    Attributes:
        names: Functions of ``@background``.
        backends: The aliases of backends, and of each whether its rows may be claimed ahead.
        paused: Functions of which nothing is to be run for now, although a backend has queued it.
    """

    names: Collection[str]
    backends: Mapping[str, bool] = field(default_factory=dict)
    paused: Collection[str] = ()

    def __bool__(self) -> bool:
        return bool(self.names or self.backends)

    def without(self, functions: Collection[str]) -> Wanted:
        """Return the same but for some functions, which are paused."""
        if not functions:
            return self
        names = [name for name in self.names if name not in functions]
        return replace(self, names=names, paused=functions if self.backends else ())

    def among(self, rows: TaskQuerySet) -> TaskQuerySet:
        """Return those of these rows."""
        own = Q(backend__isnull=True, exact_name__in=self.names)
        rows = rows.alias(exact_name=ExactText("task_name"))
        if not self.backends:
            return rows.filter(own)
        queued = Q(exact_backend__in=list(self.backends))
        if self.paused:
            queued &= ~Q(exact_name__in=self.paused)
        return rows.alias(exact_backend=EXACT_BACKEND).filter(own | queued)

    def unknown(self, rows: TaskQuerySet) -> TaskQuerySet:
        """Return those that are for other workers, and not paused."""
        rows = rows.alias(exact_name=ExactText("task_name"), exact_backend=EXACT_BACKEND)
        strange = Q(backend__isnull=True) & ~Q(exact_name__in=self.names)
        strange |= Q(backend__isnull=False) & ~Q(exact_backend__in=list(self.backends))
        return rows.filter(strange)
