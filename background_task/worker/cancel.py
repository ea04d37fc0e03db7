"""How a worker learns that somebody has cancelled what it runs."""

from __future__ import annotations

import time

from .hand import Hand
from .heartbeat import Errand
from .limit import Limits
from .watch import Watch

#: The pause between two questions. What is over within it is not asked about.
ASK_SECONDS = 1.0


class Requests:
    """Asks, from the heartbeat's thread, whether runs are to end.

    The loop cannot: where it runs the tasks itself, the task in question holds it up.

    Args:
        hand: What the worker holds.
        watch: What runs.
        limits: End it.
    """

    def __init__(self, hand: Hand, *, watch: Watch, limits: Limits) -> None:
        self._hand = hand
        self._watch = watch
        self._limits = limits

    def errand(self) -> Errand:
        """Return what is to be done now and then."""
        return Errand(self.ask, ASK_SECONDS)

    def ask(self) -> None:
        """Ask, if something has been running for a while; an idle or busy worker asks nothing."""
        now = time.monotonic()
        if any(now - begun.at > ASK_SECONDS for begun in self._watch.begun()):
            self._limits.cancel(self._hand.cancelled())
