"""What goes on around each run, for those who look on: the log that is kept, spans of a trace.

Nobody looks on unless something has asked to, and then a run costs nothing more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from . import telemetry
from .attempt import Claim, Outcome, Settled
from .store import Store


class Attendant(Protocol):
    """Looks on at one run. Whatever it raises harms nobody."""

    def begin(self) -> None:
        """The function is about to be called, in a copy of the present context."""
        ...

    def is_slow(self) -> bool:
        """Tell whether ``end`` would hold up an event loop."""
        ...

    def end(self, outcome: Outcome | Settled | None) -> None:
        """The run is over, in the context of ``begin``, perhaps on another thread.

        No transaction of the function is open any more. The outcome is not recorded yet; None if
        there is none, through a defect.
        """
        ...


Factory: TypeAlias = Callable[[Claim, Store], Attendant]

#: What makes those who look on at each run of this process.
factories: list[Factory] = []


class Company:
    """Those who look on at one run.

    Args:
        claim: The run.
        store: The store of the row.
    """

    __slots__ = ("_attendants", "_claim", "_store", "outcome")

    def __init__(self, claim: Claim, store: Store) -> None:
        self._claim, self._store = claim, store
        self._attendants: list[Attendant] = []
        #: What became of the run, once that is known.
        self.outcome: Outcome | Settled | None = None

    def __enter__(self) -> Company:
        """Let them begin, in the order in which they have asked to."""
        for factory in tuple(factories):
            try:
                attendant = factory(self._claim, self._store)
                attendant.begin()
            except Exception as error:  # noqa: BLE001 - the run is what counts
                self._tell(error)
            else:
                self._attendants.append(attendant)
        return self

    def __exit__(self, *exception: object) -> None:
        """Let them end, the last one first."""
        while self._attendants:
            try:
                self._attendants.pop().end(self.outcome)
            except Exception as error:  # noqa: BLE001 - see above
                self._tell(error)

    def is_slow(self) -> bool:
        """Tell whether letting them end would hold up an event loop."""
        return any(attendant.is_slow() for attendant in self._attendants)

    def _tell(self, error: Exception) -> None:
        telemetry.event("unattended", claim=self._claim, exception=error)
