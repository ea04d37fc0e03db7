"""Hop 3: claim, submit, and wait, until told to stop."""

from __future__ import annotations

import time

from django.db import Error

from .. import telemetry
from ..attempt import Claim, Outcome, Released
from ..log_capture import capturing
from ..registry import Registry
from ..settings import app_settings
from ..store import Store
from ..store.rollups import Rollups
from ..wakeup import make_wakeup
from .admission import Admission
from .bookkeeper import Bookkeeper
from .cancel import Requests
from .control import Backoff, Control
from .drain import DRAINED
from .executors import InlineExecutor
from .finish import End, has_receivers, record_many
from .gather import WINDOW_SECONDS, Gatherer
from .hand import Hand, Keeper
from .heartbeat import Heartbeat, Identity, Watchdog
from .hygiene import close_connections, is_in_memory, refresh_connections
from .options import COUNTERS, Options, Summary
from .outage import LONGEST_OUTAGE_SECONDS
from .part import Part, make_executor, wanted_by
from .periodic import Ticker
from .pruner import Pruner
from .recorder import Recorder
from .recovery import Recovery
from .retirement import Retirement
from .run import run_claim
from .watch import Watch

#: ``--sleep 0`` polls as fast as this, so that an idle worker does not burn a processor.
SHORTEST_SLEEP_SECONDS = 0.01


