"""Crontab lines: against cronsim, and against looking at every minute."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings, strategies as st

from background_task.exceptions import InvalidOptionError
from background_task.recurrence import Crontab, make_rule, parse, upcoming

UTC = timezone.utc
MINUTE = timedelta(minutes=1)
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CHANGES = {
    "Europe/Berlin": ("2026-03-29T01:00", "2026-10-25T01:00"),
    "America/New_York": ("2026-03-08T07:00", "2026-11-01T06:00"),
    "Australia/Lord_Howe": ("2026-04-04T15:00", "2026-10-03T15:30"),
    "Asia/Kolkata": ("2026-06-01T00:00",),
    "UTC": ("2026-06-01T00:00",),
}


def field(low, high):
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(sorted)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.lists(number, min_size=2, max_size=3).map(lambda terms: ",".join(map(str, terms))),
        spans.map(lambda span: f"{span[0]}-{span[1]}"),
        st.integers(2, 20).map(lambda step: f"*/{step}"),
    )


times = st.tuples(field(0, 59), field(0, 23))
days = st.tuples(field(1, 28), field(1, 12), st.one_of(field(0, 7), st.sampled_from(DAYS)))


@st.composite
def moments_near_changes(draw):
    zone = draw(st.sampled_from(sorted(CHANGES)))
    change = datetime.fromisoformat(draw(st.sampled_from(CHANGES[zone]))).replace(tzinfo=UTC)
    return zone, change + timedelta(seconds=draw(st.integers(-8 * 3600, 4 * 3600)))


@settings(max_examples=60)
@given(times=times, where=moments_near_changes())
def test_crontab_equals_looking_at_every_minute(times, where):
    zone, moment = where
    rule = make_rule(f"{times[0]} {times[1]} * * *", zone=zone)
    expected = by_looking(times, ZoneInfo(zone), moment)
    assert upcoming(rule, start=moment, after=moment, count=4) == expected[:4]


@settings(max_examples=60)
@given(
    times=times,
    days=days,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"]),
    offset=st.integers(0, 500),
)
def test_crontab_equals_cronsim(times, days, zone, offset):
    line = " ".join(times + days)
    moment = datetime(2026, 1, 1, 12, 7, tzinfo=ZoneInfo(zone)) + timedelta(days=offset)
    iterator = CronSim(line, moment)
    expected = [next(iterator).astimezone(UTC) for _ in range(6)]
    assert upcoming(make_rule(line, zone=zone), start=moment, after=moment, count=6) == expected


@settings(max_examples=60)
@given(times=times, days=days, where=moments_near_changes(), later=st.integers(0, 10**6))
def test_crontab_is_later_and_never_goes_back(times, days, where, later):
    zone, moment = where
    rule = make_rule(" ".join(times + days), zone=zone)
    first = rule.after(moment, start=moment)
    second = rule.after(moment + timedelta(seconds=later), start=moment)
    assert moment < first <= second
    assert parse(str(rule)) == rule


def by_looking(times, zone, moment):
    """Return the next occurrences by asking of every minute of three days whether it matches."""
    minutes, hours = (numbers(text, top) for text, top in zip(times, (60, 24), strict=True))
    begin = moment.replace(second=0, microsecond=0)
    if any(text.startswith("*") for text in times):
        found = {
            minute
            for minute in (begin + MINUTE * step for step in range(1, 3 * 1440))
            if is_in(minute.astimezone(zone), minutes, hours)
        }
    else:
        wall = begin.astimezone(zone).replace(tzinfo=None, hour=0, minute=0) - timedelta(days=1)
        found = {
            first_moment(reading, zone)
            for reading in (wall + MINUTE * step for step in range(6 * 1440))
            if is_in(reading, minutes, hours)
        }
    return sorted(minute for minute in found if minute > moment)


def numbers(text, top):
    """Return the numbers that a field of our own making matches."""
    if text.startswith("*"):
        return set(range(0, top, int(text[2:] or 1)))
    if "-" in text:
        low, high = map(int, text.split("-"))
        return set(range(low, high + 1))
    return {int(term) for term in text.split(",")}


def is_in(reading, minutes, hours):
    return reading.minute in minutes and reading.hour in hours


def first_moment(reading, zone):
    """Return when a clock first shows a reading, or the next one that it shows at all."""
    while True:
        moment = reading.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None) == reading:
            return moment
        reading += MINUTE


TABLE = [
    ("30 3 * * 1-5", ["01-02 03:30", "01-05 03:30", "01-06 03:30"]),
    ("30 3 * * mon-fri", ["01-02 03:30", "01-05 03:30", "01-06 03:30"]),
    ("0 0 * * 7", ["01-04 00:00", "01-11 00:00"]),
    ("0 12 1,15 * *", ["01-15 12:00", "02-01 12:00", "02-15 12:00"]),
    ("0 12 31 * *", ["01-31 12:00", "03-31 12:00", "05-31 12:00"]),
    ("0 12 L * *", ["01-31 12:00", "02-28 12:00", "03-31 12:00"]),
    ("0 12 13 * FRI", ["01-02 12:00", "01-09 12:00", "01-13 12:00", "01-16 12:00"]),
    ("5/20 13 * * *", ["01-01 13:05", "01-01 13:25", "01-01 13:45", "01-02 13:05"]),
    ("10-30/10 13 * JAN,mar *", ["01-01 13:10", "01-01 13:20", "01-01 13:30", "01-02 13:10"]),
    ("0 9 * * 5L", ["01-30 09:00", "02-27 09:00", "03-27 09:00"]),
    ("0 9 * * MON#2", ["01-12 09:00", "02-09 09:00"]),
    ("@hourly", ["01-01 13:00", "01-01 14:00"]),
    ("@daily", ["01-02 00:00", "01-03 00:00"]),
    ("@midnight", ["01-02 00:00", "01-03 00:00"]),
    ("@weekly", ["01-04 00:00", "01-11 00:00"]),
    ("@Monthly", ["02-01 00:00", "03-01 00:00"]),
]


@pytest.mark.parametrize(("line", "expected"), TABLE)
def test_crontab_matches_what_the_manual_says(line, expected):
    found = upcoming(make_rule(line, zone="UTC"), start=NOON, after=NOON, count=len(expected))
    assert [f"{moment:%m-%d %H:%M}" for moment in found] == expected


@pytest.mark.parametrize("nickname", ["@yearly", "@annually"])
def test_yearly_crontab_waits_for_new_year(nickname):
    found = make_rule(nickname, zone="UTC").after(NOON, start=NOON)
    assert found == datetime(2027, 1, 1, tzinfo=UTC)


def test_leap_day_comes_every_four_years_and_not_in_1900_or_2100():
    rule = make_rule("0 0 29 2 *", zone="UTC")
    for year, following in [(2026, 2028), (2028, 2032), (2096, 2104), (1896, 1904)]:
        moment = datetime(year, 3, 1, tzinfo=UTC)
        assert rule.after(moment, start=moment) == datetime(following, 2, 29, tzinfo=UTC)


def test_long_wait_costs_no_loop(monkeypatch):
    counted = []
    original = Crontab._first

    def counting(self, wall):
        counted.append(wall)
        return original(self, wall)

    rule = make_rule("* * 29 2 *", zone="Europe/Berlin")
    monkeypatch.setattr(Crontab, "_first", counting)
    assert rule.after(NOON, start=NOON) == datetime(2028, 2, 28, 23, tzinfo=UTC)
    assert len(counted) < 10


def test_crontab_counts_from_within_a_minute():
    rule = make_rule("* * * * *", zone="UTC")
    for second, micro, minute in [(0, 0, 1), (0, 1, 1), (59, 999_999, 1)]:
        moment = NOON.replace(second=second, microsecond=micro)
        assert rule.after(moment, start=moment) == NOON.replace(minute=minute)
    assert rule.after(NOON - timedelta(microseconds=1), start=NOON) == NOON


@settings(max_examples=50)
@given(key=st.text(max_size=30))
def test_random_values_depend_on_nothing_but_the_key(key):
    line = "~ 2~4 ~ ~ ~"
    rule = make_rule(line, zone="UTC", key=key)
    assert rule == make_rule(line, zone="UTC", key=key)
    minute, hour, day, month, weekday = map(int, rule.expression.split())
    assert 0 <= minute <= 59
    assert 2 <= hour <= 4
    assert 1 <= day <= 28
    assert 1 <= month <= 12
    assert 0 <= weekday <= 6
    assert parse(str(rule)) == rule


def test_random_values_are_the_same_in_every_process_and_version():
    assert make_rule("~ ~ * * *", zone="UTC", key="shop.tasks.report").expression == "11 1 * * *"


def test_random_values_differ_between_tasks_and_fields():
    drawn = [make_rule("~ ~ * * *", zone="UTC", key=f"task {n}").expression for n in range(200)]
    assert len(set(drawn)) > 150
    assert len({line.split()[0] for line in drawn}) > 50
    assert {line.split()[1] for line in drawn} == {str(hour) for hour in range(24)}


@pytest.mark.parametrize(
    ("term", "allowed"),
    [("50~", range(50, 60)), ("~5", range(6)), ("7~7", [7]), ("10~12", range(10, 13))],
)
def test_random_values_keep_within_their_bounds(term, allowed):
    drawn = {
        int(Crontab.of(f"{term} * * * *", key=str(n)).expression.split()[0]) for n in range(200)
    }
    assert drawn == set(allowed)


def test_random_start_of_steps_keeps_their_distance():
    for number in range(20):
        drawn = Crontab.of("~/15 * * * *", key=str(number)).expression.split()[0]
        first, *others = map(int, drawn.split(","))
        assert 0 <= first < 15
        assert others == [first + 15, first + 30, first + 45]


def test_random_values_in_a_list_are_drawn_one_by_one():
    first, second = Crontab.of("0~29,30~59 * * * *", key="x").expression.split()[0].split(",")
    assert int(first) < 30 <= int(second)


@pytest.mark.parametrize(
    "line",
    [
        *("* * * *", "* * * * * *", "@reboot", "hourly", "60 * * * *", "* 24 * * *", "* * 0 * *"),
        *("* * * 13 *", "* * * * 8", "5-1 * * * *", "*/0 * * * *", "a * * * *", "1,,2 * * * *"),
        *("0 0 30 2 *", "0 0 31 4,6 *", "~~ * * * *", "9~5 * * * *", "~60 * * * *", "~/0 * * * *"),
        *("* ~24 * * *", "1~x * * * *", "-1 * * * *"),
    ],
)
def test_line_that_cannot_be_read_is_refused(line):
    with pytest.raises(InvalidOptionError, match=r"crontab .*(use|write|name)"):
        make_rule(line, zone="UTC")


def test_crontab_without_cronsim_says_what_to_install(monkeypatch):
    rule = make_rule("@daily", zone="UTC")
    monkeypatch.setitem(sys.modules, "cronsim", None)
    for attempt in (
        lambda: make_rule("@daily", zone="UTC"),
        lambda: rule.after(NOON, start=NOON),
        lambda: parse(str(rule)),
    ):
        with pytest.raises(InvalidOptionError, match=r"django-background-tasks\[cron\]"):
            attempt()


def test_nothing_is_imported_before_a_rule_needs_it():
    program = (
        "import sys; from background_task import recurrence; recurrence.make_rule(60); "
        "print({'dateutil', 'cronsim'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr
