"""Rules of RFC 5545: against python-dateutil, and against dates worked out by hand."""

import itertools
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule as dateutil_rrule, tz
from dateutil.rrule import DAILY, HOURLY, MO, MONTHLY, WEEKLY, rrule, rruleset, rrulestr
from django.test import override_settings
from hypothesis import given, settings, strategies as st

from background_task.exceptions import InvalidOptionError
from background_task.recurrence import make_rule, parse, upcoming

UTC = timezone.utc
START = datetime(2026, 1, 1, 9, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
UNITS = {
    "YEARLY": timedelta(days=365),
    "MONTHLY": timedelta(days=30),
    "WEEKLY": timedelta(weeks=1),
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}


def some(numbers, most=3):
    return st.lists(numbers, min_size=1, max_size=most, unique=True).map(
        lambda values: ",".join(map(str, values))
    )


@st.composite
def rules(draw):
    """Rules without years of waiting, for dateutil would look at each day of them."""
    frequency = draw(st.sampled_from(sorted(UNITS)))
    interval = draw(st.sampled_from([1, 1, 2, 3, 5]))
    parts = [f"FREQ={frequency}", f"INTERVAL={interval}"]
    optional = {
        "BYDAY": some(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])),
        "BYMONTHDAY": some(st.sampled_from([1, 2, 13, 28, -1])),
        "BYMINUTE": some(st.integers(0, 59)),
    }
    if interval == 1:
        optional["BYMONTH"] = some(st.integers(1, 12))
    names = draw(st.lists(st.sampled_from(sorted(optional)), max_size=2, unique=True))
    parts += [f"{name}={draw(optional[name])}" for name in names]
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(['MO', 'SU']))}")
    return ";".join(parts)


starts = st.datetimes(datetime(2020, 1, 1), datetime(2026, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)


@settings(max_examples=100)
@given(text=rules(), start=starts, steps=st.integers(-5, 400), count=st.none() | st.integers(1, 60))
def test_rule_equals_dateutil(text, start, steps, count):
    text = text if count is None else f"{text};COUNT={count}"
    moment = start + steps * UNITS[text.partition(";")[0][5:]]
    plain = with_an_end(text, moment, start)
    expected = None if plain is None else plain.after(moment)
    try:
        rule = make_rule(text, zone="UTC").anchored(start.replace(tzinfo=UTC))
    except InvalidOptionError:
        assert (
            plain is None
            or with_an_end(text.partition(";COUNT")[0], start, start).after(start) is None
        )
        return
    found = rule.after(moment.replace(tzinfo=UTC), start=START)
    assert found == (None if expected is None else expected.replace(tzinfo=UTC))
    assert parse(str(rule)) == rule


def with_an_end(text, moment, start):
    """Return dateutil's own rule; without an end it would look for rare dates for minutes."""
    end = moment + timedelta(days=366 * 30)
    ending = "" if "COUNT" in text else f";UNTIL={end:%Y%m%dT%H%M%S}"
    try:
        return rrulestr(text + ending, dtstart=start)
    except ValueError:  # it skips all the minutes it names
        return None


@settings(max_examples=50)
@given(
    text=rules(),
    start=starts,
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    moments=st.lists(
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), min_size=2, max_size=2
    ),
)
def test_rule_is_later_and_never_goes_back(text, start, zone, moments):
    try:
        rule = make_rule(text, zone=zone).anchored(start.replace(tzinfo=UTC))
    except InvalidOptionError:
        return
    early, late = (moment.replace(tzinfo=UTC) for moment in sorted(moments))
    first, second = rule.after(early, start=START), rule.after(late, start=START)
    if first is None:
        assert second is None
    else:
        assert first > early
        assert second is None or first <= second


