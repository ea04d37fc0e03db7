"""Limits, as a worker sees to them: what may be run of what was claimed, and who may go on."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from .. import payload, telemetry
from ..attempt import Claim
from ..limiter import hashed, of_function
from ..registry import Registry, find
from ..store import Store
from ..store.gate import MOST_GATES, Gates, Limit
from .heartbeat import BEATS_PER_LEASE
from .terms import policy_of, terms_of, unbegun

#: Between two rounds of tidying up, in seconds.
TIDY_SECONDS = 3600.0


class Admission:
    """Lets claims through the gates, and calls back what was put aside once there is room.

    Args:
        store: Where the rows are.
        registry: The functions by name.
        lease: The worker's own lease; as often as it is renewed, all gates are looked at.
    """

    def __init__(self, store: Store, *, registry: Registry, lease: timedelta) -> None:
        self.store = store
        self.registry = registry
        self.gates = Gates(store)
        self._interval = lease.total_seconds() / BEATS_PER_LEASE
        self._look_at = time.monotonic()
        self._tidy_at = time.monotonic() + TIDY_SECONDS
        # Workers that are started anew all the time, by cron for example, never get that old.
        self._own_tidy_at = time.monotonic() + random.uniform(0, TIDY_SECONDS)
        self._freed: set[str] = set()
        self._lock = threading.Lock()

    def admit(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those that may be run; the others are put aside, and nobody's any more."""
        limits = {claim: limit for claim in claims if (limit := self._limit_of(claim))}
        free = [c for c in claims if c.limit_key is not None and c not in limits]
        if free:
            self.gates.wave_through(free)
        if not limits:
            return list(claims)
        self._tidy_at = min(self._tidy_at, self._own_tidy_at)
        admitted = set(self.gates.admit(list(limits.items())))
        refused = [claim for claim in limits if claim not in admitted]
        passed = [claim for claim in claims if claim not in limits or claim in admitted]
        if refused:
            telemetry.event("put_aside", claims=refused)
            self._look_at = time.monotonic()  # to learn when they may go on
        # With the key that counted, for when the run has ended; the row may have none.
        return [
            replace(claim, limit_key=limits[claim].key) if claim in limits else claim
            for claim in passed
        ]

    def without_limit(self, claims: Sequence[Claim]) -> list[Claim]:
        """Return those that pass no gate, and hand back the others, who knows whether they have.

        For claims that were lost on their way here: the gate may have failed after the claim.
        """
        limited = {claim for claim in claims if self._limit_of(claim)}
        if limited:
            self.store.release(limited)
            telemetry.event("handed_back", claims=list(limited))
        return self.admit([claim for claim in claims if claim not in limited])

    def freed(self, claims: Iterable[Claim]) -> None:
        """The runs of these have ended. Called from any thread, once that is in the database."""
        keys = {claim.limit_key for claim in claims if claim.limit_key is not None}
        if keys:
            with self._lock:
                self._freed |= keys

    def seconds_until_due(self) -> float:
        """Return how long the loop may sleep before it should call ``run_if_due``."""
        return 0.0 if self._freed else max(0.0, self._look_at - time.monotonic())

    def run_if_due(self) -> int:
        """Call back what may go on, if it is time to; return how many rows."""
        begun = time.monotonic()
        is_round = begun >= self._look_at
        if not is_round and not self._freed:
            return 0
        with self._lock:
            freed, self._freed = self._freed, set()
        now = self.store.now()
        due = [key for key, _ in self.gates.waiting(freed)] if freed else []
        moments: list[datetime | None] = []
        if is_round:
            self._look_at = begun + self._interval
            found = self.gates.waiting()
            if len(found) == MOST_GATES:  # there may be more that are due
                moments.append(found[-1][1])
            for key, look_at in found:
                if look_at > now:
                    moments.append(look_at)
                elif key not in due:
                    due.append(key)
        called = [self.gates.call_back(key, now=now) for key in due]
        moments += [each.look_at for each in called]
        for moment in moments:
            if moment is not None:
                pause = max(0.0, (moment - now).total_seconds())
                self._look_at = min(self._look_at, begun + pause)
        if begun > self._tidy_at:
            self._tidy_at = self._own_tidy_at = begun + TIDY_SECONDS
            self.gates.tidy(now=now)
        return sum(each.number for each in called)

    def _limit_of(self, claim: Claim) -> Limit | None:
        if claim.limit_key is None and not policy_of(find(self.registry, claim)).is_limited:
            return None
        terms = terms_of(claim, self.registry)
        if not terms.is_limited:  # it had a limit when it was stored
            return None
        if unbegun(claim, terms) is not None:  # a place would be taken from one that runs
            return None
        text = self._text_of(claim)
        key = hashed(text) if claim.limit_key is None else claim.limit_key
        # The gate's name is for people, to whom the arguments in the key may be a secret.
        name = of_function(claim.task_name) if terms.sensitive else text
        return Limit(key, name, terms.max_concurrency, terms.rate_limit)

    def _text_of(self, claim: Claim) -> str:
        """Return the key of a row as people read it; that of the function, if it has none.

        A row from before the function had a limit has no stored key: this is its key then.
        """
        proxy = find(self.registry, claim)
        try:
            args, kwargs = payload.decode(claim.task_params, load=claim.limit_key is None)
            text = getattr(proxy, "limit_text", _no_limit)(args, kwargs)
        except Exception as error:  # noqa: BLE001 - the project's function, or a broken payload
            if claim.limit_key is None:
                telemetry.event("mess", claim=claim, what=f"its concurrency_key: {error!r}")
            text = None
        return text or of_function(claim.task_name)


def _no_limit(args: object, kwargs: object) -> str | None:
    """Stand in for a registered function that was not made by the decorator."""
    return None
