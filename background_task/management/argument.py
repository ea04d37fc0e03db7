"""The options of ``process_tasks``, and what they make of a worker."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.core.management.base import CommandError

from ..identity import label_of
from ..settings import app_settings
from ..worker import Options
from ..worker.recycle import resident_mib
from ..worker.served import lease_of
from . import value
from .backend_choice import check_backends
from .queue_choice import Queues, check_choice

#: Flags, and the keywords of ``add_argument``.
OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--duration",),
        {
            "dest": "duration",
            "type": value.time,
            "default": 0,
            "help": "stop after this many seconds; 0 or less: run for ever (default 0)",
        },
    ),
    (
        ("--sleep", "--interval"),
        {
            "dest": "sleep",
            "type": value.pause,
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
            "help": "run only tasks of this queue; may be repeated or a list with commas, then "
            "with weights by which the slots are divided (default: all queues, as with '*')",
        },
    ),
    (
        ("--exclude-queue",),
        {
            "dest": "exclude_queue",
            "action": Queues,
            "metavar": "NAME",
            "help": "leave the tasks of this queue to other workers; may be repeated or a list "
            "with commas",
        },
    ),
    (
        ("--batch",),
        {
            "dest": "batch",
            "action": "store_true",
            "help": "run what is due, then end",
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
            "type": value.count,
            "help": "run so many tasks at the same time (default: one after another, "
            "or BACKGROUND_TASK_ASYNC_THREADS with BACKGROUND_TASK_RUN_ASYNC)",
        },
    ),
    (
        ("--async",),
        {
            "dest": "concurrency",
            "type": value.count,
            "help": "run so many async def tasks at the same time, on one event loop "
            "(default: like all others)",
        },
    ),
    (
        ("--processes",),
        {
            "dest": "processes",
            "type": value.count,
            "help": "run so many worker processes, and replace those that die "
            "(default: this process is the worker)",
        },
    ),
    (
        ("--max-tasks",),
        {
            "dest": "max_tasks",
            "type": value.count,
            "help": "end the worker after so many tasks (default: no limit)",
        },
    ),
    (
        ("--max-memory",),
        {
            "dest": "max_memory",
            "type": value.mebibytes,
            "help": "end the worker when it takes more than so many MiB (default: no limit)",
        },
    ),
    (
        ("--max-age",),
        {
            "dest": "max_age",
            "type": value.age,
            "help": "end the worker after so many seconds (default: no limit)",
        },
    ),
    (
        ("--worker-id",),
        {
            "dest": "worker_id",
            "type": value.worker_id,
            "help": "the name of the worker, which no other living one may have "
            "(default: made of host and process number)",
        },
    ),
    (
        ("--shutdown-timeout",),
        {
            "dest": "shutdown_timeout",
            "type": value.patience,
            "metavar": "SECONDS",
            "help": "how long running tasks may go on after a stop signal, 0 for as long as they "
            "take (default: BACKGROUND_TASK_SHUTDOWN_SECONDS)",
        },
    ),
    (
        ("--no-graceful-shutdown",),
        {
            "dest": "no_graceful_shutdown",
            "action": "store_true",
            "help": "at a stop signal interrupt running tasks at once, and hand them back",
        },
    ),
    (
        ("--empty-exit-code",),
        {
            "dest": "empty_exit_code",
            "type": value.exit_code,
            "default": 0,
            "help": "what to return when there was nothing to run (default 0)",
        },
    ),
    (
        ("--failed-exit-code",),
        {
            "dest": "failed_exit_code",
            "type": value.exit_code,
            "default": 0,
            "help": "what to return when a task has failed for good (default 0)",
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
        ("--no-status",),
        {
            "dest": "no_status",
            "action": "store_true",
            "help": "on a terminal, show no line at the bottom that says what is done",
        },
    ),
    (
        ("--liveness-file",),
        {
            "dest": "liveness_file",
            "metavar": "PATH",
            "help": "touch this file at each heartbeat, for the probe of a container "
            "(default: none)",
        },
    ),
    (
        ("--metrics-port",),
        {
            "dest": "metrics_port",
            "type": value.port,
            "metavar": "PORT",
            "help": "serve metrics for Prometheus at this port (default: nowhere)",
        },
    ),
    (
        ("--metrics-address",),
        {
            "dest": "metrics_address",
            "metavar": "ADDRESS",
            "help": "the address of that port (default 127.0.0.1)",
        },
    ),
    (
        ("--dev", "--reload"),
        {
            "dest": "dev",
            "action": "store_true",
            "help": "start again when the code changes; for development",
        },
    ),
    (
        ("--no-reload",),
        {
            "dest": "dev",
            "action": "store_const",
            "const": False,
            "help": "do not, which is the default",
        },
    ),
    (
        ("--no-startup-delay",),
        {
            "dest": "no_startup_delay",
            "action": "store_true",
            "help": "accepted and without effect: no worker waits before it starts",
        },
    ),
)

#: What reads and checks the values, by the names of the options.
CHECKS = {keywords["dest"]: keywords["type"] for _, keywords in OPTIONS if "type" in keywords}


def check(options: Mapping[str, Any], *, known: Collection[str | None] = ()) -> Options:
    """Return the worker's options.

    Args:
        options: The values by the names of the options.
        known: The queues that task functions name; see ``check_choice``.

    Raises:
        CommandError: A value that cannot work.
    """
    given = dict(options)
    for dest, read in CHECKS.items():
        if given.get(dest) is not None:
            given[dest] = checked(_flag(dest), read, given[dest])
    if given.get("max_memory") is not None and resident_mib() is None:
        raise CommandError(
            "--max-memory: this system does not tell how much memory a process takes"
        )
    if given.get("processes") is not None and given.get("dev"):
        raise CommandError(
            "--processes is for running, --dev for developing; leave one of them out"
        )
    threads = given.get("threads")
    if threads is None and app_settings.BACKGROUND_TASK_RUN_ASYNC:
        threads = app_settings.BACKGROUND_TASK_ASYNC_THREADS
    backends = check_backends(given.get("backend"))
    shutdown = _shutdown_of(given)
    choice = check_choice(given.get("queue"), given.get("exclude_queue"), known=known)
    return Options(
        queues=choice.queues,
        sleep=given.get("sleep", 5.0),
        duration=given.get("duration", 0),
        threads=threads,
        lease=lease_of(backends),
        shutdown=app_settings.BACKGROUND_TASK_SHUTDOWN_SECONDS if shutdown is None else shutdown,
        concurrency=given.get("concurrency"),
        max_tasks=given.get("max_tasks"),
        max_memory=given.get("max_memory"),
        max_age=given.get("max_age"),
        is_ticking=not given.get("no_periodic"),
        weights=choice.weights,
        excluded=choice.excluded,
        backends=backends,
        is_batch=bool(given.get("batch")),
        label=label_of(given["worker_id"]) if given.get("worker_id") else None,
    )


def _shutdown_of(options: Mapping[str, Any]) -> float | None:
    """Return how long a stop signal leaves running tasks; None if the settings decide.

    Raises:
        CommandError: Two answers.
    """
    given: float | None = options.get("shutdown_timeout")
    if not options.get("no_graceful_shutdown"):
        return given
    if given is not None:
        raise CommandError(
            "--shutdown-timeout says how long to wait, --no-graceful-shutdown not to wait; leave "
            "one of them out"
        )
    return 0.0


def exit_status(options: Mapping[str, Any], *, processed: int, failures: int) -> int:
    """Return what the command returns after an orderly end: that of failures wins."""
    dest = "failed_exit_code" if failures else "" if processed else "empty_exit_code"
    return int(options.get(dest) or 0)


def checked(flag: str, read: Callable[[Any], Any], given: Any) -> Any:
    """Return the value of an option, which code may have given.

    Raises:
        CommandError: It cannot work.
    """
    try:
        return read(given)
    except ArgumentTypeError as error:
        raise CommandError(f"{flag} {error}") from None


def _flag(dest: str) -> str:
    return next(flags[0] for flags, keywords in OPTIONS if keywords["dest"] == dest)
