"""Limits: how many runs of a key are let through, and what waits meanwhile.

A claim that its limit does not let through is put aside: its row gets a later time, so that no
claim walks over it again, and is called back when there is room. All of this is done with the lock
of the key's gate, so that of two workers at the last free place one gets it.

Nobody gives a place back. A permit counts as long as its row is held under the claim number of the
permit, which ends with the run, whatever ends it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections, transaction
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.db.models.functions import Coalesce

from ..attempt import Claim
from ..limiter import RateLimit
from ..models import Gate, Permit, Task, TaskQuerySet
from ..wakeup import notify_after_commit
from .base import Store

#: For how long a row is put aside, if nobody calls it back before.
ASIDE = timedelta(days=1)
#: How soon somebody looks whether there is room again, if nobody says that there is.
LOOK_AGAIN = timedelta(seconds=5)
#: Not more often than this, when the starts of a period leave it one after the other.
SHORTEST_PAUSE = timedelta(milliseconds=50)
#: How many rows are called back at once, and put aside at once beyond those that were claimed.
MOST_ROWS = 1000
#: How many permits of ended runs may lie about before they are deleted.
MOST_ENDED = 100
#: More than any worker claims at once.
ANY = 2**31
#: How many gates one round looks at.
MOST_GATES = 50


@dataclass(frozen=True, slots=True)
class Limit:
    """What a run has to pass.

    Attributes:
        key: Which runs count together.
        name: The key as people read it.
        most: How many may run at once; None for any number.
        rate: How many may start within a period; None for any number.
    """

    key: str
    name: str
    most: int | None
    rate: RateLimit | None


@dataclass(frozen=True, slots=True)
class Called:
    """How many rows were called back, and when to look again; None if none is left aside."""

    number: int = 0
    look_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Room:
    """How many runs a gate lets through now, and when it may be worth looking again."""

    free: int
    look_at: datetime


class Gates:
    """The gates of one database.

    Args:
        store: The rows.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.using = store.using

    # -- let through or put aside ---------------------------------------------------------------

    def admit(
        self, wanted: Sequence[tuple[Claim, Limit]], *, now: datetime | None = None
    ) -> list[Claim]:
        """Let claims through in their order, as far as their limits allow; put the others aside.

        Args:
            wanted: The claims, and what each has to pass.
            now: Overrides the database's clock.

        Returns:
            The claims that may be run.
        """
        now = self.store.now() if now is None else now
        waiting: dict[Limit, list[Claim]] = {}
        for claim, limit in sorted(wanted, key=lambda pair: pair[1].key):
            waiting.setdefault(limit, []).append(claim)
        admitted: list[tuple[str, Claim]] = []
        taken: Counter[str] = Counter()  # calls may have the same key and limits of their own
        with transaction.atomic(using=self.using):
            self._lock(waiting)
            for limit, claims in waiting.items():
                room = self._room(limit, now=now)
                free = max(0, room.free - taken[limit.key])
                admitted += [(limit.key, claim) for claim in claims[:free]]
                taken[limit.key] += min(free, len(claims))
                if refused := claims[free:]:
                    self._put_aside(limit.key, refused, now=now)
                    self._gates().filter(key=limit.key).update(look_at=room.look_at)
            self._let_through(admitted, now=now)
        let_through = {claim for _, claim in admitted}
        return [claim for claim, _ in wanted if claim in let_through]

    def _lock(self, limits: Iterable[Limit]) -> None:
        """Lock the gates, made where they are missing, in the order of their keys.

        One statement that makes the rows or locks them: looking first would leave two workers who
        meet where no row is yet in a deadlock on MariaDB.
        """
        gates = {limit.key: _gate_of(limit) for limit in limits}
        names_key = connections[self.using].features.supports_update_conflicts_with_target
        self._gates().bulk_create(
            gates.values(),
            update_conflicts=True,
            update_fields=["name", "max_running", "max_starts", "period_seconds"],
            unique_fields=["key"] if names_key else None,
        )

    def _room(self, limit: Limit, *, now: datetime) -> Room:
        """Return how many more may start now. Called with the gate's lock.

        Times are compared with care: who has waited for the lock may have an older one than the
        last permit.
        """
        permits = self._permits().filter(key=limit.key)
        if limit.rate is None:
            running = self._running(permits)
            return Room(max(0, (limit.most or ANY) - running), now + LOOK_AGAIN)
        recent = permits.filter(admitted_at__gt=now - limit.rate.period)
        free = ANY
        if limit.most is not None:
            running = recent.filter(_is_running()).count()
            running += self._running(permits.filter(admitted_at__lte=now - limit.rate.period))
            free = max(0, limit.most - running)
        starts, most = recent.count(), limit.rate.starts
        if most - starts > free:
            return Room(free, now + LOOK_AGAIN)
        # When the first one leaves that keeps another from starting.
        latest = recent.order_by("-admitted_at").values_list("admitted_at", flat=True)
        first = latest[min(starts, most) - 1] if starts else now
        look_at = max(first + limit.rate.period, now + SHORTEST_PAUSE)
        return Room(max(0, most - starts), look_at)

    def _running(self, permits: QuerySet[Permit]) -> int:
        """Return how many of these run; what has ended need not be kept."""
        known = permits.annotate(is_running=_is_running())
        states = dict(known.values_list("pk", "is_running"))
        ended = [pk for pk, is_running in states.items() if not is_running]
        if len(ended) > MOST_ENDED:
            permits.filter(pk__in=ended[:MOST_ROWS])._raw_delete(self.using)
        return len(states) - len(ended)

    def _let_through(self, admitted: Sequence[tuple[str, Claim]], *, now: datetime) -> None:
        """Write the permits, and take from the rows what they have as long as they wait."""
        if not admitted:
            return
        self._permits().bulk_create(
            Permit(key=key, task_id=claim.task_id, claim_number=claim.number, admitted_at=now)
            for key, claim in admitted
        )
        self.wave_through(claim for _, claim in admitted)

    def wave_through(self, claims: Iterable[Claim]) -> None:
        """Take from rows what they have as long as they wait; they need no permit, or have it."""
        for rows in self.store.held_rows(claims):
            rows.mark_begun()

    def _put_aside(self, key: str, claims: Sequence[Claim], *, now: datetime) -> None:
        """Put claims aside, and those that wait behind them: they would be refused as well."""
        back = 0
        for rows in self.store.held_rows(claims):
            back += self._set_aside(
                rows.filter(cancel_requested_at=None),
                now=now,
                locked_by=None,
                locked_at=None,
                limit_key=key,
            )
        if back < len(claims):
            self.store.release(claims)  # somebody has cancelled them, which this makes final
        for priority in {claim.priority for claim in claims}:
            behind = self.store.tasks.filter(
                limit_key=key,
                priority=priority,
                due_at=None,
                locked_by=None,
                failed_at=None,
                run_at__lte=now,
            )
            keys = self._locked(behind.order_by()[:MOST_ROWS])
            if keys:
                self._set_aside(self.store.tasks.filter(pk__in=keys), now=now)

    def _set_aside(self, rows: TaskQuerySet, *, now: datetime, **values: object) -> int:
        return rows.update(
            due_at=Coalesce("due_at", "run_at"),  # before the next one, see above
            run_at=now + ASIDE,
            started_at=Case(When(attempts=0, then=None), default=F("started_at")),
            **values,
        )

    def _locked(self, rows: TaskQuerySet) -> list[int]:
        """Return the keys of rows that nobody can claim until this transaction ends."""
        if connections[self.using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        return list(rows.values_list("pk", flat=True))

    # -- call back ------------------------------------------------------------------------------

    def waiting(self, keys: Collection[str] | None = None) -> list[tuple[str, datetime]]:
        """Return the keys for which rows are put aside, and when to look at each, soonest first.

        Args:
            keys: Only these; None for all, of which the first ``MOST_GATES`` are enough.
        """
        gates = self._gates().filter(look_at__isnull=False)
        found = gates.order_by("look_at").values_list("key", "look_at")
        found = found[:MOST_GATES] if keys is None else found.filter(key__in=keys)
        return [(key, look_at) for key, look_at in found if look_at is not None]

    def call_back(self, key: str, *, now: datetime | None = None) -> Called:
        """Give rows that were put aside their time again, as many as there is room for.

        They are then claimed like all others, and pass the gate like all others.
        """
        now = self.store.now() if now is None else now
        with transaction.atomic(using=self.using):
            gate = self._locked_gate(key)
            if gate is None or gate.look_at is None:
                return Called()
            room = self._room(_limit_of(gate), now=now)
            called, is_all = self._restore(key, min(room.free, MOST_ROWS))
            look_at = None if is_all else room.look_at
            if look_at is not None and room.free:
                # Who was called may never come: somebody cancels or pauses it.
                look_at = min(look_at, now if called == MOST_ROWS else now + LOOK_AGAIN)
            is_due = gate.look_at <= now  # and would keep those behind it from being looked at
            if look_at is None or is_due or abs(look_at - gate.look_at) > LOOK_AGAIN / 2:
                self._gates().filter(key=key).update(look_at=look_at)
            if called:
                notify_after_commit(self.using)
        return Called(called, look_at)

    def _locked_gate(self, key: str) -> Gate | None:
        gates = self._gates().filter(key=key)
        if connections[self.using].features.has_select_for_update:
            return gates.select_for_update().first()
        gates.update(name=F("name"))  # SQLite's first write locks everybody out
        return gates.first()

    def _restore(self, key: str, most: int) -> tuple[int, bool]:
        """Call back the first rows of a key; return how many, and whether none is left aside.

        Not those that are paused, which would keep the place from others; nor those that somebody
        has locked, whose transaction may be long, and all who pass the gate would wait for it.
        """
        aside = self.store.tasks.filter(
            limit_key=key, due_at__isnull=False, locked_by=None, failed_at=None
        )
        paused = self.store.pauses.read()
        wanted = paused.leave_out(aside)
        if paused.functions:
            wanted = wanted.not_named(paused.functions)
        called, sign = 0, self.store.order
        # Level by level of priority, so that each is read in the order of the index.
        levels = wanted.order_by(f"{sign}priority").values_list("priority", flat=True)
        level = levels.first() if most else None
        while level is not None:
            rows = wanted.filter(priority=level).order_by("due_at")
            if keys := self._locked(rows[: most - called]):
                rows = self.store.tasks.filter(pk__in=keys)
                called += rows.update(run_at=F("due_at"), due_at=None)
            if called >= most:
                break
            level = levels.filter(Q(priority__lt=level) if sign else Q(priority__gt=level)).first()
        # In the order of the index: without one, the planner may prefer to walk over the table.
        left = aside.order_by(f"{sign}priority").values_list("priority", flat=True).first()
        return called, left is None

    # -- tidy up --------------------------------------------------------------------------------

    def tidy(self, *, now: datetime | None = None) -> int:
        """Delete permits that count no more, and gates without any; return how many gates."""
        now = self.store.now() if now is None else now
        for seconds in set(self._gates().values_list("period_seconds", flat=True).distinct()):
            gates = self._gates().filter(period_seconds=seconds).values("key")
            old = self._permits().filter(admitted_at__lte=now - timedelta(seconds=seconds or 0))
            old.filter(key__in=gates).exclude(_is_running())._raw_delete(self.using)
        permits = self._permits().filter(key=OuterRef("key"))
        # One statement, whatever signals the project listens to: at a gate that was found first,
        # and deleted by its key, somebody may have been put aside in between.
        return self._gates().filter(~Exists(permits), look_at=None)._raw_delete(self.using)

    def _gates(self) -> QuerySet[Gate]:
        return Gate.objects.using(self.using)

    def _permits(self) -> QuerySet[Permit]:
        return Permit.objects.using(self.using)


def _is_running() -> Exists:
    """Return the condition that the run of a permit goes on."""
    rows = Task.objects.filter(pk=OuterRef("task_id"), claim_number=OuterRef("claim_number"))
    return Exists(rows.filter(locked_by__isnull=False))


def _gate_of(limit: Limit) -> Gate:
    rate = limit.rate
    return Gate(
        key=limit.key,
        name=limit.name[:255],
        max_running=limit.most,
        max_starts=None if rate is None else rate.starts,
        period_seconds=None if rate is None else rate.period.total_seconds(),
    )


def _limit_of(gate: Gate) -> Limit:
    rate = None
    if gate.max_starts is not None and gate.period_seconds is not None:
        rate = RateLimit(gate.max_starts, timedelta(seconds=gate.period_seconds))
    return Limit(gate.key, gate.name, gate.max_running, rate)
