"""How a task stands, for people who know nothing of queues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from ..mask import MASK
from ..masking import is_sensitive
from ..models import CompletedTask, Task
from ..progress_report import ProgressReport
from ..return_value import unpack
from ..store import task_database

#: What is read of a row, and nothing else: errors and arguments may be large.
LIVE = ("locked_by", "failed_at", "progress_json")
ARCHIVED = ("failed_at", "discarded_at", "cancelled_at", "progress_json")
OF_RESULT = ("task_name", "options", "backend", "return_value")
#: The ways to have ended; nothing changes any more.
FINAL = ("succeeded", "failed", "discarded", "cancelled", "gone")


@dataclass(frozen=True, slots=True)
class Standing:
    """How a task stands at a moment.

    Attributes:
        status: As ``Task.status``.
        progress: How far it has come; None if it does not say.
        result: What it has returned, if that may be seen.
    """

    status: str
    progress: ProgressReport | None = None
    result: Any = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing changes any more."""
        return self.status in FINAL

    @property
    def fraction(self) -> float | None:
        """How much of the bar is full, from 0 to 1; None if nobody knows."""
        if self.status == "succeeded":
            return 1.0
        return None if self.progress is None else self.progress.fraction

    @property
    def text(self) -> str:
        """The same in words, in the language that is active."""
        word = _word(self.status)
        if self.is_finished or self.progress is None:
            return word
        fraction, message = self.progress.fraction, self.progress.message
        parts = [word, "" if fraction is None else f"{fraction:.0%}", message]
        return ", ".join(part for part in parts if part)


def standing_of(uid: UUID, *, shows_result: bool = False) -> Standing:
    """Return how a task stands now; one query while it waits or runs, else two.

    Args:
        uid: The task.
        shows_result: Whether to read what it has returned.
    """
    using = task_database()
    # First here, then there: that is the way it goes.
    live = Task.objects.using(using).filter(uid=uid).only(*LIVE).first()
    if live is not None:
        return Standing(live._own_status(), live.progress)
    fields = (*ARCHIVED, *OF_RESULT) if shows_result else ARCHIVED
    row = CompletedTask.objects.using(using).filter(uid=uid).only(*fields).first()
    if row is None:
        return Standing("gone")
    status = row._own_status()
    is_shown = shows_result and status == "succeeded"
    return Standing(status, row.progress, _result_of(row) if is_shown else None)


def _result_of(row: CompletedTask) -> Any:
    if row.return_value is None:
        return None
    if is_sensitive(row):
        return MASK
    try:
        return unpack(row.return_value)
    except Exception:  # noqa: BLE001 - not kept, or it names an instance that has vanished
        return None


def _word(status: str) -> str:
    words = {
        "waiting": gettext("Waiting"),
        "running": gettext("Running"),
        "succeeded": gettext("Done"),
        "failed": gettext("Failed"),
        "discarded": gettext("Dropped"),
        "cancelled": gettext("Cancelled"),
        "gone": gettext("Not found"),
    }
    return words[status]
