"""Rules by the clocks of five zones: against dateutil, cronsim, each other, and counting up."""

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from dateutil.relativedelta import relativedelta
from dateutil.rrule import rrulestr
from hypothesis import given, settings, strategies as st

from background_task.recurrence import make_rule, next_occurrence, upcoming
from tests.unit.test_recurrence_crontab import CHANGES, moments_near_changes

UTC = timezone.utc
#: No clock is ever changed at these, so that others have nothing of their own to say.
BY_DAY = st.integers(5, 23)
ZONES = sorted(CHANGES)
DATES = [
    ("FREQ=DAILY", "* * *"),
    ("FREQ=WEEKLY;BYDAY=MO,SA", "* * MON,SAT"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,29", "1,29 * *"),
    ("FREQ=MONTHLY;BYDAY=-1SU", "* * 0L"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "29 2 *"),
]


@settings(max_examples=60)
@given(
    dates=st.sampled_from(DATES),
    hour=BY_DAY,
    minute=st.integers(0, 59),
    zone=st.sampled_from(ZONES),
    days=st.integers(0, 800),
)
def test_rule_of_the_day_equals_dateutil_and_cronsim_in_each_zone(dates, hour, minute, zone, days):
    text = f"{dates[0]};BYHOUR={hour};BYMINUTE={minute};BYSECOND=0"
    line = f"{minute} {hour} {dates[1]}"
    moment = datetime(2024, 1, 1, 12, 7, tzinfo=ZoneInfo(zone)) + timedelta(days=days)
    theirs = rrulestr(text, dtstart=moment.replace(second=0))
    iterator = CronSim(line, moment)
    expected = [found.astimezone(UTC) for found in theirs.xafter(moment, count=5)]
    assert [next(iterator).astimezone(UTC) for _ in expected] == expected
    for rule in (make_rule(line, zone=zone), make_rule(text, zone=zone).anchored(moment)):
        assert upcoming(rule, start=moment, after=moment, count=5) == expected


@settings(max_examples=60)
@given(minutes=st.sampled_from([1, 5, 10, 15, 20, 30]), where=moments_near_changes())
def test_what_follows_the_running_clock_is_the_same_for_every_kind_of_rule(minutes, where):
    zone, moment = where
    midnight = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    expected = upcoming(
        make_rule(f"*/{minutes} * * * *", zone=zone), start=moment, after=moment, count=8
    )
    for value in (f"FREQ=MINUTELY;INTERVAL={minutes}", relativedelta(minutes=minutes)):
        rule = make_rule(value, zone=zone).anchored(midnight)
        assert upcoming(rule, start=moment, after=moment, count=8) == expected


@settings(max_examples=60)
@given(hour=st.integers(0, 23), minute=st.integers(0, 59), where=moments_near_changes())
def test_what_names_a_time_is_the_same_for_every_kind_of_rule(hour, minute, where):
    zone, moment = where
    first = datetime(2026, 1, 1, hour, minute, tzinfo=ZoneInfo(zone))
    expected = upcoming(
        make_rule(f"{minute} {hour} * * *", zone=zone), start=moment, after=moment, count=3
    )
    for value in (f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute}", relativedelta(days=1)):
        rule = make_rule(value, zone=zone).anchored(first)
        assert upcoming(rule, start=moment, after=moment, count=3) == expected


@pytest.mark.parametrize(
    "value",
    [
        977,
        "*/20 * * * *",
        "30 2 * * *",
        "FREQ=HOURLY;INTERVAL=3",
        "FREQ=DAILY;BYHOUR=2,3;BYMINUTE=15",
        relativedelta(hours=5),
        relativedelta(days=1),
    ],
    ids=str,
)
@settings(max_examples=40)
@given(where=moments_near_changes(), missed=st.integers(0, 2 * 86400))
def test_run_that_follows_equals_counting_up(value, where, missed):
    zone, scheduled_at = where
    rule, now = (
        make_rule(value, zone=zone).anchored(scheduled_at),
        scheduled_at + timedelta(seconds=missed),
    )
    times = [rule.after(scheduled_at, start=scheduled_at)]
    while times[-1] <= now:
        times.append(rule.after(times[-1], start=scheduled_at))
    assert all(earlier < later for earlier, later in pairwise([scheduled_at, *times]))
    expected = {
        "skip": next(moment for moment in times if moment >= now),
        "one": max([moment for moment in times if moment <= now], default=times[0]),
        "all": times[0],
    }
    for catch_up, moment in expected.items():
        found = next_occurrence(
            rule, scheduled_at=scheduled_at, now=now, catch_up=catch_up, start=scheduled_at
        )
        assert found == moment, catch_up
