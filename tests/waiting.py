"""Waiting for something to become true, with a deadline."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_until(
    predicate: Callable[[], Answer],
    *,
    deadline: float = 30.0,
    message: str = "",
    interval: float = 0.01,
) -> Answer:
    """Ask until the answer is true and return it; AssertionError after `deadline` seconds.

    The predicate is always asked once more at the end, so a machine that stood still for longer
    than the deadline does not fail a test whose condition came true meanwhile.
    """
    pause = threading.Event()
    end = time.monotonic() + deadline
    while True:
        is_last = time.monotonic() >= end
        answer = predicate()
        if answer:
            return answer
        if is_last:
            what = message or getattr(predicate, "__name__", repr(predicate))
            raise AssertionError(f"not true within {deadline:g} s: {what} (last: {answer!r})")
        pause.wait(interval)
