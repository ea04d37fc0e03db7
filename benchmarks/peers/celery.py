"""Celery with Redis: an outside reference, as it writes nothing durable for a task."""

from __future__ import annotations

from typing import Any

from .base import Peer


class Celery(Peer):
    """Results are ignored, and a message is acknowledged before its task runs."""

    name = "celery"
    title = "Celery + Redis"
    distribution = "celery"
    requirements = ("celery[redis]",)
    databases = ("redis",)
    pace = 2000
    workers = (1,)
    default = "`celery worker` (prefork, concurrency = processors, prefetch 4), results ignored"
    best = (
        "`celery worker --prefetch-multiplier 64 --without-gossip --without-mingle "
        "--without-heartbeat`"
    )

    def command(self, config: str) -> list[str]:
        worker = ["celery", "-A", "benchmarks.project.celery_app:app", "worker"]
        worker += ["-I", "benchmarks.project.tasks"]
        tuned = ["--prefetch-multiplier", "64"]
        tuned += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*worker, *(tuned if config == "best" else [])]

    def register(self, function: Any) -> Any:
        from ..project.celery_app import app

        return app.task(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task.delay(*args)

    def unfinished(self, connection: Any) -> int:
        """Count what waits in Redis and what workers have taken without acknowledging it."""
        return int(connection.llen("celery")) + int(connection.hlen("unacked"))

    def fill(self, task: Any, count: int) -> None:
        for _ in range(count):
            task.delay()


ADAPTER = Celery()
