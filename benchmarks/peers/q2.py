"""django-q2, with its ORM broker."""

from __future__ import annotations

from typing import Any

from .base import Peer, Place, Table, manage

CHUNK = 1000


class Q2(Peer):
    name = "q2"
    title = "django-q2"
    distribution = "django-q2"
    requirements = ("django-q2",)
    #: Each message is signed with its own key, which becomes the key of its result.
    table = Table(
        "django_q_ormq",
        can_be_cloned=False,
        failed="SELECT count(*) FROM django_q_task WHERE NOT success",
    )
    pace = 700
    default = "`qcluster` (workers = processors, bulk 1, poll 0.2 s, save_limit 250)"
    best = (
        "`qcluster` with 2 workers, bulk 50, queue_limit 200, poll 0.05 s, save_limit 0; "
        "CONN_MAX_AGE None"
    )

    def settings(self, place: Place, config: str) -> dict[str, Any]:
        options: dict[str, Any] = {"name": "benchmark", "orm": "default"}
        if config == "best":
            options |= {
                "workers": 2,
                "bulk": 50,
                "queue_limit": 200,
                "poll": 0.05,
                "save_limit": 0,
                "log_level": "WARNING",
            }
        return {"INSTALLED_APPS": ["django_q"], "Q_CLUSTER": options}

    def connection(self, config: str) -> dict[str, Any]:
        return {"CONN_MAX_AGE": None} if config == "best" else {}

    def command(self, config: str) -> list[str]:
        return manage("qcluster")

    def register(self, function: Any) -> Any:
        return function

    def enqueue(self, task: Any, *args: Any) -> None:
        from django_q.tasks import async_task

        async_task(path_of(task), *args)

    def fill(self, task: Any, count: int) -> None:
        from django.utils import timezone
        from django_q.conf import Conf
        from django_q.models import OrmQ

        for start in range(0, count, CHUNK):
            OrmQ.objects.bulk_create(
                OrmQ(key=Conf.CLUSTER_NAME, payload=signed(task), lock=timezone.now())
                for _ in range(min(CHUNK, count - start))
            )


def path_of(task: Any) -> str:
    return f"{task.__module__}.{task.__qualname__}"


def signed(task: Any) -> str:
    """Return a message as `async_task` makes it."""
    from django.utils import timezone
    from django_q.humanhash import uuid
    from django_q.signing import SignedPackage

    name, key = uuid()
    return str(
        SignedPackage.dumps(
            {
                "id": key,
                "name": name,
                "func": path_of(task),
                "args": (),
                "kwargs": {},
                "started": timezone.now(),
            }
        )
    )


ADAPTER = Q2()
