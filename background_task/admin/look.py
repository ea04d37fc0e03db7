"""What one request has found out of a table by a bounded look, and what it has to tell of that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings
from django.db.models import Model
from django.http import HttpRequest

from ..models.worker import UNNAMED
from ..store import task_database
from ..store.outline import queue_names
from ..tasks import autodiscover, tasks

#: So many of the newest rows are looked at for functions and queues that the code does not declare.
MOST_ROWS = 1_000
#: So many queues that have waiting tasks.
MOST_QUEUES = 100
#: Stands in an address for the queue without a name.
NO_QUEUE = UNNAMED
WHERE = "_background_task_looks"


@dataclass
class Look:
    """What is known of the rows of a model, for one request."""

    model: type[Model]
    notes: dict[str, None] = field(default_factory=dict)

    def note(self, text: str) -> None:
        """Have the page say something, once."""
        self.notes[text] = None

    @cached_property
    def names(self) -> list[str]:
        """The names of the functions: those of this process, and those of the newest rows."""
        return sorted({*_registered(), *(name for name, _ in self._rows)})

    @cached_property
    def queues(self) -> list[str]:
        """The queues: those of functions and backends, of waiting tasks, and of the newest rows."""
        waiting = queue_names(task_database(), most=MOST_QUEUES)
        found = {*_declared(), *(queue for _, queue in self._rows), *waiting}
        return [NO_QUEUE, *sorted(queue for queue in found if queue)]

    @cached_property
    def _rows(self) -> list[Any]:
        rows = self.model._default_manager.order_by("-pk")
        return list(rows.values_list("task_name", "queue")[:MOST_ROWS])


def look_of(request: HttpRequest, model: type[Model]) -> Look:
    """Return what this request knows of the rows of a model."""
    looks: dict[type[Model], Look] = vars(request).setdefault(WHERE, {})
    if model not in looks:
        looks[model] = Look(model)
    return looks[model]


def _registered() -> list[str]:
    try:
        autodiscover()
    except Exception:  # noqa: BLE001 - somebody's broken module must not close the admin
        return list(tasks._tasks)
    return list(tasks._tasks)


def _declared() -> Iterator[str | None]:
    _registered()
    for proxy in list(tasks._tasks.values()):
        yield proxy.queue
    for backend in getattr(settings, "TASKS", {}).values():
        yield from backend.get("QUEUES", ())
