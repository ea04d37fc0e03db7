"""What happens when the clocks are changed: dates worked out by hand, for every kind of rule.

Times are in UTC. In 2026 the clocks were changed

* in Berlin on 29 March at 01:00 (2:00 became 3:00) and 25 October at 01:00 (3:00 became 2:00);
* in New York on 8 March at 07:00 (2:00 became 3:00) and 1 November at 06:00 (2:00 became 1:00);
* on Lord Howe Island, by half an hour, on 4 April at 15:00 (2:00 became 1:30) and 3 October at
  15:30 (2:00 became 2:30);
* in Kolkata (half an hour off the others) and for UTC not at all.
"""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta

from background_task.recurrence import make_rule, upcoming

UTC = timezone.utc
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
LORD_HOWE, KOLKATA = "Australia/Lord_Howe", "Asia/Kolkata"


def utc(text):
    """Return "03-29 01:00" as a moment of 2026."""
    return datetime.fromisoformat(f"2026-{text}:00+00:00")


FIXED_TIMES = [
    # hour and minute, zone, after, occurrences
    ("2:30", BERLIN, "03-27 12:00", ["03-28 01:30", "03-29 01:00", "03-30 00:30"]),
    ("2:30", BERLIN, "10-24 12:00", ["10-25 00:30", "10-26 01:30", "10-27 01:30"]),
    ("2:30", BERLIN, "10-25 00:30", ["10-26 01:30"]),
    ("2:30", BERLIN, "10-25 01:10", ["10-26 01:30"]),  # in the repeated hour, before 2:30
    ("2:00", BERLIN, "03-28 12:00", ["03-29 01:00", "03-30 00:00"]),
    ("2:00", BERLIN, "10-24 12:00", ["10-25 00:00", "10-26 01:00"]),
    ("3:00", BERLIN, "03-28 12:00", ["03-29 01:00", "03-30 01:00"]),
    ("3:00", BERLIN, "10-25 01:30", ["10-25 02:00", "10-26 02:00"]),
    ("9:00", BERLIN, "03-28 00:00", ["03-28 08:00", "03-29 07:00", "03-30 07:00"]),
    ("9:00", BERLIN, "10-24 00:00", ["10-24 07:00", "10-25 08:00", "10-26 08:00"]),
    ("2:30", NEW_YORK, "03-06 12:00", ["03-07 07:30", "03-08 07:00", "03-09 06:30"]),
    ("1:30", NEW_YORK, "10-31 12:00", ["11-01 05:30", "11-02 06:30", "11-03 06:30"]),
    ("1:30", NEW_YORK, "11-01 06:20", ["11-02 06:30"]),
    ("2:00", NEW_YORK, "10-31 12:00", ["11-01 07:00", "11-02 07:00"]),
    ("2:15", LORD_HOWE, "10-01 20:00", ["10-02 15:45", "10-03 15:30", "10-04 15:15"]),
    ("1:45", LORD_HOWE, "04-03 00:00", ["04-03 14:45", "04-04 14:45", "04-05 15:15"]),
    ("1:45", LORD_HOWE, "04-04 15:05", ["04-05 15:15"]),
    ("2:00", LORD_HOWE, "04-04 00:00", ["04-04 15:30", "04-05 15:30"]),
    ("2:30", KOLKATA, "03-28 12:00", ["03-28 21:00", "03-29 21:00", "03-30 21:00"]),
    ("2:30", "UTC", "03-28 12:00", ["03-29 02:30", "03-30 02:30", "03-31 02:30"]),
]

