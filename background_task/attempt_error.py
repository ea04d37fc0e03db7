"""The errors of a task's attempts: bounded in number and size, as JSON in a column."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import payload
from .payload.text import shortened

#: As many are kept: the first one, which is the nearest to the cause, and the last ones.
MOST_ERRORS = 10
#: The lengths to which a traceback is cut, until its stored form has at most ``MOST_BYTES``.
LENGTHS = (8000, 4000, 2000, 1000)
MOST_BYTES = 16_000
MOST_PATH_CHARS = 255


@dataclass(frozen=True, slots=True)
class AttemptError:
    """How one attempt went wrong.

    Attributes:
        attempt: The number of the run, from 1.
        exception_class_path: The class of the exception, as ``module.Class``; empty if unknown.
        traceback: The traceback as text, a long one without its middle.
        at: When that was recorded; None if it cannot be read.
        worker: The name of the worker.
        started_at: When the attempt began; None if it cannot be read.
    """

    attempt: int
    exception_class_path: str
    traceback: str
    at: datetime | None
    worker: str
    started_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what is stored."""
        return {
            "attempt": self.attempt,
            "exception_class_path": payload.storable(self.exception_class_path[:MOST_PATH_CHARS]),
            "traceback": _bounded(self.traceback),
            "at": None if self.at is None else self.at.isoformat(),
            "worker": self.worker,
            "started_at": None if self.started_at is None else self.started_at.isoformat(),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> AttemptError:
        """Return what was stored.

        Raises:
            KeyError: Something is missing.
            TypeError: Something is of a wrong type.
            ValueError: Something cannot be read.
        """
        at, started_at = stored.get("at"), stored.get("started_at")
        return cls(
            attempt=int(stored["attempt"]),
            exception_class_path=str(stored["exception_class_path"]),
            traceback=str(stored["traceback"]),
            at=None if at is None else datetime.fromisoformat(at),
            worker=str(stored.get("worker", "")),
            started_at=None if started_at is None else datetime.fromisoformat(started_at),
        )


def path_of(exception: BaseException) -> str:
    """Return the class of an exception as ``module.Class``, whatever that says of itself."""
    kind = type(exception)
    try:
        return f"{kind.__module__}.{kind.__qualname__}"
    except Exception:  # noqa: BLE001 - a hostile metaclass; the error itself is worth more
        return type.__dict__["__qualname__"].__get__(kind)  # type: ignore[no-any-return]


def appended(stored: str | None, error: AttemptError) -> str:
    """Return the text of the errors so far with one more; never raises.

    What cannot be read of them is left out. In the middle the oldest ones go.
    """
    errors = [*_read(stored), error.to_json()]
    if len(errors) > MOST_ERRORS:
        errors = [errors[0], *errors[1 - MOST_ERRORS :]]
    return json.dumps(errors, separators=(",", ":"))


def read_errors(stored: str | None) -> list[AttemptError]:
    """Return the errors, the first one first, without what cannot be read; never raises."""
    errors = []
    for each in _read(stored):
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            errors.append(AttemptError.from_json(each))
    return errors


def _read(stored: str | None) -> list[dict[str, Any]]:
    if stored is None:
        return []
    try:
        values = json.loads(stored)
    except (TypeError, ValueError, RecursionError):
        return []
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def _bounded(traceback: str) -> str:
    text = ""
    for length in LENGTHS:
        text = shortened(payload.storable(traceback), length)
        if len(json.dumps(text)) <= MOST_BYTES:
            break
    return text
