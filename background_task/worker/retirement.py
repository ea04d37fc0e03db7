"""A worker ends for reasons of its own: it has worked long enough, or a run will not end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from ..settings import app_settings
from .control import Control
from .options import Options
from .recycle import RECYCLED, Recycling
from .watch import Watch


class Retirement:
    """Stops one worker when it is time.

    Args:
        watch: What runs.
        control: The worker's orders.
        options: How it is to run.
    """

    def __init__(self, watch: Watch, *, control: Control, options: Options) -> None:
        self.recycling = Recycling(
            max_tasks=options.max_tasks, max_memory=options.max_memory, max_age=options.max_age
        )
        self._watch = watch
        self._control = control
        self._shutdown = options.shutdown
        self._duration = options.duration
        self._started = time.monotonic()

    def checks(self) -> Sequence[Callable[[], None]]:
        """Return what is to be called several times a second."""
        return self.end_duration, self.enforce_limits, self.recycle

    def begin(self) -> float:
        """The worker begins; return the time."""
        self._started = time.monotonic()
        return self._started

    def end_duration(self) -> None:
        """Called by the watchdog, too: a task that runs inline holds up the loop."""
        if not self._control.is_stopping and self.seconds_left() < 0:
            # Not the shutdown time: under cron, a task longer than that would be released at the
            # end of each run and never finish.
            self.stop_in_time("the duration is over")

    def seconds_left(self) -> float:
        """Return for how long it may still work; infinite if for ever."""
        if self._duration <= 0:
            return math.inf
        return self._duration - (time.monotonic() - self._started)

    def stop_in_time(self, reason: str) -> None:
        """Stop for a reason that is nobody's order; running tasks may take their time."""
        within = max(self._shutdown, app_settings.MAX_RUN_TIME)
        self._control.stop(reason, within=within, is_order=False)

    def count(self) -> None:
        """A task was run."""
        if self.recycling.count():
            self.recycle()

    def recycle(self) -> None:
        """Called by the watchdog, too: memory and age grow while a task runs."""
        reason = None if self._control.is_stopping else self.recycling.reason()
        if reason is not None:
            self.stop_in_time(reason)

    def enforce_limits(self) -> None:
        """Called by the watchdog: end runs that take too long, in the end with the process."""
        control, limits = self._control, self._control.limits
        stuck = limits.enforce()
        if not stuck:
            return
        reason = f"{RECYCLED}: {stuck[0]} does not end at its time limit"
        control.stop(reason, within=self._shutdown, is_order=False)
        if len(self._watch.begun()) > len(stuck):  # others may finish
            return
        if limits.witness is None:
            control.stop_now()
        else:
            for claim in stuck:
                limits.witness.ask_for_the_end(claim)
