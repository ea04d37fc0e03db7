"""Which occurrence a chain takes next: after downtime, at its end, in naive times."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from hypothesis import given, settings, strategies as st

from background_task.exceptions import InvalidOptionError
from background_task.recurrence import Interval, Rule, make_rule, next_occurrence, upcoming

UTC = timezone.utc
NINE = datetime(2026, 5, 4, 9, tzinfo=UTC)
HOURLY = [3600, "0 * * * *", "DTSTART:20260504T090000\nFREQ=HOURLY", timedelta(hours=1)]

CATCH_UP = [
    # catch_up, now, until, next
    ("skip", "09:20", None, "10:00"),
    ("skip", "12:20", None, "13:00"),
    ("skip", "12:00", None, "12:00"),
    ("skip", "12:20", "13:00", "13:00"),
    ("skip", "12:20", "12:59", None),
    ("skip", "08:00", None, "10:00"),  # run ahead of its time
    ("one", "09:20", None, "10:00"),
    ("one", "12:20", None, "12:00"),
    ("one", "12:00", None, "12:00"),
    ("one", "12:20", "11:30", "11:00"),
    ("one", "12:20", "09:30", None),
    ("all", "09:20", None, "10:00"),
    ("all", "12:20", None, "10:00"),
    ("all", "12:20", "09:30", None),
]


def at(text):
    return text and NINE.replace(hour=int(text[:2]), minute=int(text[3:]))


@pytest.mark.parametrize("value", HOURLY, ids=str)
@pytest.mark.parametrize(("catch_up", "now", "until", "expected"), CATCH_UP)
def test_missed_occurrences_are_made_up_for_as_asked(value, catch_up, now, until, expected):
    found = next_occurrence(
        make_rule(value, zone="UTC"),
        scheduled_at=NINE,
        now=at(now),
        until=at(until),
        catch_up=catch_up,
    )
    assert found == at(expected)


@pytest.mark.parametrize(("catch_up", "runs"), [("skip", 1), ("one", 2), ("all", 4)])
def test_chain_after_downtime_has_so_many_runs_until_it_waits(catch_up, runs):
    rule, now, moment, counted = make_rule("0 * * * *", zone="UTC"), at("12:20"), NINE, 0
    while moment <= now:
        counted += 1
        moment = next_occurrence(rule, scheduled_at=moment, now=now, catch_up=catch_up)
    assert counted == runs
    assert moment == at("13:00")


def test_unknown_catch_up_is_refused():
    with pytest.raises(InvalidOptionError, match='"skip", "one" or "all"'):
        next_occurrence(make_rule(60), scheduled_at=NINE, now=NINE, catch_up="some")


@settings(max_examples=60)
@given(
    value=st.sampled_from(["*/7 * * * *", "0 3 * * 1", "FREQ=DAILY;BYHOUR=1,5", 977, "0 0 29 2 *"]),
    missed=st.timedeltas(timedelta(0), timedelta(days=4)),
)
def test_latest_missed_occurrence_equals_counting_up(value, missed):
    rule = make_rule(value, zone="Europe/Berlin")
    start = datetime(2026, 3, 27, 12, 34, tzinfo=UTC)
    now = start + missed
    following = rule.after(start, start=start)
    latest = following
    while following <= now:
        latest, following = following, rule.after(following, start=start)
    assert next_occurrence(rule, scheduled_at=start, now=now, catch_up="one") == latest


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize("value", [1, "* * * * *", "DTSTART:10000101T000000\nFREQ=SECONDLY"])
def test_long_downtime_costs_no_loop(value, catch_up, monkeypatch):
    counted = []
    original = Rule.after

    def counting(self, moment, *, start):
        counted.append(moment)
        return original(self, moment, start=start)

    monkeypatch.setattr(Rule, "after", counting)
    ancient, now = datetime(1000, 1, 1, tzinfo=UTC), datetime(9900, 1, 1, 0, 0, 30, tzinfo=UTC)
    found = next_occurrence(
        make_rule(value, zone="UTC"), scheduled_at=ancient, now=now, catch_up=catch_up
    )
    assert (found.year < 1001) if catch_up == "all" else abs(found - now) <= timedelta(minutes=1)
    assert len(counted) < 150


def test_latest_of_many_missed_long_ago_costs_no_loop(monkeypatch):
    counted = []
    original = Rule.after

    def counting(self, moment, *, start):
        counted.append(moment)
        return original(self, moment, start=start)

    monkeypatch.setattr(Rule, "after", counting)
    rule = make_rule("FREQ=SECONDLY;BYMONTH=5;BYMONTHDAY=4", zone="UTC")
    now = NINE + timedelta(days=100)
    found = next_occurrence(rule, scheduled_at=NINE, now=now, catch_up="one")
    assert found == NINE.replace(hour=23, minute=59, second=59)
    assert len(counted) < 150


def test_chain_in_naive_times_stays_naive_and_reads_the_project_clock():
    with override_settings(TIME_ZONE="Europe/Berlin", USE_TZ=False):
        last = datetime(2026, 3, 28, 9)
        rule = make_rule("0 9 * * *")
        found = next_occurrence(rule, scheduled_at=last, now=last, until=datetime(2026, 3, 29, 9))
        assert found == datetime(2026, 3, 29, 9)
        assert found.tzinfo is None
        assert upcoming(rule, start=last, after=last, count=2) == [
            datetime(2026, 3, 29, 9),
            datetime(2026, 3, 30, 9),
        ]


@pytest.mark.parametrize("value", [600, "*/10 * * * *", "FREQ=MINUTELY;INTERVAL=10"])
def test_chain_in_naive_times_never_goes_back(value):
    """The repeated hour cannot be told from the first in naive times; it is run once."""
    with override_settings(TIME_ZONE="Europe/Berlin"):
        rule, moment = make_rule(value), datetime(2026, 10, 25, 1, 50)
        for _ in range(20):
            found = next_occurrence(rule, scheduled_at=moment, now=moment)
            assert timedelta(0) < found - moment <= timedelta(minutes=10)
            moment = found


def test_aware_times_of_any_zone_are_understood():
    zone = ZoneInfo("Europe/Berlin")
    rule = Interval(timedelta(days=1))
    last = datetime(2026, 3, 28, 9, tzinfo=zone)
    found = next_occurrence(rule, scheduled_at=last, now=last)
    assert str(found) == "2026-03-29 08:00:00+00:00"  # 24 hours later, 10:00 on the clock


@settings(max_examples=100)
@given(
    seconds=st.integers(1, 10**7),
    start=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_interval_is_the_first_in_phase_that_is_later(seconds, start, moment):
    period = timedelta(seconds=seconds)
    found = Interval(period).after(moment, start=start)
    assert (found - start) % period == timedelta(0)
    assert found > moment
    assert found == start or (found > start and found - period <= moment)


def test_naive_time_is_refused_where_only_aware_ones_make_sense():
    with pytest.raises(InvalidOptionError, match="no time zone"):
        make_rule(60).after(datetime(2026, 1, 1), start=NINE)
    with pytest.raises(InvalidOptionError, match="no time zone"):
        make_rule(60).after(NINE, start=datetime(2026, 1, 1))
