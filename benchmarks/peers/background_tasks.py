"""django-background-tasks 1.2.8, the predecessor of this library."""

from __future__ import annotations

from typing import Any

from .base import Peer, Place, Table, manage


class BackgroundTasks(Peer):
    name = "background_tasks"
    title = "django-background-tasks 1.2.8"
    distribution = "django-background-tasks"
    requirements = ("django-background-tasks==1.2.8",)
    table = Table(
        "background_task",
        failed="SELECT count(*) FROM background_task WHERE last_error <> ''",
        finished="background_task_completedtask",
    )
    pace = 40
    workers = (1,)
    default = "`process_tasks` (sleep 5 s)"
    best = "`process_tasks --sleep 0.05`; BACKGROUND_TASK_RUN_ASYNC, 8 threads"

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        tuned = {"BACKGROUND_TASK_RUN_ASYNC": True, "BACKGROUND_TASK_ASYNC_THREADS": 8}
        differing = tuned if config == "best" else {}
        return {"INSTALLED_APPS": ["background_task"], **differing}

    def command(self, config: str) -> list[str]:
        tuned = ["--sleep", "0.05"]
        return manage("process_tasks", *(tuned if config == "best" else []))

    def register(self, function: Any) -> Any:
        from background_task import background

        return background()(function)

    def enqueue(self, task: Any, *args: Any) -> None:
        task(*args)


ADAPTER = BackgroundTasks()
