"""What people write for a rule, what is stored of it, and what they read about it."""

import pickle
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import FR, MO, relativedelta
from dateutil.rrule import DAILY, rrule, rruleset
from django.test import override_settings

from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.recurrence import MAX_RULE_CHARS, make_rule, parse

UTC = timezone.utc
START = datetime(2026, 1, 31, 9, tzinfo=UTC)

RULES = [
    # value, text, text when anchored, words
    (3600, "every 3600", "every 3600", "every hour"),
    ("5400", "every 5400", "every 5400", "every 90 minutes"),
    (Decimal(1209600), "every 1209600", "every 1209600", "every 2 weeks"),
    (timedelta(days=1), "every 86400", "every 86400", "every day"),
    (timedelta(seconds=1.5), "every 1.500000", "every 1.500000", "every 1.5 seconds"),
    (
        relativedelta(months=1, day=31),
        "calendar months=+1 day=31 zone=Europe/Berlin",
        "calendar months=+1 day=31 zone=Europe/Berlin start=2026-01-31T10:00:00",
        "every month on the last day (Europe/Berlin time)",
    ),
    (
        relativedelta(months=1, day=1, weekday=MO(1)),
        "calendar months=+1 day=1 weekday=MO(+1) zone=Europe/Berlin",
        "calendar months=+1 day=1 weekday=MO(+1) zone=Europe/Berlin start=2026-01-31T10:00:00",
        "every month on the first Monday (Europe/Berlin time)",
    ),
    (
        "30 3 * * 1-5",
        "cron 30 3 * * 1-5 Europe/Berlin",
        "cron 30 3 * * 1-5 Europe/Berlin",
        "at 03:30 on Monday through Friday (Europe/Berlin time)",
    ),
    (
        " @daily ",
        "cron 0 0 * * * Europe/Berlin",
        "cron 0 0 * * * Europe/Berlin",
        "at 00:00 every day (Europe/Berlin time)",
    ),
    (
        "FREQ=MONTHLY;BYDAY=-1FR",
        "rrule Europe/Berlin RRULE:FREQ=MONTHLY;BYDAY=-1FR",
        "rrule Europe/Berlin DTSTART:20260131T100000 RRULE:FREQ=MONTHLY;BYDAY=-1FR",
        "every month on the last Friday (Europe/Berlin time)",
    ),
    (
        rrule(DAILY, interval=2, dtstart=datetime(2026, 1, 1, 8, tzinfo=UTC), count=9),
        "rrule UTC DTSTART:20260101T080000 RRULE:FREQ=DAILY;INTERVAL=2;COUNT=9",
        "rrule UTC DTSTART:20260101T080000 RRULE:FREQ=DAILY;INTERVAL=2;COUNT=9",
        "every 2 days, 9 times (UTC)",
    ),
]


@pytest.fixture(autouse=True)
def _in_berlin():
    with override_settings(TIME_ZONE="Europe/Berlin"):
        yield


@pytest.mark.parametrize(("value", "text", "anchored", "words"), RULES, ids=str)
def test_rule_has_a_text_and_words(value, text, anchored, words):
    rule = make_rule(value)
    assert str(rule) == text
    assert str(rule.anchored(START)) == anchored
    assert str(rule.anchored(START).anchored(START + timedelta(days=3))) == anchored
    assert rule.in_words() == words


@pytest.mark.parametrize(("value", "text", "anchored", "words"), RULES, ids=str)
def test_rule_comes_back_from_its_text_wherever_it_is_read(value, text, anchored, words):
    with override_settings(TIME_ZONE="Asia/Tokyo"):
        assert parse(text) == make_rule(value, zone=None if "UTC" in text else "Europe/Berlin")
        assert str(parse(text)) == text
        assert str(parse(anchored)) == anchored
    rule = parse(anchored)
    assert hash(rule) == hash(parse(anchored))
    assert pickle.loads(pickle.dumps(rule)) == rule
    assert make_rule(rule) is rule
    assert make_rule(anchored) == rule


@pytest.mark.parametrize("value", [None, 0, -1, "0", "-60", False, timedelta(0), timedelta(-1)])
def test_nothing_to_repeat_is_no_rule(value):
    assert make_rule(value) is None


@pytest.mark.parametrize("seconds", [2**62, 10**14, "99999999999999999999"])
def test_period_longer_than_all_years_is_a_rule_that_never_comes_around(seconds):
    rule = make_rule(seconds)
    assert rule.after(START, start=START) is None
    assert parse(str(rule)) == rule


@pytest.mark.parametrize("zone", ["Asia/Kolkata", ZoneInfo("Asia/Kolkata")])
def test_zone_may_be_given_by_name_or_as_a_zone(zone):
    assert str(make_rule("@daily", zone=zone)) == "cron 0 0 * * * Asia/Kolkata"


