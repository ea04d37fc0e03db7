"""Steps by the calendar: month ends, leap years, weekdays; against counting up."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import FR, MO, relativedelta
from hypothesis import given, settings, strategies as st

from background_task.exceptions import InvalidOptionError
from background_task.recurrence import Calendar, make_rule, next_occurrence, parse, upcoming

UTC = timezone.utc

TABLE = [
    # step, start, occurrences
    (relativedelta(months=1), "2026-01-31", ["2026-02-28", "2026-03-31", "2026-04-30"]),
    (relativedelta(months=1), "2028-01-30", ["2028-02-29", "2028-03-30", "2028-04-30"]),
    (relativedelta(months=1, day=31), "2026-01-15", ["2026-02-28", "2026-03-31", "2026-04-30"]),
    (relativedelta(months=1, day=1, weekday=MO), "2026-01-05", ["2026-02-02", "2026-03-02"]),
    (relativedelta(months=1, day=31, weekday=FR(-1)), "2026-01-30", ["2026-02-27", "2026-03-27"]),
    (
        relativedelta(years=1),
        "2024-02-29",
        ["2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
    ),
    (relativedelta(years=4), "2096-02-29", ["2100-02-28", "2104-02-29"]),
    (relativedelta(years=1, yearday=100), "2026-04-10", ["2027-04-10", "2028-04-09", "2029-04-10"]),
    (relativedelta(months=3, day=1), "2026-01-31", ["2026-04-01", "2026-07-01", "2026-10-01"]),
    (relativedelta(weeks=2), "2026-12-25", ["2027-01-08", "2027-01-22"]),
    (relativedelta(days=1.5), "2026-01-01", ["2026-01-02", "2026-01-04", "2026-01-05"]),
    (relativedelta(months=1, days=-1), "2026-01-01", ["2026-01-31", "2026-02-27", "2026-03-29"]),
    (relativedelta(years=1, month=3), "2026-11-05", ["2027-03-05", "2028-03-05"]),
]


@pytest.mark.parametrize(("step", "start", "expected"), TABLE, ids=str)
def test_step_gives_dates_worked_out_by_hand(step, start, expected):
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    rule = make_rule(step, zone="UTC")
    found = upcoming(rule, start=begin, after=begin, count=len(expected))
    assert [f"{moment:%Y-%m-%d}" for moment in found] == expected
    assert parse(str(rule)) == rule


@pytest.mark.parametrize(("step", "start", "expected"), TABLE, ids=str)
def test_chain_that_passes_on_its_last_run_keeps_to_the_start(step, start, expected):
    moment = datetime.fromisoformat(start).replace(tzinfo=UTC)
    rule = make_rule(step, zone="UTC").anchored(moment)
    for date in expected:
        rule = parse(str(rule))
        moment = next_occurrence(rule.anchored(moment), scheduled_at=moment, now=moment)
        assert f"{moment:%Y-%m-%d}" == date


def test_start_in_a_lost_hour_does_not_move_the_chain():
    zone = ZoneInfo("Europe/Berlin")
    moment = datetime(2026, 3, 28, 2, 30, tzinfo=zone)
    rule = make_rule(relativedelta(days=1), zone=zone).anchored(moment)
    found = []
    for _ in range(3):
        moment = next_occurrence(rule, scheduled_at=moment, now=moment)
        found.append(f"{moment.astimezone(zone):%d %H:%M}")
    assert found == ["29 03:00", "30 02:30", "31 02:30"]


steps = st.builds(
    relativedelta,
    years=st.integers(0, 2),
    months=st.integers(0, 14),
    days=st.integers(1, 40),
    hours=st.integers(0, 30),
    minutes=st.integers(0, 90),
    day=st.none() | st.integers(1, 31),
    hour=st.none() | st.integers(0, 23),
    weekday=st.none() | st.sampled_from([MO, FR(1), FR(-1), MO(2)]),
)


def goes_back(step):
    """It fixes a part of the time and moves a smaller one."""
    is_on_a_day = step.day is not None or step.weekday is not None
    return (is_on_a_day and (step.hours or step.minutes)) or (
        step.hour is not None and step.minutes
    )


steps = steps.map(relativedelta.normalized).filter(lambda step: not goes_back(step))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1))


@settings(max_examples=100)
@given(step=steps, start=moments, moment=moments)
def test_step_equals_counting_up(step, start, moment):
    rule = make_rule(step, zone="UTC")
    found = rule.after(moment.replace(tzinfo=UTC), start=start.replace(tzinfo=UTC))
    assert found.replace(tzinfo=None) == by_counting(rule.step, start, moment)
    assert parse(str(rule)) == rule


def by_counting(step, start, moment):
    if start > moment:
        return start
    times = max(1, (moment - start).days // 1200)
    while (found := start + step * times) <= moment:
        times += 1
    return found


@settings(max_examples=60)
@given(
    step=steps,
    start=moments,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
    pair=st.lists(moments, min_size=2, max_size=2),
)
def test_step_is_later_and_never_goes_back(step, start, zone, pair):
    rule = make_rule(step, zone=zone).anchored(start.replace(tzinfo=UTC))
    early, late = (moment.replace(tzinfo=UTC) for moment in sorted(pair))
    first = rule.after(early, start=early)
    assert early < first <= rule.after(late, start=late)
    assert parse(str(rule)) == rule


@pytest.mark.parametrize(
    "step",
    [
        relativedelta(days=1, minutes=4, weekday=FR),
        relativedelta(months=1, day=1, hours=1),
        relativedelta(days=1.5, weekday=MO),
        relativedelta(days=1, hour=3, minutes=10),
        relativedelta(hours=1, minute=30, seconds=7),
    ],
    ids=str,
)
def test_step_that_fixes_a_part_and_moves_a_smaller_one_is_refused(step):
    with pytest.raises(InvalidOptionError, match="fixes the"):
        make_rule(step, zone="UTC")


def test_long_downtime_costs_no_loop(monkeypatch):
    counted = []
    original = Calendar._reading

    def counting(self, anchor, times):
        counted.append(times)
        return original(self, anchor, times)

    monkeypatch.setattr(Calendar, "_reading", counting)
    rule = make_rule(relativedelta(seconds=1), zone="UTC")
    start, moment = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
    assert rule.after(moment, start=start) == moment + timedelta(seconds=1)
    assert len(counted) < 100


def test_there_is_nothing_beyond_the_year_9999():
    last = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    for value in (60, "@daily", "FREQ=DAILY", relativedelta(days=1), relativedelta(hours=1)):
        for zone in ("UTC", "Asia/Kolkata", "America/New_York"):
            assert make_rule(value, zone=zone).after(last, start=last) is None


@pytest.mark.parametrize(
    "step",
    [
        relativedelta(),
        relativedelta(day=31),
        relativedelta(years=1, year=2030),
        relativedelta(months=-1),
        relativedelta(months=1, days=-28),
        relativedelta(months=-1, days=31),
        relativedelta(microseconds=999_999),
    ],
    ids=str,
)
def test_step_that_may_stand_still_is_refused(step):
    with pytest.raises(InvalidOptionError, match="move forward"):
        make_rule(step)
