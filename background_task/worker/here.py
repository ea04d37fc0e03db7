"""Running one row here and now, on the caller's thread, by the road that all rows take."""

from __future__ import annotations

import time

from ..attempt import Claim, Outcome, Released, Settled
from ..registry import Registry
from ..store import Store
from .finish import End, record
from .run import KEYBOARD_INTERRUPT, run_claim


def run_here(claim: Claim, registry: Registry, *, store: Store) -> Outcome | Settled:
    """Run a claimed row, record what becomes of it, and return that.

    Args:
        claim: The row.
        registry: The functions by name.
        store: The store of the row.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the row was handed back.
    """
    started = time.monotonic()
    outcome = run_claim(claim, registry, store=store)
    ended = time.monotonic()
    record(store, End.of(claim, outcome, seconds=ended - started, ended=ended))
    if isinstance(outcome, Released) and outcome.reason == KEYBOARD_INTERRUPT:
        raise KeyboardInterrupt
    return outcome
