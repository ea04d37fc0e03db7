"""What the backends of `django.tasks` have in common."""

from __future__ import annotations

from typing import Any

from .base import Peer


class Backend(Peer):
    """A backend of the tasks framework that came with Django 6.0."""

    def register(self, function: Any) -> Any:
        from django.tasks import task

        return task()(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task.enqueue(*args)


#: How each of them writes down that a task is finished, and that it is not.
UNFINISHED = "status IN ('READY', 'RUNNING')"
FINISH = {"status": "'SUCCESSFUL'", "finished_at": "CURRENT_TIMESTAMP"}


def failed_in(table: str) -> str:
    """Return the query for how many failed."""
    return f"SELECT count(*) FROM {table} WHERE status NOT IN ('READY', 'RUNNING', 'SUCCESSFUL')"
