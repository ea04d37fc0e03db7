"""Divides what a worker takes among queues, by their weights."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Mapping
from typing import Protocol

from ..attempt import Claim


class Take(Protocol):
    """Claims from one queue; see ``Store.claim``."""

    def __call__(self, *, queues: Collection[str], limit: int, ahead: int) -> list[Claim]:
        """Return the claims."""


class Shares:
    """Whose turn it is.

    Each queue has a clock, which goes on with each task that is taken from it, the slower the
    greater its weight. The queue whose clock is furthest behind is next. So over time each has its
    share, also of a worker that takes one task at a time.

    Args:
        weights: The weight of each queue, a whole number above 0.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        whole = math.lcm(*weights.values())
        self._strides = {queue: whole // weight for queue, weight in weights.items()}
        self._clocks = dict.fromkeys(weights, 0)

    def claim(self, take: Take, *, limit: int, ahead: int) -> list[Claim]:
        """Claim from the queues by turns; what one has not got, the others may fill.

        Args:
            take: Claims from one queue.
            limit: See ``Store.claim``: so many may be of any kind, of whichever queue.
            ahead: So many more only of those that may wait.

        Returns:
            The claims in the order of the turns.
        """
        missing = limit + ahead
        taken: dict[str, deque[Claim]] = {queue: deque() for queue in self._clocks}
        turns: list[str] = []
        filling, empty = list(self._clocks), set[str]()
        while missing > 0 and filling:
            next_turns = self.turns(missing, among=filling)
            turns += next_turns
            for queue, count in Counter(next_turns).items():  # the first turn's queue comes first
                of_any_kind = min(limit, count)
                claims = take(queues=[queue], limit=of_any_kind, ahead=count - of_any_kind)
                if claims:
                    limit -= of_any_kind
                elif of_any_kind:
                    empty.add(queue)
                if len(claims) < count:
                    filling.remove(queue)
                taken[queue] += claims
                missing -= len(claims)
                self._clocks[queue] += self._strides[queue] * len(claims)
        self._catch_up(empty)
        return [taken[queue].popleft() for queue in turns if taken[queue]]

    def turns(self, count: int, *, among: Collection[str]) -> list[str]:
        """Return whose the next turns are, if none of these runs out of tasks."""
        clocks = {queue: self._clocks[queue] for queue in among}
        turns = []
        for _ in range(count):
            queue = min(clocks, key=clocks.__getitem__)
            clocks[queue] += self._strides[queue]
            turns.append(queue)
        return turns

    def _catch_up(self, empty: Collection[str]) -> None:
        """Let nobody save up turns while having nothing to run; but be the next to be asked."""
        others = [clock for queue, clock in self._clocks.items() if queue not in empty]
        if not others:
            self._clocks = dict.fromkeys(self._clocks, 0)
            return
        for queue in empty:
            self._clocks[queue] = max(self._clocks[queue], min(others) - 1)
