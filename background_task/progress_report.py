"""How far a task has come, as it says itself."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import datetime
from numbers import Integral, Real
from typing import Any

from . import payload
from .exceptions import InvalidOptionError, InvalidOptionTypeError, brief

MOST_MESSAGE_CHARS = 500


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """How far a task has come.

    Attributes:
        done: How much is done, in units of the task's own.
        total: How much there is to do; None if nobody knows.
        message: What it is doing, for people.
        at: When it said so; None if that cannot be read.
    """

    done: float
    total: float | None = None
    message: str = ""
    at: datetime | None = None

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None without a total."""
        if self.total is None:
            return None
        if self.total <= 0:
            return 1.0
        return min(max(self.done / self.total, 0.0), 1.0)

    @property
    def is_complete(self) -> bool:
        """Whether all is done."""
        return self.total is not None and self.done >= self.total

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total} ({self.fraction:.0%})"
        return f"{self.done}{of}" + (f": {self.message}" if self.message else "")

    def to_text(self) -> str:
        """Return what is stored: JSON in ASCII, which every database holds."""
        stored = {"done": self.done, "total": self.total, "message": self.message}
        at = None if self.at is None else self.at.isoformat()
        return json.dumps({**stored, "at": at}, separators=(",", ":"))


def make_report(done: Any, total: Any, message: Any, *, now: datetime) -> ProgressReport:
    """Return what a task says of itself, or raise.

    Raises:
        InvalidOptionTypeError: ``done`` or ``total`` is no number.
        InvalidOptionError: One of them is not finite, or has hundreds of digits.
    """
    text = payload.storable(str(message)[:MOST_MESSAGE_CHARS])
    most = None if total is None else _number(total, what="total")
    return ProgressReport(_number(done, what="done"), most, text, now)


def read_report(stored: str | None) -> ProgressReport | None:
    """Return what was stored; None if there is nothing that can be read; never raises."""
    if stored is None:
        return None
    try:
        values = json.loads(stored)
        total, at = values["total"], values["at"]
        return ProgressReport(
            done=_number(values["done"], what="done"),
            total=None if total is None else _number(total, what="total"),
            message=str(values["message"]),
            at=None if at is None else datetime.fromisoformat(at),
        )
    except (LookupError, TypeError, ValueError, RecursionError):
        return None


def _number(value: Any, *, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InvalidOptionTypeError(
            f"{what} {brief(value)} is of type {type(value).__name__}; use a number"
        )
    try:
        is_finite = math.isfinite(value)
    except OverflowError:  # a whole number that no float can hold
        is_finite = False
    if not is_finite:
        raise InvalidOptionError(f"{what} {brief(value)} is no amount; use a finite number")
    return int(value) if isinstance(value, Integral) else float(value)
