"""Eager mode: a call is run at once, where it is made."""

from __future__ import annotations

from django.test.utils import TestContextDecorator

from ..immediate import Mode, enter, leave


class eager(TestContextDecorator):  # noqa: N801 - it reads as what it does
    """Run each call at once, in the caller's thread, for the time of a block, a test, or a class.

    A context manager, and a decorator of functions, coroutine functions and test case classes.
    The row is inserted, claimed, run and archived, as by a worker, within the caller's transaction
    if there is one. What is scheduled for later, or paused, stays in the queue. It counts for all
    threads of the process.

    Args:
        raise_errors: Raise what the task raises where it was called, once that is recorded, if its
            attempt thereby fails. If False, it is recorded only. Further attempts stay in the
            queue.
    """

    def __init__(self, *, raise_errors: bool = True) -> None:
        super().__init__()
        self._mode = Mode(is_eager=True, raises=raise_errors)

    def enable(self) -> None:
        """Begin."""
        enter(self._mode)

    def disable(self) -> None:
        """End."""
        leave(self._mode)
