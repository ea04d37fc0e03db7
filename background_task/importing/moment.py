"""Times of rules, as the project's models hold times."""

from __future__ import annotations

from datetime import datetime

from ..exceptions import InvalidOptionError
from ..recurrence import Rule
from ..recurrence.rule import like
from ..recurrence.zone import TICK, instant


def first_from(rule: Rule, moment: datetime) -> datetime:
    """Return the first time of a rule that is not before a moment, aware or naive as that.

    Raises:
        InvalidOptionError: There is none.
    """
    found = rule.after(instant(moment) - TICK, start=instant(moment))
    if found is None:
        raise InvalidOptionError(f"its rule {str(rule)[:100]!r} never comes again; delete the row")
    return like(moment, found)
