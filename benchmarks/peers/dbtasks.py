"""django-dbtasks."""

from __future__ import annotations

from typing import Any

from .base import Place, Table, manage
from .base_tasks import FINISH, UNFINISHED, Backend, failed_in


class DbTasks(Backend):
    name = "dbtasks"
    title = "django-dbtasks"
    distribution = "django-dbtasks"
    requirements = ("django-dbtasks", "psycopg[pool]")
    table = Table(
        "dbtasks_scheduledtask",
        serial=(),
        uuids=("id",),
        unfinished=UNFINISHED,
        failed=failed_in("dbtasks_scheduledtask"),
        finished="dbtasks_scheduledtask",
        finish=FINISH,
    )
    pace = 700
    default = "`taskrunner` (threads = processors - 1, delay 1 s)"
    best = "`taskrunner -w 8 --delay 0.01`; Django's connection pool on PostgreSQL"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        return {
            "INSTALLED_APPS": ["dbtasks"],
            "TASKS": {"default": {"BACKEND": "dbtasks.backend.DatabaseBackend"}},
        }

    def options(self, place: Place, config: str) -> dict[str, Any]:
        pooled = config == "best" and place.kind == "postgresql"
        return {"pool": True} if pooled else {}

    def command(self, config: str) -> list[str]:
        tuned = ["-w", "8", "--delay", "0.01"]
        # Workers of the same name take each other's tasks for their own.
        unique = ["--worker-id", "{number}"]
        return manage("taskrunner", *unique, *(tuned if config == "best" else []))


ADAPTER = DbTasks()
