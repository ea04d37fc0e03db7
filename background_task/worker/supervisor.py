"""Worker processes: started, replaced when they end, and stopped together."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Sequence

from .. import telemetry
from ..registry import Registry
from ..settings import app_settings
from ..store import Store
from .burial import Burial, Death
from .child import Child
from .control import LAST_SECONDS, Control
from .drain import DRAINED
from .heartbeat import BEATS_PER_LEASE
from .options import COUNTERS, Summary
from .parent import NOW, PAUSE, STOP, WAKE

#: How often the processes are looked at.
TICK_SECONDS = 0.1
#: A process that ends sooner than this has achieved nothing.
SHORT_LIFE_SECONDS = 10.0
#: The longest pause before a process is started in the place of one that has achieved nothing.
LONGEST_PAUSE_SECONDS = 30.0
#: How long after the last order a process may take to end before it is killed.
PATIENCE_SECONDS = LAST_SECONDS + 3.0
#: How long the dead of the last moment may take to bury.
BURIAL_SECONDS = 10.0


class Place:
    """One of the places that a worker process fills.

    Args:
        number: The place's number, counted from 1.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.child: Child | None = None
        self.start_at = 0.0
        #: Whether nobody is to come after the process that has filled it.
        self.is_done = False
        self._short_lives = 0

    def vacate(self, child: Child) -> float:
        """The process has ended; return how long to wait before the next one is started."""
        self.child = None
        if child.is_recycled or child.age() > SHORT_LIFE_SECONDS:
            self._short_lives = 0
            pause = 0.0
        else:
            self._short_lives += 1
            pause = pause_after(self._short_lives)
        self.start_at = time.monotonic() + pause
        return pause


class Health:
    """Tells while worker processes are well.

    A process is, as long as its heartbeat has reached the database within the last lease, or it was
    started within that time. If each one ends before its first heartbeat, over and over, nobody is
    well.

    Args:
        lease: How many seconds a worker counts as alive after a heartbeat.
        tell: Called while they are.
    """

    def __init__(self, lease: float, *, tell: Callable[[], object]) -> None:
        self._lease = lease
        self._tell = tell
        self._beat_at = time.monotonic()
        self._told_at = -math.inf

    def look(self, children: Sequence[Child], *, now: float) -> None:
        """Look at them, and tell if it is time to."""
        if now - self._told_at < self._lease / BEATS_PER_LEASE:
            return
        if self.is_well(children, now=now):
            self._told_at = now
            self._tell()

    def is_well(self, children: Sequence[Child], *, now: float) -> bool:
        """Tell whether none of them has been silent for long, and any has been heard lately."""
        beats = [child.beat_at for child in children if child.beat_at is not None]
        self._beat_at = max([self._beat_at, *beats])
        signs = [child.beat_at or child.started_at for child in children]
        return all(now - sign <= self._lease for sign in [self._beat_at, *signs])


def pause_after(short_lives: int) -> float:
    """Return the seconds to wait after so many processes in a row that ended soon."""
    return 0.0 if short_lives < 2 else min(LONGEST_PAUSE_SECONDS, 2.0 ** min(short_lives - 2, 16))


