"""Repetition after a fixed time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..exceptions import InvalidOptionError
from . import words
from .rule import Rule
from .zone import SECOND


@dataclass(frozen=True, slots=True)
class Interval(Rule):
    """Every so many seconds of physical time.

    A day is 24 hours, whatever the clocks do: when they are changed, "daily at 9:00" becomes 8:00
    or 10:00.

    Args:
        period: A second or more.

    Raises:
        InvalidOptionError: A shorter period.
    """

    period: timedelta

    def __post_init__(self) -> None:
        if self.period < SECOND:
            raise InvalidOptionError(
                f"repeat {self.period!r} is too short; use a second or more, or None for never"
            )

    def _after(self, moment: datetime, *, start: datetime) -> datetime | None:
        passed = (moment - start) // self.period
        return start + self.period * max(0, passed + 1)

    def __str__(self) -> str:
        seconds = self.period // SECOND
        micros = self.period.microseconds
        return f"every {seconds}.{micros:06d}" if micros else f"every {seconds}"

    def in_words(self) -> str:
        """Return the rule as a phrase for people."""
        return words.of_period(self.period)


def next_run_at(
    run_at: datetime, *, repeat: int, repeat_until: datetime | None, now: datetime
) -> datetime | None:
    """Return the first ``run_at + k * repeat`` (k >= 1) that is not in the past.

    Slots missed during downtime are skipped and the phase is kept, by arithmetic: the cost does
    not depend on how many were missed.

    Args:
        run_at: The time for which the finished run was scheduled.
        repeat: The period in seconds; 0 or less means "do not repeat".
        repeat_until: The last moment at which a run may be due, or None for no end.
        now: The current time, of the same kind (aware or naive) as ``run_at``.

    Returns:
        The time of the next run, or None when the chain has ended.
    """
    if repeat <= 0:
        return None
    try:
        period = timedelta(seconds=repeat)
        missed = max(0, -((run_at + period - now) // period))
        following = run_at + period * (missed + 1)
    except OverflowError:  # beyond the year 9999: there is no next time
        return None
    if repeat_until is not None and following > repeat_until:
        return None
    return following
