"""procrastinate, with its Django integration."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .base import Peer, Place, Table, manage


class Procrastinate(Peer):
    name = "procrastinate"
    title = "procrastinate"
    distribution = "procrastinate"
    requirements = ("procrastinate[django]",)
    databases = ("postgresql",)
    table = Table(
        "procrastinate_jobs",
        unfinished="status IN ('todo', 'doing')",
        failed="SELECT count(*) FROM procrastinate_jobs WHERE status IN ('failed', 'aborted')",
        finished="procrastinate_jobs",
        finish={"status": "'succeeded'::procrastinate_job_status"},
    )
    has_bulk = True
    default = "`procrastinate worker` (concurrency 1, LISTEN/NOTIFY)"
    best = "`procrastinate worker --concurrency 10`"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        return {"INSTALLED_APPS": ["procrastinate.contrib.django"]}

    def command(self, config: str) -> list[str]:
        tuned = ["--concurrency", "10"]
        return manage("procrastinate", "worker", *(tuned if config == "best" else []))

    def register(self, function: Any) -> Any:
        from procrastinate.contrib.django import app

        return app.task(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task.defer(**dict(zip(("sent",), args, strict=False)))

    def enqueue_many(self, task: Any, calls: Iterable[tuple[Any, ...]]) -> None:
        task.batch_defer(*({} for _ in calls))


ADAPTER = Procrastinate()
