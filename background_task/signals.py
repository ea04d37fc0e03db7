"""The signals, and how the worker sends them.

``task_created`` is sent in the process that schedules, with ordinary Django semantics: a receiver
that raises, raises in the caller. All others are sent by the worker, where no receiver may undo
or repeat a task: what it raises is logged and dropped.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import connections
from django.dispatch import Signal

logger = logging.getLogger(__name__)

task_created = Signal()
task_error = Signal()
task_rescheduled = Signal()
task_failed = Signal()
task_discarded = Signal()
task_cancelled = Signal()
task_successful = Signal()
task_started = Signal()
task_finished = Signal()


def announce(signal: Signal, *, sender: type, **kwargs: Any) -> None:
    """Send ``signal`` so that no receiver can harm the worker.

    ``send_robust`` isolates and logs every ``Exception``; a receiver that calls ``sys.exit()``, or
    lets asyncio's ``CancelledError`` out, is caught here. Ctrl-C, outside a worker, goes through.
    """
    try:
        signal.send_robust(sender=sender, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException:
        logger.exception("A signal receiver tried to end the worker")


def reset_queries(**kwargs: Any) -> None:
    """Forget the queries that Django keeps for debugging; a long-lived process would hoard them."""
    for connection in connections.all(initialized_only=True):
        connection.queries_log.clear()


def close_old_connections(**kwargs: Any) -> None:
    """Close this thread's connections that are broken or past their age."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
