"""Tasks that are flaky, slow, deadly, or called too often."""

import logging
import os
import time
from uuid import UUID

from background_task import background, cancel, current_task, fixed, progress

logger = logging.getLogger(__name__)


@background(max_attempts=5, backoff=fixed(3))
def flaky() -> str:
    """Work at the third attempt.

    Raises:
        ConnectionError: At the first two.
    """
    attempt = current_task().attempt
    logger.info("asking the other side, for the %s. time", attempt)
    if attempt < 3:
        raise ConnectionError(f"the other side does not answer (attempt {attempt})")
    return "the other side answered"


@background
def slow(seconds: int = 30) -> str:
    """Take long, and say how far it is.

    Raises:
        InterruptedError: Somebody cancelled the task, or the worker is to stop.
    """
    for second in range(1, seconds + 1):
        time.sleep(1)
        progress(second, seconds, f"second {second} of {seconds}")
        if current_task().is_stopping():
            raise InterruptedError(f"asked to stop after {second} seconds")
    return f"slept for {seconds} seconds"


@background(max_attempts=3, backoff=fixed(2))
def crash() -> str:
    """Take the worker's process along at the first attempt, and work at the second."""
    time.sleep(1)
    if current_task().attempt == 1:
        os._exit(137)  # as abrupt as kill -9: nothing is said, and nothing tidied up
    return "somebody else has finished it"


@background(unique=True, unique_until="finish")
def only_once() -> None:
    """Be in the queue, or run, once at a time, however often it is called."""
    for second in range(1, 11):
        progress(second, 10, "call me again while I run")
        time.sleep(1)


@background
def tick() -> None:
    """Be called again and again."""
    logger.info("tick")


@background(max_concurrency=1)
def one_at_a_time() -> None:
    """Use something that only one may use."""
    for step in range(1, 4):
        progress(step, 3, "nobody else is in here")
        time.sleep(1)


@background(max_attempts=1, timeout=4)
def endless() -> None:
    """Never come to an end."""
    while True:
        time.sleep(0.1)


@background(queue="flood")
def drop(number: int) -> None:
    """Be one of many."""
    time.sleep(0.05)


@background(priority=10)
def call_off(uid: str) -> str:
    """Cancel another task."""
    return cancel(UUID(uid))