class Supervisor:
    """Runs a number of worker processes until it is told to stop.

    Args:
        command: The command line of a worker.
        processes: How many.
        store: The rows.
        registry: The functions by name.
        control: Where the orders come from.
        duration: Seconds after which it stops; 0 or less means never.
        is_batch: Whether it ends when all processes have found nothing left to do.
        on_well: Called a few times in each lease while the worker processes are well.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        processes: int,
        store: Store,
        registry: Registry,
        control: Control,
        duration: float = 0,
        is_batch: bool = False,
        on_well: Callable[[], object] = bool,
    ) -> None:
        self.command = command
        self.control = control
        self.duration = duration
        self.is_batch = is_batch
        #: What its own process has recorded for workers that have died, and what they have said.
        self.summary = Summary()
        self.processed = self.failures = 0
        self.is_clean = True
        self._health = Health(app_settings.BACKGROUND_TASK_LEASE_SECONDS, tell=on_well)
        self._places = [Place(number) for number in range(1, processes + 1)]
        self._burial = Burial(store, registry=registry, afterwards=self._wake_all)
        self._is_stop_passed_on = self._is_now_passed_on = False
        self._pause = control.pause_range
        self._hurry_since: float | None = None
        self._looked_at = time.monotonic()

    def run(self) -> bool:
        """Work until told to stop; return whether all processes ended in order and in time."""
        self._started = time.monotonic()
        self._burial.start()
        telemetry.subscribe(self.summary.count, to=COUNTERS)
        try:
            while not self._is_over():
                self._pass_orders_on()
                self._look_after_all()
                self._health.look(self._children(), now=time.monotonic())
                self.control.polling.wait(TICK_SECONDS)
        finally:
            for child in self._children():  # none, unless this process itself has failed
                child.process.kill()
                self._mourn(child)
            self.is_clean &= self._burial.end(within=BURIAL_SECONDS)
            telemetry.unsubscribe(self.summary.count)
            self.processed += self.summary.processed + self.summary.recovered
            self.failures += self.summary.failures
        return self.is_clean

    # -- orders ---------------------------------------------------------------------------------

    def _is_over(self) -> bool:
        elapsed = time.monotonic() - self._started
        if not self.control.is_stopping and 0 < self.duration < elapsed:
            within = max(self.control.shutdown_seconds, app_settings.MAX_RUN_TIME)
            self.control.stop("the duration is over", within=within, is_order=False)
        if not self.control.is_stopping and all(place.is_done for place in self._places):
            self.control.stop(DRAINED, within=self.control.shutdown_seconds, is_order=False)
        return self.control.is_stopping and not self._children()

    def _pass_orders_on(self) -> None:
        control = self.control
        if control.pause_range != self._pause:
            self._pause = control.pause_range
            for child in self._children():
                child.order(PAUSE, *self._pause)
        if control.is_stopping and not self._is_stop_passed_on:
            self._is_stop_passed_on = True
            for child in self._children():
                child.order(STOP, control.remaining(), control.reason)
                if not child.names:  # it has not begun to work, and may not listen for a while yet
                    child.process.terminate()
        if control.is_at_once and not self._is_now_passed_on:
            self._is_now_passed_on = True
            for child in self._children():
                child.order(NOW)

    def _wake_all(self) -> None:
        """Rows have become free: let somebody look."""
        for child in self._children():
            child.order(WAKE)

    # -- processes ------------------------------------------------------------------------------

    def _children(self) -> list[Child]:
        return [place.child for place in self._places if place.child is not None]

    def _look_after_all(self) -> None:
        now = time.monotonic()
        # When this process itself has stood still, what the others said meanwhile is not read yet.
        has_stood_still = now - self._looked_at > 10 * TICK_SECONDS
        self._looked_at = now
        if self.control.remaining() <= 0 and self._hurry_since is None:
            self._hurry_since = now
        is_too_late = self._hurry_since is not None and now - self._hurry_since > PATIENCE_SECONDS
        for place in self._places:
            child = place.child
            if child is None:
                is_wanted = not place.is_done and not self.control.is_stopping
                if is_wanted and now >= place.start_at:
                    self._fill(place)
            elif child.returncode() is not None:
                self._take_leave(place, child)
            elif is_too_late:
                self.is_clean = False
                self._kill(child, "it does not stop")
            elif not has_stood_still and child.is_overdue():
                self._kill(child, "a task does not end at its time limit")

    def _fill(self, place: Place) -> None:
        try:
            child = place.child = Child(self.command, number=place.number)
        except OSError as error:  # no memory, no process numbers: it will pass
            place.start_at = time.monotonic() + 1
            telemetry.event("child_missing", number=place.number, exception=error)
            return
        if self._pause != (0.0, 0.0):
            child.order(PAUSE, *self._pause)
        telemetry.event("child_started", number=place.number, pid=child.pid)

    def _kill(self, child: Child, why: str) -> None:
        child.is_killed = True
        child.process.kill()
        telemetry.event("child_killed", number=child.number, pid=child.pid, why=why)

    def _take_leave(self, place: Place, child: Child) -> None:
        self._mourn(child)
        pause = place.vacate(child)
        place.is_done = self.is_batch and child.is_drained
        self.processed += child.processed
        self.failures += child.failures
        code = child.process.returncode
        if self.control.is_stopping or place.is_done:
            self.is_clean &= code == 0 or not child.names
        elif not child.is_recycled:
            how = _how_it_ended(child)
            telemetry.event(
                "child_ended", number=child.number, pid=child.pid, how=how, seconds=pause
            )

    def _mourn(self, child: Child) -> None:
        """Read what it said last, and have its rows put in order."""
        child.process.wait()
        child.close()
        if child.is_killed:
            timed_out = child.timed_out()
            begun = frozenset(child.running)
            self._burial.bury(Death(tuple(child.names), timed_out, begun))
        else:
            self._burial.bury(Death(tuple(child.names)))


def _how_it_ended(child: Child) -> str:
    code = child.process.returncode
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
