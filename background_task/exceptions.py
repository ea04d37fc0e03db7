"""Every exception this library raises on purpose."""

from __future__ import annotations

import math
import operator
import reprlib
from datetime import datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils.http import parse_http_date
from django.utils.timezone import get_default_timezone

#: More digits than these are beyond every calendar, and take long to read.
MOST_DIGITS = 12

_REPR = reprlib.Repr()
_REPR.maxother = _REPR.maxstring = _REPR.maxlong = 100


class BackgroundTaskError(Exception):
    """Base of all errors of this library.

    Args:
        message: What went wrong, with the value, the rule and the remedy.
        errors: Anything the raiser wants to attach; kept as ``.errors``.
    """

    def __init__(self, message: Any = "", errors: Any = None) -> None:
        super().__init__(message)
        self.errors = errors


class DuplicateWorkerError(BackgroundTaskError):
    """A living worker has the id that was given to another one."""


class RetryLater(BackgroundTaskError):  # noqa: N818 - reads as an order, which it is
    """Raise it in a task function to run the task again after a wait of your choice.

    Retries that are left are used up as by any failure, unless ``spend_attempt`` is False::

        response = requests.get(url)
        if response.status_code == 429:
            raise RetryLater(response.headers.get("Retry-After"), reason="asked to slow down")

    Args:
        delay: Seconds, a ``timedelta``, a ``datetime``, or the text of an HTTP ``Retry-After``
            header (seconds or a date). What lies in the past means at once. None leaves the wait
            to the task's backoff.
        reason: Why, for people.
        spend_attempt: Whether this run counts as one of the task's attempts. If it does, and was
            the last, the task has failed.

    Raises:
        InvalidOptionTypeError: ``delay`` is nothing of the kind, or ``spend_attempt`` no bool.
        InvalidOptionError: The number is not finite, the text is no such header, or the
            ``datetime`` has no time zone although the project uses them.
    """

    #: The wait; None if it is left to the backoff, or if ``until`` says when it ends.
    delay: timedelta | None = None
    #: The aware end of the wait, if a point in time was given.
    until: datetime | None = None
    reason: str = ""
    spend_attempt: bool = True

    def __init__(self, delay: Any = None, *, reason: Any = "", spend_attempt: bool = True) -> None:
        super().__init__(delay)
        what = type(self).__name__
        match delay if not isinstance(delay, str) else _read_retry_after(delay, what=what):
            case None:
                pass
            case datetime() as moment:
                self.until = moment_of(moment, what=what)
            case length:
                self.delay = max(duration_of(length, what=what), timedelta(0))
        if not isinstance(spend_attempt, bool):
            raise InvalidOptionTypeError(
                f"spend_attempt {brief(spend_attempt)} is no bool; use True or False"
            )
        self.reason = str(reason)
        self.spend_attempt = spend_attempt

    def delay_from(self, now: datetime) -> timedelta | None:
        """Return the wait as of ``now``, never negative; None leaves it to the backoff."""
        if self.until is None:
            return self.delay
        return max(self.until - moment_of(now, what="now"), timedelta(0))

    def __str__(self) -> str:
        when = "later" if self.delay is None else f"in {self.delay}"
        if self.until is not None:
            when = f"at {self.until}"
        return f"to be run again {when}" + (f": {self.reason}" if self.reason else "")


class Snooze(RetryLater):
    """Raise it in a task function to run the task again later, as if this run had not been.

    No attempt is spent, so a task may snooze as often as it likes::

        if not export.is_ready():
            raise Snooze(60, reason="the export is not ready")

    Args:
        delay: As for ``RetryLater``, but there must be one.
        reason: Why, for people.

    Raises:
        InvalidOptionTypeError: ``delay`` is nothing of the kind, or None.
        InvalidOptionError: ``delay`` has a value that cannot work.
    """

    spend_attempt = False

    def __init__(self, delay: Any, *, reason: Any = "") -> None:
        if delay is None:
            raise InvalidOptionTypeError(
                "Snooze needs a delay and got None; give one, or raise "
                "RetryLater(spend_attempt=False), which waits as long as the backoff says"
            )
        super().__init__(delay, reason=reason, spend_attempt=False)


class Discard(BackgroundTaskError):  # noqa: N818 - likewise
    """Raise it in a task function to end the task: no other attempt, and no failure either.

    For work that nobody needs any more::

        if order.is_cancelled:
            raise Discard("the order was cancelled")

    Args:
        reason: Why, for people.
    """

    reason: str = ""

    def __init__(self, reason: Any = "") -> None:
        self.reason = str(reason)
        super().__init__(self.reason)


class InvalidTaskError(BackgroundTaskError):
    """Raise it in a task function to fail the task at once, without another attempt."""


class InvalidOptionError(BackgroundTaskError, ValueError):
    """An option of the right type has a value that cannot work."""


