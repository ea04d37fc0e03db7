"""The options of a worker that code makes, as the command line makes those of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from ..exceptions import InvalidOptionError, duration_of
from ..identity import label_of
from ..option import check_queue, check_whole, check_worker_id
from ..settings import app_settings
from .options import Options
from .served import check_aliases, lease_of, own_backends


def options_of(
    *,
    workers: int | None,
    worker_id: str | None,
    queues: Sequence[str],
    exclude_queues: Sequence[str],
    backend: str | Sequence[str] | None,
    loop_delay: float,
    shutdown_timeout: float | None,
) -> Options:
    """Return the options of a worker from what is said of it; see ``Runner``.

    Raises:
        InvalidOptionError: A value that cannot work.
        ImproperlyConfigured: A backend is not ours, or runs its tasks at once.
    """
    if workers is not None and check_whole(workers, what="workers") < 1:
        raise InvalidOptionError(f"workers {workers} would run nothing; use 1 or more, or None")
    names = [[check_queue(name) or "" for name in given] for given in (queues, exclude_queues)]
    if all(names):
        raise InvalidOptionError(
            f"exclude_queues {names[1]} beside queues {names[0]}: a worker of named queues leaves "
            "all others out; use one of them"
        )
    backends = _backends(backend)
    shutdown: float = app_settings.BACKGROUND_TASK_SHUTDOWN_SECONDS
    if shutdown_timeout is not None:
        shutdown = _seconds(shutdown_timeout, what="shutdown_timeout")
    return Options(
        queues=names[0],
        excluded=names[1],
        sleep=_seconds(loop_delay, what="loop_delay"),
        threads=workers,
        lease=lease_of(backends),
        shutdown=shutdown,
        backends=backends,
        label=None if worker_id is None else label_of(check_worker_id(worker_id)),
    )


def _backends(given: str | Sequence[str] | None) -> list[str] | None:
    aliases = check_aliases(given, what="backend")
    if aliases == []:
        raise InvalidOptionError("backend [] would run nothing; use an alias of TASKS, or None")
    for alias in aliases or ():
        if own_backends()[alias].is_immediate:
            raise ImproperlyConfigured(
                f"backend {alias}: its OPTIONS have immediate, so its tasks have run when enqueue "
                "returns; take that out, or leave the backend out here"
            )
    return aliases


def _seconds(value: Any, *, what: str) -> float:
    seconds = duration_of(value, what=what).total_seconds()
    if seconds < 0:
        raise InvalidOptionError(f"{what} {value!r} is below 0; use 0 or more seconds")
    return seconds
