"""Running tasks one at a time from code that is no worker: hops 3, and 5 to 7."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import datetime

from ..attempt import Claim, Outcome, Released, Settled
from ..registry import Registry
from ..store import Store
from ..store.gate import Gates
from ..store.selection import NO_BACKEND, BackendLike
from .finish import End, record
from .recovery import recover
from .run import KEYBOARD_INTERRUPT, run_claim
from .served import check_aliases, served


def claim_next(
    store: Store,
    owner: str,
    registry: Registry,
    *,
    queues: Collection[str] = (),
    backend: BackendLike = None,
) -> Claim | None:
    """Take the first due row that can be run here, after what the dead have left behind is seen to.

    Limits are not waited for, as everywhere but in a worker.

    Args:
        store: Where the rows are.
        owner: Who takes it.
        registry: The functions by name.
        queues: The queues to look into; none means all.
        backend: Which backend queued it; None means any, and none.

    Raises:
        ImproperlyConfigured: The backend is not ours.
    """
    aliases = check_aliases(backend, what="backend") if isinstance(backend, str) else None
    recover(store, registry=registry, declare=False)
    names: Collection[str] = registry if backend in (None, NO_BACKEND) else ()
    backends = {} if backend is NO_BACKEND else served(aliases)
    claims = store.claim(owner, names, backends=backends, queues=queues)
    if any(claim.limit_key is not None for claim in claims):
        Gates(store).wave_through(claims)
    return claims[0] if claims else None


def run_and_record(
    store: Store, claim: Claim, registry: Registry, *, now: datetime | None = None
) -> Outcome | Settled:
    """Run a claimed row here and now, record what becomes of it, and return that.

    Args:
        store: Where the row is.
        claim: The row.
        registry: The functions by name.
        now: Overrides the database's clock.

    Raises:
        KeyboardInterrupt: Ctrl-C interrupted it; the row has been handed back.
    """
    started = time.monotonic()
    outcome = run_claim(claim, registry, store=store)
    ended = time.monotonic()
    record(store, End.of(claim, outcome, seconds=ended - started, ended=ended), now=now)
    if isinstance(outcome, Released) and outcome.reason == KEYBOARD_INTERRUPT:
        raise KeyboardInterrupt
    return outcome
