"""django-database-task."""

from __future__ import annotations

from typing import Any

from .base import Place, Table, manage
from .base_tasks import FINISH, UNFINISHED, Backend, failed_in

TABLE = "django_database_task_databasetask"


class DatabaseTask(Backend):
    name = "database_task"
    title = "django-database-task"
    distribution = "django-database-task"
    requirements = ("django-database-task",)
    table = Table(
        TABLE,
        serial=(),
        uuids=("id",),
        unfinished=UNFINISHED,
        failed=failed_in(TABLE),
        finished=TABLE,
        finish=FINISH,
    )
    pace = 400
    default = "`run_database_tasks --continuous` (interval 5 s)"
    best = (
        "`run_database_tasks --continuous -v 0`, with its LISTEN/NOTIFY backend on PostgreSQL, "
        "interval 0.05 s on SQLite"
    )

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        listens = config == "best" and place.kind == "postgresql"
        backend = (
            "django_database_task.postgres.PostgresNotifyDatabaseBackend"
            if listens
            else "django_database_task.backends.DatabaseTaskBackend"
        )
        return {
            "INSTALLED_APPS": ["django_database_task"],
            "TASKS": {"default": {"BACKEND": backend}},
        }

    def command(self, config: str) -> list[str]:
        # The interval of the notifying backend is only how often it looks nevertheless.
        tuned = ["-v", "0", "--interval", "0.05"]
        return manage("run_database_tasks", "--continuous", *(tuned if config == "best" else []))


ADAPTER = DatabaseTask()
