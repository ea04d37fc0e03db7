"""When a repeating task runs next."""

from __future__ import annotations

from datetime import datetime, timedelta


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