class InvalidOptionTypeError(BackgroundTaskError, TypeError):
    """An option, or a task's argument, has a type that cannot work."""


class AlreadyScheduledError(BackgroundTaskError):
    """A call with ``on_conflict="raise"`` has found another task that has its unique key.

    Args:
        message: What went wrong.
        uid: The ``uid`` of that task, as ``.uid``.
    """

    def __init__(self, message: Any = "", *, uid: UUID | None = None) -> None:
        super().__init__(message)
        self.uid = uid


class InvalidPayloadError(InvalidTaskError):
    """A row's stored arguments cannot be read; running it again would not help."""


class AttemptLostError(BackgroundTaskError):
    """Stands among the errors of a task whose worker vanished; never raised."""


class ResultError(BackgroundTaskError):
    """Base of the errors of who asks for a result where there is none."""


class NotFinishedError(ResultError):
    """The task has not finished yet."""


class WaitTimeoutError(NotFinishedError, TimeoutError):
    """The task has not finished within the time for which one was ready to wait."""


class TaskFailedError(ResultError):
    """The task has failed for good; its attempts' errors are in ``errors``."""


class TaskDiscardedError(ResultError):
    """The task was not wanted any more."""


class TaskCancelledError(ResultError):
    """Somebody cancelled the task."""


class TaskGoneError(ResultError):
    """The task has no row: it was deleted, or its transaction was rolled back."""


class ResultNotKeptError(ResultError):
    """The task has succeeded, but what it returned could not be kept; the message says why."""


class StopNow(BaseException):
    """Interrupts the running task because the worker must leave at once.

    Not an ``Exception``, so that a task's own ``except Exception`` does not swallow it.
    """


class TaskTimeout(BaseException):
    """Ends the running task because it has reached its time limit.

    Not an ``Exception``, so that a task's own ``except Exception`` does not swallow it.
    """


class TaskCancelled(BaseException):
    """Ends the running task because somebody has cancelled it, and it has not left off by itself.

    Not an ``Exception``, so that a task's own ``except Exception`` does not swallow it.
    """


def brief(value: Any) -> str:
    """Return ``repr(value)`` for a message: of bounded length, and whatever the value."""
    try:
        return _REPR.repr(value)
    except ValueError:  # a number of thousands of digits
        return f"<{type(value).__name__}>"


def number_of(value: Any, *, what: str, most: int, remedy: str) -> int:
    """Return a whole number from 1 to ``most``, or raise.

    Raises:
        InvalidOptionTypeError: It is no whole number.
        InvalidOptionError: It is out of range; the message ends with ``remedy``.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidOptionTypeError(
            f"{what} {brief(value)} is of type {type(value).__name__}; use a whole number"
        )
    if not 1 <= number <= most:
        raise InvalidOptionError(f"{what} {brief(value)} is out of range; {remedy}")
    return number


def duration_of(value: Any, *, what: str) -> timedelta:
    """Return a length of time given as seconds or as a ``timedelta``, or raise.

    It may be negative. A number beyond what a ``timedelta`` can hold becomes the longest one.

    Raises:
        InvalidOptionTypeError: It is neither.
        InvalidOptionError: The number is not finite.
    """
    if isinstance(value, timedelta):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidOptionTypeError(
            f"{what} {brief(value)} is of type {type(value).__name__}; use seconds or a timedelta"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidOptionError(
            f"{what} {brief(value)} is no length of time; use a finite number of seconds"
        )
    try:
        return timedelta(seconds=value)
    except OverflowError:
        return timedelta.max if value > 0 else timedelta.min


def moment_of(value: datetime, *, what: str) -> datetime:
    """Return a point in time in UTC, or raise.

    Without a time zone it is in that of the project, if the project goes without (``USE_TZ``).

    Raises:
        InvalidOptionError: It has no time zone although the project uses them, or lies at the
            very end of the calendar.
    """
    if value.utcoffset() is None:
        if settings.USE_TZ:
            raise InvalidOptionError(
                f"{what} {brief(value)} has no time zone; use an aware datetime, "
                "such as timezone.now() + timedelta(minutes=5)"
            )
        value = value.replace(tzinfo=get_default_timezone())
    try:
        return value.astimezone(timezone.utc)
    except OverflowError:
        raise InvalidOptionError(
            f"{what} {brief(value)} lies outside the years 1 to 9999 in UTC; use a moment within"
        ) from None


def _read_retry_after(text: str, *, what: str) -> int | datetime:
    """Read the value of a ``Retry-After`` header, as RFC 9110 has it in section 10.2.3."""
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return int(text.lstrip("0")[:MOST_DIGITS] or "0")
    try:
        return datetime.fromtimestamp(parse_http_date(text), timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise InvalidOptionError(
            f"{what} {text[:100]!r} is no Retry-After header; "
            "use digits or a date such as 'Sun, 06 Nov 1994 08:49:37 GMT'"
        ) from None