class Loop:
    """One worker.

    Args:
        registry: The functions it can run.
        store: The rows.
        control: Where its orders come from.
        options: How it is to run.
    """

    heartbeat: Heartbeat | None = None
    keeper: Keeper | None = None
    bookkeeper: Bookkeeper | None = None

    def __init__(
        self, registry: Registry, *, store: Store, control: Control, options: Options
    ) -> None:
        self.registry = registry
        self.store = store = store.without(options.excluded) if options.excluded else store
        self.control = control
        self.options = options
        #: In the caller's transaction (a ``TestCase``) nobody else can see the rows: there is
        #: nothing to keep alive for, and threads would see none of them.
        self.is_private = store.in_transaction()
        self.watch = Watch(control)
        self.admission = Admission(store, registry=registry, lease=options.lease)
        self.executor, self.parts = make_executor(
            options,
            registry=registry,
            store=store,
            admission=self.admission,
            control=control,
            work=self._run_one,
            begin=self._begin_coroutine,
            end=self._end_coroutine,
            is_slow=self._is_each_recorded,
        )
        self.is_inline = isinstance(self.executor, InlineExecutor)
        self.gatherer = Gatherer(self._record)
        self._is_flushing_each = app_settings.BACKGROUND_TASK_FLUSH_EACH
        ticker = Ticker(store, registry=registry, lease=options.lease)
        self.chores: list[Recovery | Ticker | Admission | Pruner] = [self.admission]
        self.chores += [ticker] if options.is_ticking else []
        self.retirement = Retirement(self.watch, control=control, options=options)
        self.summary = Summary()
        self.identity = Identity.of(
            options, store.using, capacity=self.executor.slots, summary=self.summary
        )
        self.recorder = Recorder(Rollups(store.using), owners=self.identity.names)
        self.hand = Hand(
            store,
            identity=self.identity,
            parts=self.parts,
            gatherer=self.gatherer,
            polling=control.polling,
        )
        control.drain.watch(self.executor, parts=self.parts, hand=self.hand)
        self._backoff = Backoff(longest=LONGEST_OUTAGE_SECONDS)
        self._is_registered = False
        self.wakeup = make_wakeup(store.using, control.polling)
        self._idle_since: float | None = None
        self._ready_pause = SHORTEST_SLEEP_SECONDS

    def run(self) -> Summary:
        """Work until told to stop, or until the duration is over; then drain and release."""
        started = self.retirement.begin()
        checks = (*self.watch.checks(), *self.retirement.checks())
        watchdog = Watchdog(self.control.enforce_deadline, *checks)
        watchdog.start()
        try:
            with telemetry.subscribed(self.summary.count, to=COUNTERS), capturing():
                self._register()
                try:
                    self._work()
                except BaseException:
                    self.control.stop("an error in the worker", within=self.options.shutdown)
                    raise
                finally:
                    self._leave()
        finally:
            self.recorder.close()
            for thread in (watchdog, self.keeper, self.bookkeeper, self.heartbeat):
                if thread is not None:
                    thread.end()
            self.wakeup.close()
            self.control.drain.close()
            self.summary.seconds = time.monotonic() - started
        return self.summary

    def abandon(self) -> None:
        """Hand everything back at once; for a process that ends without stopping the loop."""
        self._record_stuck()
        self.gatherer.flush(timeout=1)
        self.store.release(self.store.held_by(self.identity.name))
        self.identity.retire()
        self.recorder.try_to_write()

    # -- life -----------------------------------------------------------------------------------

    def _register(self) -> None:
        while not self._is_over():
            try:
                self.identity.register()
            except Error as error:
                self._outage(error)
            else:
                self._back()
                self._is_registered = True
                break
        else:
            return
        if not self.is_private and not is_in_memory(self.store.using):
            requests = Requests(self.hand, watch=self.watch, limits=self.control.limits)
            self.heartbeat = Heartbeat(self.identity, errands=[requests.errand()])
            self.heartbeat.start()
            self.recorder.open()
            books = (self.store, self.identity, self.options, self.recorder)
            self.bookkeeper = Bookkeeper(*books)
            self.bookkeeper.start()
            self.chores.append(Pruner(self.store, self.identity, self.options.duration))
            if self.is_inline:
                self.keeper = Keeper(self.gatherer, self.executor, hand=self.hand)
                self.keeper.start()
        self.recovery = Recovery(
            self.store,
            registry=self.registry,
            lease=self.options.lease,
            duration=self.options.duration if self.options.duration > 0 else None,
            heartbeat=self.heartbeat,
        )
        self.chores.insert(0, self.recovery)

    def _work(self) -> None:
        while not self._is_over():
            self.control.drain.begin()
            self.gatherer.flush()
            try:
                claims = self._claim()
                self._back()
                is_empty = self.control.drain.end(claims)
                if not claims and not (is_empty and self._ends_batch()):
                    self._wait()
            except Error as error:
                self.hand.is_unsure = True
                self._outage(error)
                continue
            for claim in claims:
                if self.control.is_stopping:  # what has not begun is released
                    break
                self.executor.submit(claim)
            if self.keeper is not None and len(claims) > 1:
                self.keeper.look_out()
            self.executor.work_off()

    def _is_over(self) -> bool:
        self.retirement.end_duration()
        return self.control.is_stopping

    def _ends_batch(self) -> bool:
        """Stop because nothing is left to do, unless something of dead workers is to come."""
        if not self.options.is_batch or self.recovery.is_owed():
            return False
        self.watch.tell_unknown(self.store, self.parts, self.options)
        self.control.stop(DRAINED, within=self.options.shutdown, is_order=False)
        return True

    def _record_stuck(self) -> None:
        """Record the attempts that only the end of this process ends, right before it."""
        now = time.monotonic()
        verdicts = self.control.limits.verdicts()
        if verdicts:
            self._record([End(*verdict, ended=now) for verdict in verdicts])

    def _leave(self) -> None:
        """Drain, release what is left without spending an attempt, and say goodbye."""
        if not self._is_registered:
            return
        self.hand.leave()
        while self.executor.load() and self.control.remaining() > 0:
            self.gatherer.flush()  # what has ended need not wait for what has not
            self.control.polling.wait(min(self.control.remaining(), 1.0))
        left = self.executor.drain()
        self.gatherer.flush()
        self._record_stuck()
        while True:
            try:
                self.hand.say_goodbye(left)
            except Error as error:
                # Whoever recovers the rows later counts a lost attempt; there is no other way to
                # tell this end from a crash.
                is_last = self._backoff.failures >= (2 if self.control.is_at_once else 6)
                if is_last:
                    telemetry.event("outage", exception=error, hint="could not say goodbye")
                    return
                self._outage(error)
            else:
                self.control.outage.end()
                self.recorder.try_to_write()
                return

    # -- one round ------------------------------------------------------------------------------

    def _claim(self) -> list[Claim]:
        if lost := self.hand.adopt():
            return self.admission.without_limit(lost)
        if self.heartbeat is not None and self.identity.is_overdue():
            self.identity.renew()  # this process stood still; who knows what others made of that
        for chore in self.chores:
            chore.run_if_due()
        room = self.retirement.recycling.room() - self.executor.load()
        begun = time.monotonic()
        claims: list[Claim] = []
        for part in sorted(self.parts, key=Part.rest):
            if part.rest() and (claims or self.executor.load()):
                continue
            claims += part.claim(
                self.store,
                self.identity.name,
                queues=self.options.queues,
                room=room - len(claims),
                is_ahead=self._may_claim_ahead(),
            )
        if claims:
            self._ready_pause = SHORTEST_SLEEP_SECONDS
            if self._idle_since is not None:
                self._idle_since = None
                self.wakeup.disarm()
        if claims and time.monotonic() - begun > self.options.lease.total_seconds() / 4:
            # This process may have stood still before the statement was sent, and have been
            # declared dead. Then the rows are up for recovery already.
            self.identity.renew()
            self.control.drain.give_up()
            self.store.release(claim for claim in claims if claim.owner != self.identity.name)
            claims = [claim for claim in claims if claim.owner == self.identity.name]
        return claims

    def _may_claim_ahead(self) -> bool:
        """Tell whether to have tasks in hand beyond those that run.

        Not where one that is lost might have been the last attempt, or none could be handed back.
        """
        is_safe = self.heartbeat is not None and app_settings.MAX_ATTEMPTS > 1
        return is_safe and not self.control.pause_range[1]

    def _run_one(self, claim: Claim) -> None:
        if self.heartbeat is not None and not self.hand.may_begin(claim):
            return
        started = self.watch.begin(claim)
        try:
            outcome = run_claim(claim, self.registry, store=self.store, control=self.control)
            end = self.parts[-1].end_of(claim, outcome, started=started)
            if claim.attempts or self._is_each_recorded():
                self._record([end])
            else:
                self.gatherer.add(end)
        except Exception as error:
            if self.store.in_transaction():
                raise  # the caller's to deal with, as everything inside its transaction
            # A defect of ours must cost neither the thread nor the worker.
            telemetry.event("defect", claim=claim, exception=error)
        finally:
            self.watch.end(claim)
            self.retirement.count()
        if self.is_inline and self.gatherer.is_due(time.monotonic()):
            self.gatherer.flush()

    def _is_each_recorded(self) -> bool:
        """Tell whether each outcome is recorded by itself: for receivers, who may take long."""
        return self._is_flushing_each or bool(self.control.pause_range[1]) or has_receivers()

    def _begin_coroutine(self, claim: Claim) -> float | None:
        if self.heartbeat is not None and not self.hand.may_begin(claim):
            return None
        return self.watch.begin(claim)

    def _end_coroutine(self, claim: Claim, outcome: Outcome | None, started: float) -> None:
        if outcome is not None:
            end = self.parts[0].end_of(claim, outcome, started=started)
            is_apart = not isinstance(outcome, Released) and self._is_each_recorded()
            self._record([end]) if is_apart else self.gatherer.add(end)
        self.watch.end(claim)
        self.retirement.count()

    def _record(self, ends: list[End]) -> None:
        try:
            record_many(self.store, ends, control=self.control)
            self.admission.freed(end.claim for end in ends)
        except Exception as error:
            if self.store.in_transaction():
                raise
            for end in ends:
                telemetry.event("defect", claim=end.claim, exception=error)

    def _wait(self) -> None:
        parts = [part for part in self.parts if part.has_room()]
        if any(part.is_refused and not part.rest() for part in parts):
            return
        rest = min((part.rest() for part in parts), default=float("inf"))
        if rest and (not parts or self.executor.load()):
            self._wait_for_slots(rest)
            return
        if self._idle_since is None:
            self._idle_since = time.monotonic()
            self.wakeup.arm()
            return  # to look once more: what came before it was armed wakes nobody
        now = self.store.now()
        names, backends = wanted_by(parts)
        due = self.store.look(names, backends=backends, queues=self.options.queues, now=now)
        if due.is_unknown and len(parts) == len(self.parts):
            self.watch.tell_unknown(self.store, parts, self.options)
        sleep = max(self.options.sleep, SHORTEST_SLEEP_SECONDS)
        seconds = self.wakeup.longest_pause(time.monotonic() - self._idle_since, sleep)
        if due.is_ready:  # it became due a moment ago, or a rival is just taking it
            seconds = min(seconds, self._ready_pause)
            self._ready_pause *= 2  # a producer's transaction may hold the row's lock for long
        elif due.next_at is not None:
            left = (due.next_at - now).total_seconds()
            seconds = min(seconds, max(SHORTEST_SLEEP_SECONDS, left))
        if self._let_go_of_stalled():
            seconds = min(seconds, WINDOW_SECONDS)
        refresh_connections(idle_beside=self.store.using)
        telemetry.event("idle", seconds=seconds)
        self.wakeup.wait(self._at_most(seconds))
        self.wakeup.arm()

    def _wait_for_slots(self, seconds: float) -> None:
        """Wait until a task ends, or there is something to see to beside those that run."""
        if self._let_go_of_stalled() or not self.gatherer.is_empty:
            seconds = min(seconds, WINDOW_SECONDS)
        self.control.polling.wait(self._at_most(seconds))

    def _let_go_of_stalled(self) -> bool:
        """Hand back what waits behind slow tasks; return whether something still waits."""
        self.hand.let_go_of_stalled()
        return self.executor.has_waiting()

    def _at_most(self, seconds: float) -> float:
        """Shorten a wait so that neither a chore nor the end of the duration is missed."""
        due = 0.0 if self.hand.is_unsure else min(each.seconds_until_due() for each in self.chores)
        seconds = min(seconds, max(due, SHORTEST_SLEEP_SECONDS))
        return min(seconds, max(0.0, self.retirement.seconds_left()) + SHORTEST_SLEEP_SECONDS)

    # -- outages --------------------------------------------------------------------------------

    def _outage(self, error: Error) -> None:
        """Say once that the database cannot be used, and wait a little longer each time."""
        if self.store.in_transaction():
            raise error  # the caller's transaction is broken: waiting would not mend it
        close_connections()
        self.executor.forget_connections()
        pause = self._backoff.next()
        if self._backoff.failures > 1:
            self.control.outage.begin(error)
        self.control.polling.wait(pause)

    def _back(self) -> None:
        self._backoff.reset()
        self.control.outage.end()
