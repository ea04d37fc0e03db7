"""What people have chosen to see: the part of the address behind the question mark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from ..models.worker import UNNAMED
from .figures import DEFAULT_ORDER, ORDERS
from .period import HOUR, Period, period_called

#: No name is longer.
LONGEST_NAME = 190


@dataclass(frozen=True, slots=True)
class Choice:
    """What to show.

    Attributes:
        period: Of which time.
        queue: Of which queue, ``UNNAMED`` for the unnamed one; empty for all.
        function: Of which function; empty for all.
        order: By what the table of functions is sorted.
    """

    period: Period = HOUR
    queue: str = ""
    function: str = ""
    order: str = DEFAULT_ORDER

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Choice:
        """Return what an address asks for; of what it says wrongly, the default."""
        order = query.get("order", "")
        return cls(
            period=period_called(query.get("range")),
            queue=_name(query.get("queue")),
            function=_name(query.get("function")),
            order=order if order in ORDERS or order == "name" else DEFAULT_ORDER,
        )

    @property
    def is_filtered(self) -> bool:
        """Whether only some tasks are shown."""
        return bool(self.queue or self.function)

    def has_queue(self, queue: str | None) -> bool:
        """Tell whether tasks of a queue are shown."""
        return not self.queue or self.queue == (queue or UNNAMED)

    def has_function(self, function: str) -> bool:
        """Tell whether tasks of a function are shown."""
        return not self.function or self.function == function

    def query(self, **changes: object) -> str:
        """Return the part of the address that asks for this, or for this with changes."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        given = {
            "range": asked.period.name if asked.period != HOUR else "",
            "queue": asked.queue,
            "function": asked.function,
            "order": asked.order if asked.order != DEFAULT_ORDER else "",
        }
        return "?" + urlencode({name: value for name, value in given.items() if value})


def _name(given: str | None) -> str:
    return given if given and len(given) <= LONGEST_NAME else ""
