"""A run that goes on, and what its function is told when it asks; most never ask."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial

from django.utils import timezone

from ..attempt import Claim
from ..current import CurrentTask, Reporter
from ..store import Store
from .control import Control
from .limit import Run


class CurrentRun:
    """Makes the ``CurrentTask`` of a run, when it is asked for the first time.

    Made in the thread of the function, before that begins.

    Args:
        claim: The run.
        store: The store of the row.
        control: The worker's orders; None outside a worker.
        depth: How deep in transactions this thread is.
    """

    __slots__ = ("_claim", "_control", "_depth", "_made", "_store", "_thread", "run")

    def __init__(
        self, claim: Claim, store: Store, *, control: Control | None, depth: int = 0
    ) -> None:
        #: Ends it where it has to be ended; None outside a worker.
        self.run: Run | None = None
        self._claim, self._store, self._control = claim, store, control
        self._depth, self._thread = depth, threading.get_ident()
        self._made: dict[str, CurrentTask] = {}

    def task(self) -> CurrentTask:
        """Return what the function may ask about its run, always the same."""
        # Two threads of the function may ask at once. Only one reporter is to count the seconds.
        return self._made.get("task") or self._made.setdefault("task", self._make())

    def has_unwritten(self) -> bool:
        """Tell whether a report of how far it has come has not been written."""
        return bool(self._made) and self._made["task"]._reporter.is_pending

    def write(self) -> None:
        """Write the last report of how far it has come, if it was not."""
        if self._made:
            self._made["task"]._reporter.write()

    def _make(self) -> CurrentTask:
        run, deadline = self.run, None
        if run is not None and run.has_limit:
            deadline = timezone.now() + timedelta(seconds=run.limit - run.seconds())
        return CurrentTask(
            self._claim,
            deadline=deadline,
            using=self._store.using,
            _is_stopping=partial(_is_stopping, self._control, run),
            _reporter=Reporter(self._claim, self._store, depth=self._depth, thread=self._thread),
        )


def _is_stopping(control: Control | None, run: Run | None) -> bool:
    if run is not None and run.is_cancelled:
        return True
    return control is not None and control.is_stopping
