"""How long a failed task waits before its next attempt."""

from __future__ import annotations

from datetime import timedelta

LONGEST = timedelta(days=3652)


def delay_after(attempts: int) -> timedelta:
    """Return the wait after the given number of attempts, the failed one included.

    ``attempts ** 4 + 5`` seconds, as in django-background-tasks: 6, 21, 86, 261, 630 ... With the
    usual 25 attempts the last wait is four and a half days; it never grows beyond ten years, which
    a date can still hold.
    """
    return min(timedelta(seconds=min(attempts, 1000) ** 4 + 5), LONGEST)
