"""What happens to tasks, in the log."""

from __future__ import annotations

import logging
from typing import Any

from .attempt import Claim
from .attempt_error import path_of
from .schedule import as_local

#: Event -> method of the logger, and message; fields of the event fill it.
MESSAGES = {
    "start": ("info", "Running %(claim)s (attempt %(attempt)d)"),
    "success": (
        "info",
        "Ran task and deleting %(claim)s (attempt %(attempt)d, %(seconds).3f s)%(next)s",
    ),
    "error": ("error", "Rescheduling %(claim)s (attempt %(attempt)d)"),
    "put_off": ("info", "Putting off %(claim)s: %(reason)s"),
    "discard": ("info", "Discarded %(claim)s: %(reason)s"),
    "cancel": ("info", "Cancelled %(claim)s: %(reason)s"),
    "release": ("info", "Released %(claim)s: %(reason)s"),
    "late": ("warning", "Dropped the outcome of %(claim)s: others had already taken it over"),
    "reduced": (
        "error",
        "The database refused the outcome of %(claim)s; storing it in a simpler form",
    ),
    "overrun": (
        "warning",
        "%(claim)s has been running for %(seconds).0f s, longer than BACKGROUND_TASK_MAX_RUN_TIME",
    ),
    "blocked": (
        "warning",
        (
            "%(claim)s has kept the event loop from all other tasks for %(seconds).1f s, at "
            "%(where)s; call what waits by asyncio.to_thread, or make it a plain function"
        ),
    ),
    "mess": ("warning", "After %(claim)s: %(what)s"),
    "defect": (
        "critical",
        (
            "The outcome of %(claim)s could not be handled; its row stays locked until this worker "
            "ends"
        ),
    ),
    "not_kept": ("info", "What %(claim)s returned is not kept: %(reason)s"),
    "untold": (
        "warning",
        "Receivers of django.tasks were not told that %(claim)s has ended: %(exception)r",
    ),
    "unreported": ("warning", "The progress of %(claim)s could not be written: %(exception)r"),
    "unlogged": ("warning", "What %(claim)s has logged could not be kept: %(exception)r"),
    "unattended": ("warning", "Somebody who looks on at %(claim)s has failed: %(exception)r"),
    "chain_broken": (
        "error",
        "%(task)s is not repeated any more: its rule %(rule)r cannot be followed",
    ),
    "tick": ("info", "Put the tick %(tick)s of %(schedule)s into the queue"),
    "tick_lost": (
        "error",
        "The tick %(tick)s of %(schedule)s could not be put into the queue; the next ones will be",
    ),
    "unreachable": ("warning", "Failed to retrieve tasks. Database unreachable."),
    "not_ours": ("warning", "Not running %(task)s: it is gone, or somebody else is running it"),
    "broken": ("error", "Running %(proxy)s on the pool failed"),
    "error_without_row": ("error", "%(proxy)s failed; it has no row, so it is not tried again"),
}
LEVELS = {method: getattr(logging, method.upper()) for method, _ in MESSAGES.values()}
#: Events whose exception is worth its traceback.
WITH_TRACEBACK = (
    *("error", "chain_broken", "tick_lost", "reduced"),
    *("defect", "broken", "error_without_row"),
)


def write(logger: logging.Logger, name: str, fields: dict[str, Any]) -> None:
    """Write an event to a logger, with fields for structured logging."""
    method, message = MESSAGES[name]
    if not logger.isEnabledFor(LEVELS[method]):
        return
    extra: dict[str, Any] = {"event": name}
    claim = fields.get("claim")
    if isinstance(claim, Claim):
        extra |= {
            "task_id": claim.task_id,
            "task_uid": str(claim.uid),
            "task_name": claim.task_name,
            "queue": claim.queue,
            "priority": claim.priority,
            "backend": claim.backend,
            "worker": claim.owner,
            "attempt": claim.attempt,
            "seconds": fields.get("seconds"),
            "error_class": path_of(fields["exception"])
            if "exception" in fields
            else fields.get("error_class") or None,
        }
    repeats_at = fields.get("repeats_at")
    following = f"; next run at {as_local(repeats_at)}" if repeats_at else ""
    exception = fields.get("exception") if name in WITH_TRACEBACK else None
    values = {**fields, **extra, "next": following}
    getattr(logger, method)(message, values, exc_info=exception, extra=extra)
