"""What happens to a worker, in the log."""

from __future__ import annotations

import logging
import math
from typing import Any

from .worker.outage import remedy_for

#: Event -> level, and message; fields of the event fill it.
MESSAGES = {
    "idle": (logging.DEBUG, "waiting for tasks"),
    "pruned": (logging.DEBUG, "Deleted %(rows)d old finished tasks"),
    "not_pruned": (
        logging.WARNING,
        "%(rows)d old finished tasks could not be deleted and stay: %(exception)r",
    ),
    "no_notify": (
        logging.WARNING,
        "No notifications from database %(using)r (%(reason)s): %(remedy)s",
    ),
    "outage": (logging.WARNING, "The database cannot be used (%(kind)s: %(text)s); %(remedy)s"),
    "reconnect": (logging.WARNING, "The database is back after %(seconds).1f s"),
    "stopping": (
        logging.INFO,
        (
            "Stopping (%(reason)s): %(running)s may run for %(within)s; "
            "a second signal stops it at once"
        ),
    ),
    "unknown": (
        logging.WARNING,
        (
            "Due tasks name functions that this worker does not have: %(names)s; "
            "they stay for a worker that has them"
        ),
    ),
    "adopt": (logging.WARNING, "Found claims whose confirmation was lost: %(claims)s"),
    "evicted": (
        logging.WARNING,
        (
            "Other workers took %(worker)s for dead (was this process stopped, or cut off from the "
            "database?); going on as %(name)s"
        ),
    ),
    "child_started": (logging.INFO, "Worker process %(number)d has the process number %(pid)d"),
    "child_ended": (
        logging.WARNING,
        "Worker process %(number)d (%(pid)d) has ended (%(how)s); starting another%(pause)s",
    ),
    "child_killed": (logging.ERROR, "Killing worker process %(number)d (%(pid)d): %(why)s"),
    "child_missing": (
        logging.ERROR,
        "Worker process %(number)d cannot be started (%(exception)s); trying again",
    ),
}


def write(logger: logging.Logger, name: str, fields: dict[str, Any]) -> None:
    """Write an event to a logger; each is one of ``MESSAGES``."""
    level, message = MESSAGES[name]
    words: dict[str, Any] = dict(fields)
    if name == "outage":
        words["kind"] = type(fields["exception"]).__name__
        words["text"] = next(iter(str(fields["exception"]).strip().splitlines()), "")
        words["remedy"] = fields["hint"] or remedy_for(fields["exception"])
    if name == "stopping":
        seconds = fields["seconds"]
        words["within"] = "ever" if seconds == math.inf else f"another {seconds:.0f} s"
    if name == "child_ended":
        words["pause"] = f" in {fields['seconds']:.0f} s" if fields["seconds"] else ""
    for key in ("running", "names", "claims"):
        if key in fields:
            words[key] = ", ".join(map(str, fields[key]))
    logger.log(level, message, words, extra={"event": name})