def test_utc_of_the_standard_library_is_a_zone():
    assert str(make_rule("@daily", zone=UTC)) == "cron 0 0 * * * UTC"


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../etc/passwd", "Europe", "a b", "\0"])
@pytest.mark.parametrize("value", [60, "@daily"])
def test_unknown_zone_is_refused(zone, value):
    with pytest.raises(InvalidOptionError, match="IANA name"):
        make_rule(value, zone=zone)


@pytest.mark.parametrize("zone", [3600, timezone(timedelta(hours=1)), object()])
def test_zone_without_a_name_is_refused(zone):
    with pytest.raises(InvalidOptionTypeError, match="use a name"):
        make_rule("@daily", zone=zone)


@pytest.mark.parametrize("value", [1.5, object(), b"@daily", [60], START, float("nan"), MO])
def test_value_of_a_wrong_type_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match="use whole seconds"):
        make_rule(value)


@pytest.mark.parametrize("value", ["", "daily", "every", "every day", "12:30", timedelta(0, 0.5)])
def test_value_that_says_nothing_is_refused(value):
    with pytest.raises(InvalidOptionError, match=r"use|write|store"):
        make_rule(value)


def test_rule_too_long_to_be_stored_is_refused():
    dates = rruleset()
    for day in range(1, 29):
        dates.rdate(datetime(2026, 1, day))
    assert len(str(make_rule(dates))) < MAX_RULE_CHARS
    for day in range(1, 400):
        dates.rdate(datetime(2026, 2, 1) + timedelta(days=day))
    with pytest.raises(InvalidOptionError, match="at most 960"):
        make_rule(dates)


@pytest.mark.parametrize(
    "text",
    [
        *("", "every", "every x", "every 0", "every 1.5", "every -1", "hourly", "3600", "@daily"),
        *("calendar", "calendar months=+1", "calendar zone=UTC", "calendar months=x zone=UTC"),
        *("calendar months=+1 zone=UTC start=soon", "calendar moons=+1 zone=UTC"),
        *("calendar months=+1 weekday=XX zone=UTC", "calendar dt1=5 zone=UTC"),
        *("cron", "cron * * * * *", "cron * * * * * Mars/Base", "cron * * * * UTC"),
        *("rrule", "rrule UTC", "rrule UTC FREQ=NEVER", "rrule Mars/Base RRULE:FREQ=DAILY"),
        f"every {10**30}",
    ],
)
def test_stored_text_that_cannot_be_read_is_named(text):
    with pytest.raises(InvalidOptionError, match="cannot be read") as caught:
        parse(text)
    assert repr(text) in str(caught.value)
    assert "store str(make_rule(...))" in str(caught.value)


WORDS = [
    (1, "every second"),
    (relativedelta(years=1, months=2), "every 1 year and 2 months (UTC)"),
    (relativedelta(days=1, minute=5), "every day at minute 5 (UTC)"),
    (relativedelta(days=1, hour=3), "every day at 03:00 (UTC)"),
    (relativedelta(years=1, month=3, day=22), "every year on the 22nd counted from March (UTC)"),
    (relativedelta(weeks=1, weekday=FR), "every 7 days on the first Friday from that day on (UTC)"),
    (
        relativedelta(months=1, day=15, weekday=FR(-2)),
        "every month on the 2nd last Friday up to the 15th (UTC)",
    ),
    ("FREQ=WEEKLY;BYDAY=MO,WE,FR", "every week on Monday, Wednesday and Friday (UTC)"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,-1,-2", "every month on the 1st, last day and 2nd last day (UTC)"),
    ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", "every year on the 4th Thursday in November (UTC)"),
    ("FREQ=DAILY;UNTIL=20300102", "every day, until 2030-01-02 (UTC)"),
    ("FREQ=DAILY;COUNT=1", "every day, once (UTC)"),
    ("FREQ=YEARLY;BYEASTER=0", 'by the rule "RRULE:FREQ=YEARLY;BYEASTER=0" (UTC)'),
    ("RDATE:20260101T000000", 'by the rule "RDATE:20260101T000000" (UTC)'),
]


@pytest.mark.parametrize(("value", "words"), WORDS, ids=str)
def test_rule_in_words(value, words):
    assert make_rule(value, zone="UTC").in_words() == words


def test_crontab_in_words_without_an_explanation_quotes_the_line(monkeypatch):
    from cronsim import CronSim

    rule = make_rule("@daily", zone="UTC")
    monkeypatch.delattr(CronSim, "explain")
    assert rule.in_words() == 'by the crontab line "0 0 * * *" (UTC)'
