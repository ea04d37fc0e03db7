"""The options of ``process_tasks``, and what they make of a worker."""

from __future__ import annotations

import math
from argparse import Action
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError

from ..option import check_queue
from ..settings import app_settings
from ..worker import Options
from ..worker.recycle import resident_mib
from ..worker.served import own_backends


class Queues(Action):
    """Keeps a single queue as a text, as it has always been, and several as a list."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: str | None = None
    ) -> None:
        """Add one."""
        before = getattr(namespace, self.dest, None)
        several = [before] if isinstance(before, str) else before or []
        setattr(namespace, self.dest, [*several, values] if several else values)


#: Flags, and the keywords of ``add_argument``.
OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--duration",),
        {
            "dest": "duration",
            "type": int,
            "default": 0,
            "help": "stop after this many seconds; 0 or less: run for ever (default 0)",
        },
    ),
    (
        ("--sleep",),
        {
            "dest": "sleep",
            "type": float,
            "default": 5.0,
            "help": "seconds between looks at an idle queue (default 5)",
        },
    ),
    (
        ("--queue",),
        {
            "dest": "queue",
            "action": Queues,
            "metavar": "NAME[:WEIGHT]",
            "help": "run only tasks of this queue; may be repeated, then with weights by which the "
            "slots are divided (default: all queues)",
        },
    ),
    (
        ("--backend",),
        {
            "dest": "backend",
            "action": "append",
            "metavar": "ALIAS",
            "help": "run only tasks that this backend of TASKS has queued; may be repeated "
            "(default: those of all our backends, and of @background)",
        },
    ),
    (
        ("--threads",),
        {
            "dest": "threads",
            "type": int,
            "help": "run so many tasks at the same time (default: one after another, "
            "or BACKGROUND_TASK_ASYNC_THREADS with BACKGROUND_TASK_RUN_ASYNC)",
        },
    ),
    (
        ("--async",),
        {
            "dest": "concurrency",
            "type": int,
            "help": "run so many async def tasks at the same time, on one event loop "
            "(default: like all others)",
        },
    ),
    (
        ("--processes",),
        {
            "dest": "processes",
            "type": int,
            "help": "run so many worker processes, and replace those that die "
            "(default: this process is the worker)",
        },
    ),
    (
        ("--max-tasks",),
        {
            "dest": "max_tasks",
            "type": int,
            "help": "end the worker after so many tasks (default: no limit)",
        },
    ),
    (
        ("--max-memory",),
        {
            "dest": "max_memory",
            "type": float,
            "help": "end the worker when it takes more than so many MiB (default: no limit)",
        },
    ),
    (
        ("--max-age",),
        {
            "dest": "max_age",
            "type": float,
            "help": "end the worker after so many seconds (default: no limit)",
        },
    ),
    (
        ("--no-periodic",),
        {
            "dest": "no_periodic",
            "action": "store_true",
            "help": "leave putting periodic tasks into the queue to other workers",
        },
    ),
    (
        ("--log-std",),
        {
            "dest": "log_std",
            "action": "store_true",
            "help": "send what tasks print to the log",
        },
    ),
    (
        ("--dev",),
        {
            "dest": "dev",
            "action": "store_true",
            "help": "start again when the code changes; for development",
        },
    ),
)

#: The most that a queue may weigh.
LARGEST_WEIGHT = 1000
#: Options of which there must be at least one.
COUNTS = ("threads", "concurrency", "processes", "max_tasks")


def check(options: Mapping[str, Any]) -> Options:
    """Return the worker's options.

    Raises:
        CommandError: A value that cannot work.
    """
    sleep, duration = options.get("sleep", 5.0), options.get("duration", 0)
    if not math.isfinite(sleep) or sleep < 0:
        raise CommandError(f"--sleep {sleep} is not a pause; use 0 or more seconds")
    if not math.isfinite(duration):
        raise CommandError(f"--duration {duration} is not a time; use seconds, 0 for ever")
    for dest in COUNTS:
        count = options.get(dest)
        if count is not None and count < 1:
            raise CommandError(f"{_flag(dest)} {count} would run nothing; use 1 or more")
    for dest, unit in (("max_memory", "MiB"), ("max_age", "seconds")):
        limit = options.get(dest)
        if limit is not None and not 0 < limit < math.inf:
            raise CommandError(f"{_flag(dest)} {limit} is no limit; use {unit} above 0")
    if options.get("max_memory") is not None and resident_mib() is None:
        raise CommandError(
            "--max-memory: this system does not tell how much memory a process takes"
        )
    if options.get("processes") is not None and options.get("dev"):
        raise CommandError(
            "--processes is for running, --dev for developing; leave one of them out"
        )
    threads = options.get("threads")
    if threads is None and app_settings.BACKGROUND_TASK_RUN_ASYNC:
        threads = app_settings.BACKGROUND_TASK_ASYNC_THREADS
    queues, weights = check_queues(options.get("queue"))
    backends = check_backends(options.get("backend"))
    return Options(
        queues=queues,
        sleep=sleep,
        duration=duration,
        threads=threads,
        lease=_lease(backends),
        shutdown=app_settings.BACKGROUND_TASK_SHUTDOWN_SECONDS,
        concurrency=options.get("concurrency"),
        max_tasks=options.get("max_tasks"),
        max_memory=options.get("max_memory"),
        max_age=options.get("max_age"),
        is_ticking=not options.get("no_periodic"),
        weights=weights,
        backends=backends,
    )


def check_backends(given: str | Sequence[str] | None) -> list[str] | None:
    """Return the aliases to serve; None for all, and ``@background``.

    Raises:
        CommandError: One is not ours.
    """
    if given is None:
        return None
    aliases, own = [given] if isinstance(given, str) else list(given), own_backends()
    for alias in aliases:
        if alias not in own:
            known = ", ".join(map(repr, own)) or "none"
            raise CommandError(
                f"--backend {alias}: TASKS has no DatabaseBackend of background_task under that "
                f"name; it has {known}"
            )
    return aliases


def _lease(aliases: Sequence[str] | None) -> timedelta:
    """Return the shortest lease that the setting or a backend that is served asks for."""
    own = own_backends().items()
    asked = [each.lease for alias, each in own if aliases is None or alias in aliases]
    setting = timedelta(seconds=app_settings.BACKGROUND_TASK_LEASE_SECONDS)
    return min([setting, *(lease for lease in asked if lease is not None)])


def check_queues(
    given: str | Sequence[str] | None,
) -> tuple[tuple[str, ...], dict[str, int] | None]:
    """Return the queues to serve, and their weights if there are any.

    A single one is a name and nothing else, as it has always been: a weight would have no meaning.
    Of several, what follows the last colon is a weight.

    Raises:
        CommandError: A name or a weight that cannot be.
    """
    texts = [given] if isinstance(given, str) else list(given or ())
    pairs = [(text, None) for text in texts] if len(texts) < 2 else list(map(_weighted, texts))
    try:
        names = tuple(check_queue(name) or "" for name, _ in pairs)
    except ValueError as error:
        raise CommandError(f"--queue: {error}") from None
    if len(names) < 2:
        return tuple(filter(None, names)), None
    for name in names:
        if not name or names.count(name) > 1:
            why = "is named twice" if name else "is no name"
            raise CommandError(f"--queue {name!r} {why}; name each queue once")
    if all(weight is None for _, weight in pairs):
        return names, None
    return names, {name: weight or 1 for name, weight in pairs}


def _weighted(text: str) -> tuple[str, int | None]:
    name, colon, weight = text.rpartition(":")
    if not colon:
        return text, None
    is_number = weight.isascii() and weight.isdigit()
    if not is_number or not 1 <= int(weight) <= LARGEST_WEIGHT:
        raise CommandError(
            f"--queue {text}: {weight!r} is no weight; use a whole number from 1 to "
            f"{LARGEST_WEIGHT}, also behind a name that has a colon itself: --queue {text}:1"
        )
    return name, int(weight)


def _flag(dest: str) -> str:
    return next(flags[0] for flags, keywords in OPTIONS if keywords["dest"] == dest)
