"""django-ox."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .base import Place, Table, manage
from .base_tasks import FINISH, UNFINISHED, Backend, failed_in


class Ox(Backend):
    name = "ox"
    title = "django-ox"
    distribution = "django-ox"
    requirements = ("django-ox",)
    table = Table(
        "django_ox_oxtask",
        serial=(),
        uuids=("id",),
        unfinished=UNFINISHED,
        failed=failed_in("django_ox_oxtask"),
        finished="django_ox_oxtask",
        finish=FINISH,
    )
    has_bulk = True
    default = "`ox_worker` (1 thread, interval 1 s)"
    best = "`ox_worker --interval 0.05 --concurrency 4 -v 0`, CONN_MAX_AGE None"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        return {
            "INSTALLED_APPS": ["django_ox"],
            "TASKS": {"default": {"BACKEND": "django_ox.backend.OxBackend"}},
        }

    def connection(self, config: str) -> dict[str, Any]:
        return {"CONN_MAX_AGE": None} if config == "best" else {}

    def command(self, config: str) -> list[str]:
        tuned = ["--interval", "0.05", "--concurrency", "4", "-v", "0"]
        return manage("ox_worker", *(tuned if config == "best" else []))

    def enqueue_many(self, task: Any, calls: Iterable[tuple[Any, ...]]) -> None:
        from django_ox.bulk import enqueue_many

        enqueue_many(task, [(args, {}) for args in calls])


ADAPTER = Ox()
