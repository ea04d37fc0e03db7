"""One stream of events: logs, progress output, metrics and tests all subscribe to it.

An event has a name and keyword fields. The events of this library:

===================== ==============================================================================
``start``          ``claim``: a run begins
``success``        ``claim``, ``seconds``, ``repeats_at``: the run is recorded as done
``error``          ``claim``, ``exception``: the function raised (sent where it did)
``retry``          ``claim``, ``delay``, ``lost``: another attempt is recorded
``failure``        ``claim``, ``lost``: the task is archived as failed
``release``        ``claim``, ``reason``: the row was handed back, no attempt spent
``late``           ``claim``: the worker no longer held the row; its result was dropped
``reduced``        ``claim``, ``exception``: the outcome was stored in its simplest form
``mess``           ``claim``, ``what``: what a task left behind was put in order
``overrun``        ``claim``, ``seconds``: a run takes longer than MAX_RUN_TIME
``unknown``        ``names``: due rows name functions that this worker does not have
``outage``         ``exception``, ``hint``: the database cannot be used; sent once
``reconnect``      ``seconds``: it can be used again
``adopt``          ``claims``: claims whose confirmation had been lost
``handed_back``    ``claims``: claims that had not begun, left for others; the running task is slow
``evicted``        ``worker``, ``name``: others took this worker for dead; it has a new name
``defect``         ``claim``, ``exception``: this library itself failed in a worker's thread
``stopping``       ``reason``, ``running``, ``seconds``: claims that may still finish in that time
``idle``           ``seconds``: nothing is due; the worker waits at most so long
``no_notify``      ``using``, ``reason``, ``remedy``: the database cannot wake this worker; it polls
``unreachable``    ``exception``: code asked for a task and the database did not answer
``not_ours``       ``task``: code wanted to run a row that is gone or somebody else's
``error_without_row`` ``proxy``, ``exception``: a function called by name raised
``broken``         ``proxy``, ``exception``: a task of the in-process pool could not be run
===================== ==============================================================================
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

Subscriber: TypeAlias = Callable[[str, dict[str, Any]], None]

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> Subscriber:
    """Call ``subscriber(name, fields)`` at each event, in the thread where it happens."""
    _subscribers.append(subscriber)
    return subscriber


def unsubscribe(subscriber: Subscriber) -> None:
    """Stop calling ``subscriber``."""
    _subscribers.remove(subscriber)


@contextmanager
def subscribed(subscriber: Subscriber) -> Iterator[None]:
    """Subscribe within a ``with`` block."""
    subscribe(subscriber)
    try:
        yield
    finally:
        unsubscribe(subscriber)


def event(name: str, /, **fields: Any) -> None:
    """Tell all subscribers; one that raises is logged and harms nobody."""
    for subscriber in tuple(_subscribers):
        try:
            subscriber(name, fields)
        except Exception:
            logger.exception("Subscriber %r failed on event %r", subscriber, name)
