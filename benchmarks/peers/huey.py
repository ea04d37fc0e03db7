"""huey, with its SQL storage through peewee, and its SQLite storage."""

from __future__ import annotations

from typing import Any

from .base import Peer, Place, Table, manage


class Huey(Peer):
    """A queue without Django models; its Django integration is used."""

    name = "huey"
    title = "huey"
    distribution = "huey"
    requirements = ("huey", "peewee")
    table = Table("task")
    pace = 2000
    default = "`run_huey` (1 thread, delay 0.1, backoff 1.15, max delay 10)"
    best = "`run_huey -w 2 -k process -d 0.02 -m 0.05`"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        from huey import SqliteHuey
        from huey.contrib.sql_huey import SqlHuey

        if place.kind == "sqlite":
            queue = SqliteHuey("benchmark", filename=place.name, fsync=True)
        else:
            queue = SqlHuey("benchmark", database=place.url())
        return {"HUEY": queue, "INSTALLED_APPS": ["huey.contrib.djhuey"]}

    def command(self, config: str) -> list[str]:
        tuned = ["-w", "2", "-k", "process", "-d", "0.02", "-m", "0.05"]
        return manage("run_huey", *(tuned if config == "best" else []))

    def register(self, function: Any) -> Any:
        from huey.contrib.djhuey import task

        return task()(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task(*args)


ADAPTER = Huey()