RUNNING_CLOCK = [
    # minutes between, zone, after, occurrences
    (30, BERLIN, "03-29 00:15", ["03-29 00:30", "03-29 01:00", "03-29 01:30"]),
    (30, BERLIN, "10-24 23:45", ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30"]),
    (30, BERLIN, "10-25 01:30", ["10-25 02:00", "10-25 02:30"]),
    (60, BERLIN, "03-28 23:00", ["03-29 00:00", "03-29 01:00", "03-29 02:00"]),
    (60, BERLIN, "10-24 23:00", ["10-25 00:00", "10-25 01:00", "10-25 02:00"]),
    (60, NEW_YORK, "03-08 05:30", ["03-08 06:00", "03-08 07:00", "03-08 08:00"]),
    (60, NEW_YORK, "11-01 04:30", ["11-01 05:00", "11-01 06:00", "11-01 07:00"]),
    (15, LORD_HOWE, "04-04 14:20", ["04-04 14:30", "04-04 14:45", "04-04 15:00", "04-04 15:15"]),
    (15, LORD_HOWE, "10-03 15:00", ["10-03 15:15", "10-03 15:30", "10-03 15:45"]),
    # Half an hour put in or left out: no clock shows 2:00 where it would be expected.
    (60, LORD_HOWE, "04-04 14:00", ["04-04 15:30", "04-04 16:30"]),
    (60, LORD_HOWE, "10-03 14:30", ["10-03 16:00", "10-03 17:00"]),
    (30, KOLKATA, "03-28 23:45", ["03-29 00:00", "03-29 00:30", "03-29 01:00"]),
    (60, KOLKATA, "03-28 23:45", ["03-29 00:30", "03-29 01:30"]),
    (60, "UTC", "03-29 00:30", ["03-29 01:00", "03-29 02:00", "03-29 03:00"]),
]

CRONTABS = [
    # a star in the minute or the hour: the running clock, in these hours only
    ("*/30 2 * * *", BERLIN, "03-28 02:00", ["03-30 00:00", "03-30 00:30", "03-31 00:00"]),
    (
        "*/30 2 * * *",
        BERLIN,
        "10-24 12:00",
        ["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30", "10-26 01:00"],
    ),
    # several lost times at the same moment: once
    ("0,30 2 * * *", BERLIN, "03-28 12:00", ["03-29 01:00", "03-30 00:00", "03-30 00:30"]),
    ("0 2,3 * * *", BERLIN, "03-28 12:00", ["03-29 01:00", "03-30 00:00", "03-30 01:00"]),
    ("*/10 2 * * *", LORD_HOWE, "04-04 15:00", ["04-04 15:30", "04-04 15:40", "04-04 15:50"]),
    ("*/10 2 * * *", LORD_HOWE, "10-03 15:00", ["10-03 15:30", "10-03 15:40", "10-03 15:50"]),
    ("30 3 * * MON-FRI", NEW_YORK, "03-06 12:00", ["03-09 07:30", "03-10 07:30"]),
]


@pytest.mark.parametrize(("time", "zone", "after", "expected"), FIXED_TIMES)
def test_crontab_of_a_fixed_time_is_run_once_a_day(time, zone, after, expected):
    hour, minute = time.split(":")
    check(make_rule(f"{minute} {hour} * * *", zone=zone), after, expected)


@pytest.mark.parametrize(("time", "zone", "after", "expected"), FIXED_TIMES)
def test_rrule_of_a_fixed_time_is_run_once_a_day(time, zone, after, expected):
    hour, minute = time.split(":")
    rule = make_rule(f"FREQ=DAILY;BYHOUR={hour};BYMINUTE={minute};BYSECOND=0", zone=zone)
    check(rule, after, expected)
    check(rule.anchored(utc("01-01 00:00")), after, expected)


@pytest.mark.parametrize(("time", "zone", "after", "expected"), FIXED_TIMES)
def test_calendar_step_of_days_is_run_once_a_day(time, zone, after, expected):
    hour, minute = map(int, time.split(":"))
    start = datetime(2026, 1, 5, hour, minute, tzinfo=ZoneInfo(zone))
    rule = make_rule(relativedelta(days=1), zone=zone)
    check(rule, after, expected, start=start)
    check(rule.anchored(start), after, expected)


@pytest.mark.parametrize(("minutes", "zone", "after", "expected"), RUNNING_CLOCK)
def test_crontab_with_stars_follows_the_running_clock(minutes, zone, after, expected):
    line = "0 * * * *" if minutes == 60 else f"*/{minutes} * * * *"
    check(make_rule(line, zone=zone), after, expected)


@pytest.mark.parametrize(("minutes", "zone", "after", "expected"), RUNNING_CLOCK)
def test_rrule_of_minutes_follows_the_running_clock(minutes, zone, after, expected):
    rule = make_rule(f"DTSTART:20260101T000000\nFREQ=MINUTELY;INTERVAL={minutes}", zone=zone)
    check(rule, after, expected)


@pytest.mark.parametrize(("minutes", "zone", "after", "expected"), RUNNING_CLOCK)
def test_calendar_step_of_minutes_follows_the_running_clock(minutes, zone, after, expected):
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))
    check(make_rule(relativedelta(minutes=minutes), zone=zone).anchored(start), after, expected)


@pytest.mark.parametrize(("line", "zone", "after", "expected"), CRONTABS)
def test_crontab_of_certain_hours(line, zone, after, expected):
    check(make_rule(line, zone=zone), after, expected)


@pytest.mark.parametrize(("time", "zone", "after", "expected"), FIXED_TIMES)
def test_rrule_of_hours_with_named_hours_is_run_once_a_day(time, zone, after, expected):
    hour, minute = time.split(":")
    rule = make_rule(f"FREQ=HOURLY;BYHOUR={hour};BYMINUTE={minute};BYSECOND=0", zone=zone)
    check(rule, after, expected)


@pytest.mark.parametrize(
    "after", ["03-28 12:00", "03-29 00:30", "10-24 12:00", "10-25 00:30", "10-25 01:30"]
)
def test_interval_does_not_know_of_clocks(after):
    rule, start = make_rule(timedelta(days=1)), utc("01-01 08:00")
    moment = utc(after)
    for found in upcoming(rule, start=start, after=moment):
        assert timedelta(0) < found - moment <= timedelta(days=1)
        assert (found.hour, found.minute) == (8, 0)
        moment = found


def test_time_lost_for_a_day_is_run_when_the_day_has_been_skipped():
    """Samoa crossed the date line: after Thursday the 29th came Saturday the 31st, 10:00 in UTC."""
    rule = make_rule("0 9 * * *", zone="Pacific/Apia")
    start = datetime(2011, 12, 29, 12, tzinfo=UTC)
    assert upcoming(rule, start=start, after=start, count=3) == [
        datetime(2011, 12, 29, 19, tzinfo=UTC),
        datetime(2011, 12, 30, 10, tzinfo=UTC),
        datetime(2011, 12, 30, 19, tzinfo=UTC),
    ]


def test_midnight_that_does_not_exist_is_run_at_one():
    """In Beirut the clocks are put forward at midnight."""
    rule = make_rule("@daily", zone="Asia/Beirut")
    after = utc("03-28 12:00")
    first, second = upcoming(rule, start=after, after=after, count=2)
    assert str(first.astimezone(ZoneInfo("Asia/Beirut"))) == "2026-03-29 01:00:00+03:00"
    assert str(second.astimezone(ZoneInfo("Asia/Beirut"))) == "2026-03-30 00:00:00+03:00"


def check(rule, after, expected, start=None):
    start = start or utc("01-01 00:00")
    found = upcoming(rule, start=start, after=utc(after), count=len(expected))
    assert [f"{moment:%m-%d %H:%M}" for moment in found] == expected
    assert {moment.tzinfo for moment in found} == {UTC}