TABLE = [
    ("FREQ=DAILY", ["01-02 09:00", "01-03 09:00"]),
    ("RRULE:FREQ=DAILY;INTERVAL=10", ["01-11 09:00", "01-21 09:00", "01-31 09:00"]),
    ("freq=weekly;byday=mo,we", ["01-05 09:00", "01-07 09:00", "01-12 09:00"]),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;WKST=SU", ["01-12 09:00", "01-26 09:00"]),
    ("FREQ=MONTHLY;BYDAY=-1FR", ["01-30 09:00", "02-27 09:00", "03-27 09:00"]),
    ("FREQ=MONTHLY;BYMONTHDAY=-1", ["01-31 09:00", "02-28 09:00", "03-31 09:00"]),
    ("FREQ=MONTHLY;BYMONTHDAY=31", ["01-31 09:00", "03-31 09:00", "05-31 09:00"]),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["01-30 09:00", "02-27 09:00"]),
    ("FREQ=YEARLY;BYEASTER=0", ["04-05 09:00"]),
    ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", ["11-26 09:00"]),
    ("FREQ=DAILY;BYHOUR=8,17;BYMINUTE=15", ["01-01 17:15", "01-02 08:15"]),
    ("FREQ=DAILY;COUNT=3", ["01-02 09:00", "01-03 09:00"]),
    ("FREQ=DAILY;UNTIL=20260103T090000Z", ["01-02 09:00", "01-03 09:00"]),
    ("FREQ=DAILY;UNTIL=20260103", ["01-02 09:00"]),
    ("DTSTART:20260104T120000\nRRULE:FREQ=DAILY", ["01-04 12:00", "01-05 12:00"]),
    ("DTSTART:20260104\nRRULE:FREQ=DAILY", ["01-04 00:00", "01-05 00:00"]),
    (
        "RRULE:FREQ=DAILY;COUNT=3\nEXDATE:20260102T090000\nRDATE:20260102T100000,20260110T000000",
        ["01-02 10:00", "01-03 09:00", "01-10 00:00"],
    ),
    ("RRULE:FREQ=DAILY;COUNT=5\nEXRULE:FREQ=DAILY;INTERVAL=2", ["01-02 09:00", "01-04 09:00"]),
    ("RDATE:20260103T080000,20260102T080000", ["01-02 08:00", "01-03 08:00"]),
    ("RRULE:FREQ=WEEKLY;\r\n BYDAY=SA", ["01-03 09:00", "01-10 09:00"]),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_rule_gives_dates_worked_out_by_hand(text, expected):
    rule = make_rule(text, zone="UTC").anchored(START)
    found = upcoming(rule, start=START, after=START, count=len(expected))
    assert [f"{moment:%m-%d %H:%M}" for moment in found] == expected
    ends = any(word in text for word in ("COUNT", "UNTIL", "RDATE:2026"))
    assert (rule.after(found[-1], start=START) is None) == ends
    assert parse(str(rule)) == rule


def test_zone_of_the_start_is_the_zone_of_the_rule():
    rule = make_rule("DTSTART;TZID=America/New_York:20260307T090000\nRRULE:FREQ=DAILY")
    assert rule.zone == "America/New_York"
    found = upcoming(rule, start=START, after=START, count=2)
    assert [moment.hour for moment in found] == [14, 13]  # the clocks went forward on the 8th


def test_zone_that_is_given_reads_the_same_start_by_its_own_clock():
    rule = make_rule("DTSTART:20260327T080000Z\nRRULE:FREQ=DAILY", zone="Europe/Berlin")
    assert str(rule) == "rrule Europe/Berlin DTSTART:20260327T090000 RRULE:FREQ=DAILY"
    found = upcoming(rule, start=START, after=START, count=4)
    assert [moment.hour for moment in found] == [8, 8, 7, 7]


@override_settings(TIME_ZONE="Europe/Berlin")
def test_start_in_utc_makes_a_rule_in_utc():
    assert make_rule("DTSTART:20260327T080000Z\nRRULE:FREQ=DAILY").zone == "UTC"


def test_end_in_utc_is_the_same_moment_on_the_clock():
    rule = make_rule("DTSTART:20260101T090000\nFREQ=DAILY;UNTIL=20260103T080000Z", zone=BERLIN)
    assert "UNTIL=20260103T090000" in str(rule)
    assert len(upcoming(rule, start=START, after=START - timedelta(days=9))) == 3


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        (rrule(DAILY, dtstart=datetime(2026, 1, 1, 9, tzinfo=BERLIN)), "Europe/Berlin"),
        (rrule(DAILY, dtstart=datetime(2026, 1, 1, 9, tzinfo=UTC)), "UTC"),
        (rrule(DAILY, dtstart=datetime(2026, 1, 1, 9, tzinfo=tz.UTC)), "UTC"),
        (rrule(DAILY, dtstart=datetime(2026, 1, 1, 9)), "UTC"),  # the project's
        (rrule(DAILY, dtstart=date(2026, 1, 1)), "UTC"),
        (rrule(WEEKLY, byweekday=MO(1), dtstart=datetime(2026, 1, 1, 9)), "UTC"),
        (rrule(MONTHLY, bymonthday=(-1, 15), dtstart=datetime(2026, 1, 1, 9)), "UTC"),
        (rrule(MONTHLY, byweekday=MO(-1), bysetpos=1, dtstart=datetime(2026, 1, 1)), "UTC"),
        (rrule(HOURLY, interval=5, byhour=(0, 5), dtstart=datetime(2026, 1, 1)), "UTC"),
        (
            rrule(
                DAILY,
                dtstart=datetime(2026, 1, 1, 9, tzinfo=BERLIN),
                until=datetime(2026, 5, 1, tzinfo=UTC),
            ),
            "Europe/Berlin",
        ),
    ],
    ids=str,
)
def test_rrule_object_gives_the_same_dates(value, zone):
    rule = make_rule(value)
    assert rule.zone == zone
    first = next(iter(value))
    begin = first if first.tzinfo else first.replace(tzinfo=UTC)
    expected = [
        moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        for moment in itertools.islice(value, 7)
    ]
    assert upcoming(rule, start=START, after=begin - timedelta(seconds=1), count=7) == expected
    assert parse(str(rule)) == rule


