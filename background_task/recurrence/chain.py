"""The beginning of a chain: what is stored of ``repeat``, and when the first run is due."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeAlias

from django.utils import timezone

from .. import option
from ..exceptions import InvalidOptionError, InvalidOptionTypeError
from .crontab import Crontab
from .interval import Interval
from .recurrence_rule import RecurrenceRule
from .rule import Rule, like
from .text import make_rule
from .zone import SECOND, TICK, instant

#: What ``make_rule`` takes.
RepeatLike: TypeAlias = Any


def check_repeat(value: RepeatLike, *, key: str) -> tuple[int, Rule | None]:
    """Return a period in whole seconds, or a rule where that does not say it; or raise.

    Raises:
        InvalidOptionError: A value that cannot work.
        InvalidOptionTypeError: A type that cannot work.
    """
    if value is None or isinstance(value, int | float):
        return option.check_repeat(value), None
    try:
        rule = make_rule(value, key=key)
    except (InvalidOptionError, InvalidOptionTypeError) as error:
        text = str(error)
        if text.startswith("repeat"):
            raise
        raise type(error)(f"repeat: {text}") from None
    if rule is None:
        return 0, None
    if isinstance(rule, Interval) and not rule.period % SECOND:
        return rule.period // SECOND, None
    return 0, rule


def begin_chain(rule: Rule, run_at: datetime | None) -> tuple[Rule, datetime]:
    """Return a rule that is counted from the first run, and the time of that.

    Without a time, a rule that says by itself at which moments it applies (a crontab line, an RFC
    5545 rule) begins at the next of these, and any other now.

    Raises:
        InvalidOptionError: There is no such moment any more.
    """
    now = timezone.now()
    if run_at is None and not isinstance(rule, Crontab | RecurrenceRule):
        run_at = now
    if run_at is not None:  # the very same moment: a later one would be the second occurrence
        return rule.anchored(instant(run_at)), run_at
    start = instant(now)
    if start.microsecond:  # rules count whole seconds, and the first of them is not to be past
        start = start.replace(microsecond=0) + SECOND
    anchored = rule.anchored(start)
    first = anchored.after(start - TICK, start=start)
    if first is None:
        raise InvalidOptionError(
            f"repeat {str(rule)[:100]!r} has no occurrence from now on; give a rule that has one, "
            "or a schedule"
        )
    return anchored, like(now, first)
