"""django-tasks-db."""

from __future__ import annotations

from typing import Any

from .base import Place, Table, manage
from .base_tasks import FINISH, UNFINISHED, Backend, failed_in


class TasksDb(Backend):
    name = "tasks_db"
    title = "django-tasks-db"
    distribution = "django-tasks-db"
    requirements = ("django-tasks-db",)
    table = Table(
        "django_tasks_database_dbtaskresult",
        serial=(),
        uuids=("id",),
        unfinished=UNFINISHED,
        failed=failed_in("django_tasks_database_dbtaskresult"),
        finished="django_tasks_database_dbtaskresult",
        finish=FINISH,
    )
    pace = 700
    default = "`db_worker` (interval 1 s)"
    best = "`db_worker --interval 0.05 -v 0`, CONN_MAX_AGE None"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        return {
            "INSTALLED_APPS": ["django_tasks_db"],
            "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
        }

    def connection(self, config: str) -> dict[str, Any]:
        return {"CONN_MAX_AGE": None} if config == "best" else {}

    def command(self, config: str) -> list[str]:
        tuned = ["--interval", "0.05", "-v", "0"]
        return manage("db_worker", *(tuned if config == "best" else []))


ADAPTER = TasksDb()
