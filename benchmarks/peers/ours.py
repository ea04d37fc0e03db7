"""This library, from the working tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .base import Peer, Place, Table, manage


class Ours(Peer):
    """Without installation: the package is on the path."""

    name = "ours"
    title = "background_task"
    distribution = ""
    databases = ("postgresql", "sqlite", "mariadb")
    table = Table(
        "background_task",
        uuids=("uid",),
        are_uuids_ordered=True,
        failed="SELECT (SELECT count(*) FROM background_task WHERE last_error <> '') "
        "+ (SELECT count(*) FROM background_task_completedtask WHERE failed_at IS NOT NULL)",
        finished="background_task_completedtask",
    )
    pace = 20000
    variants = ("processes 2",)
    has_bulk = True
    is_ours = True
    default = "`process_tasks`"
    best = "`process_tasks -v 0`"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        if config == "pages":
            from ..project.admin_settings import SETTINGS

            return dict(SETTINGS)
        return {"INSTALLED_APPS": ["background_task"]}

    def command(self, config: str) -> list[str]:
        options = {
            "default": [],
            "best": ["-v", "0"],
            "processes 2": ["-v", "0", "--processes", "2"],
        }
        return manage("process_tasks", *options[config])

    def register(self, function: Any) -> Any:
        from background_task import background

        return background(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task(*args)

    def enqueue_many(self, task: Any, calls: Iterable[tuple[Any, ...]]) -> None:
        task.bulk((args, {}) for args in calls)


ADAPTER = Ours()
