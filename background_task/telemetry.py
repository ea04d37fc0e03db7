"""One stream of events: logs, progress output, metrics and tests all subscribe to it.

An event has a name and keyword fields. The events of this library:

===================== ==============================================================================
``start``          ``claim``: a run begins
``success``        ``claim``, ``seconds``, ``repeats_at``: the run is recorded as done
``error``          ``claim``, ``exception``: the function raised (sent where it did)
``put_off``        ``claim``, ``delay``, ``reason``: the function asked to be run again later
``retry``          *, ``delay``, ``is_wish``, ``error_class``: another attempt is recorded
``failure``        *, ``error_class``: the task is archived as failed
``discard``        *, ``reason``: the task is archived as not wanted any more
``cancel``         *, ``reason``, ``error_class``: the task is archived as cancelled
``release``        ``claim``, ``reason``: the row was handed back, no attempt spent
``late``           ``claim``: the worker no longer held the row; its result was dropped
``reduced``        ``claim``, ``exception``: the outcome was stored in its simplest form
``mess``           ``claim``, ``what``: what a task left behind was put in order
``not_kept``       ``claim``, ``reason``: the run is done, but its return value cannot be kept
``untold``         ``claim``, ``exception``: receivers of ``django.tasks`` were not told of its end
``unreported``     ``claim``, ``exception``: its progress could not be written
``unlogged``       ``claim``, ``exception``: what it has logged could not be kept
``unattended``     ``claim``, ``exception``: somebody who looks on at runs has failed
``overrun``        ``claim``, ``seconds``: a run takes longer than MAX_RUN_TIME
``blocked``        ``claim``, ``seconds``, ``where``: a coroutine keeps the event loop from others
``unknown``        ``names``: due rows name functions that this worker does not have
``outage``         ``exception``, ``hint``: the database cannot be used; sent once
``reconnect``      ``seconds``: it can be used again
``adopt``          ``claims``: claims whose confirmation had been lost
``put_aside``      ``claims``: a limit did not let them through; they go on when there is room
``handed_back``    ``claims``: not begun, left for others: a slow task runs, or a gate had failed
``heartbeat``      ``worker``: the database knows that this worker is alive
``evicted``        ``worker``, ``name``: others took this worker for dead; it has a new name
``defect``         ``claim``, ``exception``: this library itself failed in a worker's thread
``stopping``       ``reason``, ``running``, ``seconds``: claims that may still finish in that time
``child_started``  ``number``, ``pid``: a worker process was started
``child_ended``    ``number``, ``pid``, ``how``, ``seconds``: it has ended, another follows so soon
``child_killed``   ``number``, ``pid``, ``why``: it had to be killed
``child_missing``  ``number``, ``exception``: it could not be started; tried again
``tick``           ``schedule``, ``tick``: a periodic task was put into the queue
``tick_lost``      ``schedule``, ``tick``, ``exception``: it could not be; the schedule goes on
``pruned``         ``rows``: so many finished tasks were deleted, because they were old enough
``not_pruned``     ``rows``, ``exception``: so many could not be, and stay
``not_counted``    ``exception``: what has ended, or what waits, could not be added up
``idle``           ``seconds``: nothing is due; the worker waits at most so long
``no_notify``      ``using``, ``reason``, ``remedy``: the database cannot wake this worker; it polls
``unreachable``    ``exception``: code asked for a task and the database did not answer
``not_ours``       ``task``: code wanted to run a row that is gone or somebody else's
``error_without_row`` ``proxy``, ``exception``: a function called by name raised
``broken``         ``proxy``, ``exception``: a task of the in-process pool could not be run
===================== ==============================================================================

* is ``claim``, ``seconds`` (how long the run took; None if nobody knows) and ``lost`` (whether its
worker is gone). ``error_class`` is the path of the class of the exception, empty if there was none.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

logger = logging.getLogger(__name__)

Subscriber: TypeAlias = Callable[[str, dict[str, Any]], None]

_subscribers: list[tuple[Subscriber, Collection[str]]] = []
#: Two rivals: two threads that leave. Eager calls do that all the time, in each thread of a site.
#: One that leaves between the other's looking for its place and leaving it moves all places.
_lock = threading.Lock()
#: Event -> who is told. Replaced as a whole when somebody comes or goes, so that what a thread is
#: just putting into the old one does no harm.
_routes: dict[str, tuple[Subscriber, ...]] = {}


def subscribe(subscriber: Subscriber, *, to: Collection[str] = ()) -> Subscriber:
    """Call ``subscriber(name, fields)`` at each event, in the thread where it happens.

    Args:
        subscriber: What to call.
        to: The names of the events; none means all.
    """
    global _routes
    with _lock:
        _subscribers.append((subscriber, to))
        _routes = {}
    return subscriber


def unsubscribe(subscriber: Subscriber) -> None:
    """Stop calling ``subscriber``."""
    global _routes
    with _lock:
        place = [known for known, _ in _subscribers].index(subscriber)
        del _subscribers[place]
        _routes = {}


@contextmanager
def subscribed(subscriber: Subscriber, *, to: Collection[str] = ()) -> Iterator[None]:
    """Subscribe within a ``with`` block."""
    subscribe(subscriber, to=to)
    try:
        yield
    finally:
        unsubscribe(subscriber)


def event(name: str, /, **fields: Any) -> None:
    """Tell all subscribers; one that raises is logged and harms nobody."""
    routes = _routes
    route = routes.get(name)
    if route is None:
        route = tuple(known for known, names in tuple(_subscribers) if not names or name in names)
        routes[name] = route
    for subscriber in route:
        try:
            subscriber(name, fields)
        except Exception:
            logger.exception("Subscriber %r failed on event %r", subscriber, name)
