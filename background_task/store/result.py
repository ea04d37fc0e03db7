"""What the store's verbs return, besides claims."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..attempt import Cancelled, Claim
from ..identity import new_uid
from ..models import CompletedTask, Task

#: What a claim carries of its row.
CLAIM_FIELDS = (
    "pk",
    "claim_number",
    "uid",
    "task_name",
    "task_params",
    "verbose_name",
    "queue",
    "priority",
    "attempts",
    "run_at",
    "options",
    "locked_at",
    "errors",
    "limit_key",
    "cancel_requested_at",
    "backend",
    "enqueued_at",
    "started_at",
    "trace_context",
)

#: How ``options`` begins to say that there is only one attempt; with more digits it says ten or
#: more, and is taken for one, too.
ONLY_ATTEMPT = '"max":1'


@dataclass(frozen=True)
class Candidate:
    """A row that may be claimed, as it was when it was read."""

    values: dict[str, Any] = field(repr=False)

    @property
    def pk(self) -> int:
        """The row's primary key."""
        return int(self.values["pk"])

    def claimed_by(self, owner: str, *, now: datetime) -> Claim:
        """Return the claim that marking this row for ``owner`` gives."""
        started_at = self.values["started_at"] or now
        values = {**self.values, "locked_at": now, "started_at": started_at}
        return Claim(
            task_id=values.pop("pk"),
            number=(values.pop("claim_number") or 0) + 1,
            uid=values.pop("uid") or new_uid(),
            owner=owner,
            **values,
        )


def chosen(
    candidates: Iterable[Candidate],
    *,
    limit: int,
    fragile: Collection[str],
    backends: Mapping[str, bool],
) -> list[Candidate]:
    """Leave out, of what is claimed ahead, rows that could be lost with it; see ``Store.claim``."""
    return [
        row
        for place, row in enumerate(candidates)
        if place < limit or may_wait(row, fragile, backends)
    ]


def may_wait(row: Candidate, fragile: Collection[str], backends: Mapping[str, bool]) -> bool:
    """Tell whether a row has more than one attempt left, whatever becomes of this one.

    Nor may one that takes up room in a limit be kept waiting.
    """
    values = row.values
    if values["limit_key"] is not None:
        return False
    if (alias := values["backend"]) is not None and not backends.get(alias):
        return False
    is_fragile = values["task_name"] in fragile or ONLY_ATTEMPT in (values["options"] or "")
    return not values["attempts"] and not is_fragile


@dataclass(frozen=True)
class Finish:
    """What ``Store.finish`` recorded, as far as it has seen the rows: a group only sees keys.

    Attributes:
        completed: The row in the archive.
        repetition: The next row of a repeating task.
        cancelled: What was recorded instead of the outcome, if somebody has cancelled the task.
    """

    completed: CompletedTask | None = None
    repetition: Task | None = None
    cancelled: Cancelled | None = None


@dataclass(frozen=True)
class Due:
    """What an idle worker found on looking at the queue.

    Attributes:
        is_ready: Whether a row that this worker could run is due.
        is_unknown: Whether rows are due whose functions this worker does not have.
        next_at: When the next row will be due, as far as an index tells.
    """

    is_ready: bool = False
    is_unknown: bool = False
    next_at: datetime | None = None
