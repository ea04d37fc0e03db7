"""The clock of the queue, as a test moves it."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from ..exceptions import InvalidOptionTypeError, brief, moment_of
from ..store import Store


class Clock:
    """Shows the time of a store, and can be moved; it goes on from there.

    All that is done to the store's rows is then done at this time. Everything is due that was
    queued before now: rows get their time from this process, and are due by the database's clock.

    Args:
        store: Whose time it is; nobody else's store, for it is changed.
    """

    def __init__(self, store: Store) -> None:
        self._read = store.now
        self._ahead = timedelta(0)
        store.now = self.now  # type: ignore[method-assign]

    def now(self) -> datetime:
        """Return the time."""
        return self.real() + self._ahead

    def real(self) -> datetime:
        """Return the time as it would be if nobody had moved it."""
        return max(self._read(), timezone.now())

    def move_to(self, moment: datetime) -> None:
        """Let it be that time now."""
        self._ahead += moment - self.now()


def moment(value: datetime | timedelta, *, what: str, since: datetime) -> datetime:
    """Return a point in time that may be given as the time from ``since``, or raise.

    Raises:
        InvalidOptionTypeError: It is neither.
        InvalidOptionError: It has no time zone although the project uses them.
    """
    if isinstance(value, timedelta):
        return since + value
    if not isinstance(value, datetime):
        raise InvalidOptionTypeError(
            f"{what} {brief(value)} is of type {type(value).__name__}; "
            "use a datetime, or a timedelta from now"
        )
    given = moment_of(value, what=what)
    return given if settings.USE_TZ else timezone.make_naive(given)
