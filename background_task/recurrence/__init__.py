"""When a repeating task runs next.

A `Rule` is a value: made by `make_rule` from what people write, stored as ``str(rule)``, read back
by `parse`. `next_occurrence` is the time of the next run of a chain.
"""

from __future__ import annotations

from .calendar_step import Calendar
from .chain import RepeatLike, begin_chain, check_repeat
from .crontab import Crontab
from .interval import Interval, next_run_at
from .recurrence_rule import RecurrenceRule
from .rule import CATCH_UPS, MAX_RULE_CHARS, CatchUp, Rule, next_occurrence, upcoming
from .text import make_rule, parse
from .zone import zone_name

__all__ = [
    "CATCH_UPS",
    "MAX_RULE_CHARS",
    "Calendar",
    "CatchUp",
    "Crontab",
    "Interval",
    "RecurrenceRule",
    "RepeatLike",
    "Rule",
    "begin_chain",
    "check_repeat",
    "make_rule",
    "next_occurrence",
    "next_run_at",
    "parse",
    "upcoming",
    "zone_name",
]