def test_rruleset_object_gives_the_same_dates():
    value = rruleset()
    value.rrule(rrule(DAILY, dtstart=datetime(2026, 3, 27, 9, tzinfo=BERLIN)))
    value.rrule(rrule(WEEKLY, dtstart=datetime(2026, 3, 27, 9, tzinfo=BERLIN), byhour=12))
    value.exrule(rrule(WEEKLY, dtstart=datetime(2026, 3, 27, 9, tzinfo=BERLIN), byweekday=6))
    value.rdate(datetime(2026, 3, 28, 18, tzinfo=UTC))
    value.exdate(datetime(2026, 3, 30, 9, tzinfo=BERLIN))
    rule = make_rule(value)
    expected = [moment.astimezone(UTC) for moment in itertools.islice(value, 12)]
    assert upcoming(rule, start=START, after=START, count=12) == expected
    assert parse(str(rule)) == rule


def test_rruleset_of_rules_with_different_starts_is_refused():
    value = rruleset()
    for day in (1, 2):
        value.rrule(rrule(DAILY, dtstart=datetime(2026, 1, day)))
    with pytest.raises(InvalidOptionError, match="more than one DTSTART"):
        make_rule(value)


def test_rrule_in_a_zone_without_a_name_is_refused_unless_a_zone_is_given():
    value = rrule(DAILY, dtstart=datetime(2026, 3, 28, 9, tzinfo=tz.gettz("Europe/Berlin")))
    with pytest.raises(TypeError, match="ZoneInfo made from one"):
        make_rule(value)
    found = upcoming(make_rule(value, zone="Europe/Berlin"), start=START, after=START, count=2)
    assert [moment.hour for moment in found] == [8, 7]


@pytest.mark.parametrize(
    "text",
    [
        *("FREQ=SOMETIMES", "RRULE:BYDAY=MO", "FREQ=DAILY;FREQ=DAILY", "FREQ=DAILY;COUNT="),
        *("FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=-1", "FREQ=DAILY;INTERVAL=x"),
        *("FREQ=DAILY;COUNT=1;UNTIL=20260101", "FREQ=DAILY;UNTIL=tomorrow", "FREQ=DAILY;BYHOUR=24"),
        *("FREQ=DAILY;BYDAY=XX", "FREQ=DAILY;COLOR=RED", "FREQ=MONTHLY;BYMONTHDAY=0"),
        *("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"),
        *("FREQ=YEARLY;BYMONTH=13", "DTSTART:20260101T000000", "DTSTART:20261301\nFREQ=DAILY"),
        *("RRULE:FREQ=DAILY\nVALARM:x", "DTSTART;VALUE=PERIOD:20260101\nFREQ=DAILY"),
        *("RRULE:FREQ=DAILY\nEXRULE:FREQ=NEVER", "DTSTART:20260131T000000\nFREQ=YEARLY;BYMONTH=2"),
        "DTSTART;TZID=Mars/Base:20260101T000000\nFREQ=DAILY",
        "DTSTART:20260101T010000\nFREQ=HOURLY;INTERVAL=2;BYHOUR=8",
    ],
)
def test_rule_that_cannot_be_used_is_refused(text):
    with pytest.raises(InvalidOptionError, match=r"write it as|use an IANA name"):
        make_rule(text, zone=None)


def test_rule_that_its_start_makes_impossible_is_refused_when_the_chain_begins():
    rule = make_rule("FREQ=HOURLY;INTERVAL=2;BYHOUR=7", zone="UTC")
    assert rule.anchored(START.replace(hour=1)).after(START, start=START).hour == 7
    with pytest.raises(InvalidOptionError, match="cannot be used"):
        rule.anchored(START.replace(hour=2))


def test_month_ends_are_kept_over_years():
    rule = make_rule("DTSTART:20200131T090000\nFREQ=MONTHLY", zone="UTC")
    found = upcoming(rule, start=START, after=datetime(2026, 4, 1, tzinfo=UTC), count=3)
    assert [f"{moment:%m-%d}" for moment in found] == ["05-31", "07-31", "08-31"]
    rule = make_rule("DTSTART:20200229T090000\nFREQ=YEARLY", zone="UTC")
    assert rule.after(START, start=START) == datetime(2028, 2, 29, 9, tzinfo=UTC)


def test_count_is_counted_from_the_start_of_the_chain():
    rule = make_rule("FREQ=DAILY;COUNT=3", zone="UTC").anchored(START)
    assert rule.anchored(START + timedelta(days=1)) is rule
    moment, runs = START, 1
    while (moment := rule.after(moment, start=moment)) is not None:
        runs += 1
    assert runs == 3


@pytest.mark.parametrize("frequency", sorted(UNITS))
def test_long_downtime_costs_no_loop(frequency, monkeypatch):
    """dateutil counts from the start; it is given one near the time in question."""
    counted = []
    original = dateutil_rrule.rrule._iter

    def counting(self):
        for found in original(self):
            counted.append(found)
            yield found

    monkeypatch.setattr(dateutil_rrule.rrule, "_iter", counting)
    rule = make_rule(f"FREQ={frequency};INTERVAL=3", zone="Europe/Berlin")
    begin = datetime(100, 1, 5, tzinfo=UTC)
    rule = rule.anchored(begin)
    counted.clear()
    assert rule.after(datetime(9900, 1, 1, tzinfo=UTC), start=begin).year in (9900, 9901, 9902)
    assert len(counted) < 10
