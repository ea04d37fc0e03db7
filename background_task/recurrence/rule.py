"""What every rule of recurrence can do, and which of its occurrences a chain takes next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Literal, TypeAlias, get_args

from django.utils import timezone

from ..exceptions import InvalidOptionError
from .zone import TICK, UTC, instant, wall_time, zone_called, zone_name

CatchUp: TypeAlias = Literal["skip", "one", "all"]
MAX_RULE_CHARS = 1000
CATCH_UPS: tuple[str, ...] = get_args(CatchUp)


class Rule(ABC):
    """When something happens again and again.

    Rules are values: equal ones are interchangeable, and ``parse(str(rule)) == rule``. All times
    that they take are aware, all that they return are in UTC.
    """

    __slots__ = ()

    def after(self, moment: datetime, *, start: datetime) -> datetime | None:
        """Return the first occurrence that is strictly later than a moment.

        Args:
            moment: An aware time.
            start: The aware time for which the first run of the chain is scheduled; it gives the
                phase. Rules that do not depend on it, or hold their own (see `anchored`), do not
                read it.

        Returns:
            An aware time in UTC; None when there is no other occurrence before the year 10000.

        Raises:
            InvalidOptionError: One of the times is naive.
        """
        try:
            return self._after(_aware(moment), start=_aware(start))
        except OverflowError:  # beyond the years that a date can hold
            return None

    def anchored(self, start: datetime) -> Rule:
        """Return this rule with its phase counted from ``start``, if it depends on a start.

        To be called once, when a chain begins. Without it, a chain that passes on only the time
        of its last run would be drawn to the 28th by each February, and to 3:00 by a lost 2:30.
        """
        return self

    @abstractmethod
    def _after(self, moment: datetime, *, start: datetime) -> datetime | None:
        """As `after`, with both times in UTC; may raise ``OverflowError``."""

    @abstractmethod
    def __str__(self) -> str:
        """Return the text under which the rule is stored, at most ``MAX_RULE_CHARS`` long."""

    @abstractmethod
    def in_words(self) -> str:
        """Return the rule as a phrase for people, such as "every 2 hours"."""


def next_occurrence(
    rule: Rule,
    *,
    scheduled_at: datetime,
    now: datetime,
    until: datetime | None = None,
    catch_up: CatchUp = "skip",
    start: datetime | None = None,
) -> datetime | None:
    """Return the time of the run that follows the one scheduled at ``scheduled_at``.

    The cost does not depend on how many occurrences were missed.

    Args:
        rule: The rule of the chain, `anchored <Rule.anchored>` when the chain began.
        scheduled_at: The time for which the finished run was scheduled.
        now: The current time, of the same kind (aware or naive) as ``scheduled_at``.
        until: The last moment at which a run may be due, or None for no end.
        catch_up: What becomes of occurrences that have passed meanwhile. ``"skip"``: they are
            dropped, the next run is the first that is not in the past. ``"one"``: the latest of
            them is run, the others are dropped. ``"all"``: each is run, one after the other.
        start: The time for which the chain's first run was scheduled, for a rule that does not
            hold it itself; ``scheduled_at`` by default.

    Returns:
        A time later than ``scheduled_at``: aware in UTC, or naive in the project's ``TIME_ZONE``
        if ``scheduled_at`` is naive. None when the chain has ended.

    Raises:
        InvalidOptionError: Unknown ``catch_up``.
    """
    if catch_up not in CATCH_UPS:
        raise InvalidOptionError(f'catch_up {catch_up!r} is unknown; use "skip", "one" or "all"')
    last = instant(scheduled_at)
    current = instant(now)
    anchor = last if start is None else instant(start)
    moment = max(last, current - TICK) if catch_up == "skip" else last
    found = rule.after(moment, start=anchor)
    end = None if until is None else instant(until)
    if found is None or (end is not None and found > end):
        return None
    if catch_up == "one":
        limit = current if end is None else min(current, end)
        found = _latest(rule, found, limit=limit, start=anchor)
    return like(scheduled_at, found)


def upcoming(rule: Rule, *, start: datetime, after: datetime, count: int = 5) -> list[datetime]:
    """Return the next occurrences later than a moment, fewer than ``count`` if the rule ends.

    Args:
        rule: The rule.
        start: The time for which the chain's first run is scheduled.
        after: The moment, of the same kind (aware or naive) as ``start``.
        count: How many.

    Returns:
        Aware times in UTC, or naive ones in the project's ``TIME_ZONE`` if ``after`` is naive.
    """
    anchor = instant(start)
    found: list[datetime] = []
    moment = instant(after)
    while len(found) < count and (following := rule.after(moment, start=anchor)) is not None:
        moment = following
        found.append(like(after, moment))
    return found


def _latest(rule: Rule, found: datetime, *, limit: datetime, start: datetime) -> datetime:
    """Return the last occurrence up to ``limit``, or ``found`` if that is later.

    By halving: each round looks at what follows the middle between the best one so far and the
    end of where a better one may be.
    """
    end = limit
    while (following := rule.after(found, start=start)) is not None and following <= limit:
        found = following
        middle = found + (end - found) / 2
        beyond = rule.after(middle, start=start)
        if beyond is not None and beyond <= limit:
            found = beyond
        else:
            end = middle
    return found


def like(example: datetime, moment: datetime) -> datetime:
    """Return a time of the same kind, aware or naive, as the example."""
    if example.tzinfo is None:
        return wall_time(moment, zone_called(zone_name()))
    return moment


def _aware(moment: datetime) -> datetime:
    if timezone.is_naive(moment):
        raise InvalidOptionError(
            f"time {moment!r} has no time zone; give an aware one, as timezone.now() does"
        )
    return moment.astimezone(UTC)
