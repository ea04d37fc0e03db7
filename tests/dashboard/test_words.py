"""Numbers, durations and moments as people read them."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from background_task.dashboard import words
from tests.dashboard.values import NOW


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, words.NOTHING),
        (-3, "0 s"),
        (0, "0 s"),
        (0.0004, "0 s"),
        (0.0006, "1 ms"),
        (0.3404, "340 ms"),
        (0.9996, "1 s"),
        (1.44, "1.4 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (204, "3 min 24 s"),
        (600, "10 min"),
        (2046, "34 min"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86_400 * 4 + 3 * 3600 + 59, "4 d 3 h"),
        (86_400 * 12_345, "12,345 d"),
    ],
)
def test_duration_has_two_units_at_most(seconds, text):
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.005, "5 ms"), (1, "1 s"), (30, "30 s"), (90, "1.5 min"), (7200, "2 h"), (86_400, "1 d")],
)
def test_brief_duration_has_one_unit(seconds, text):
    assert words.brief(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (999, "999"), (1234, "1,234"), (10**15, "1P"), (10**40, "1e+22E")],
)
def test_count_of_any_size_is_readable(number, text):
    assert words.count(number) == text


def test_count_that_stopped_says_so():
    assert words.count(10_000, is_more=True) == "10,000+"


@pytest.mark.parametrize(
    ("number", "text"),
    [(0.5, "0.5"), (20, "20"), (1500, "1.5k"), (250_000, "250k"), (2 * 10**6, "2M"), (10**9, "1G")],
)
def test_short_number_has_a_prefix(number, text):
    assert words.short(number) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [
        *((0, "0%"), (0.0004, "<0.1%"), (0.004, "0.4%"), (0.0995, "10%"), (0.5, "50%")),
        *((0.9995, ">99.9%"), (1, "100%")),
    ],
)
def test_share_never_shows_some_as_none_or_all(part, text):
    assert words.share(part) == text


@pytest.mark.parametrize(
    ("number", "seconds", "text"),
    [
        (0, 3600, "0 a minute"),
        (5, 0, "0 a minute"),
        (7200, 3600, "2 a second"),
        (900, 3600, "15 a minute"),
        (90, 3600, "1.5 a minute"),
        (5, 3600, "5 an hour"),
        (7, 7 * 86_400, "1 a day"),
        (3, 7 * 86_400, "3 a week"),
    ],
)
def test_rate_chooses_a_unit(number, seconds, text):
    assert words.rate(number, seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, words.NOTHING), (0, "0 MiB"), (200 * 2**20, "200 MiB"), (3 * 2**29, "1.5 GiB")],
)
def test_memory_is_in_the_unit_of_the_worker_options(number, text):
    assert words.memory(number) == text


@override_settings(TIME_ZONE="Europe/Berlin")
def test_moment_of_today_is_a_time_of_the_project():
    with timezone.override("Europe/Berlin"):
        shown = words.moment(NOW, now=NOW)
    assert shown == words.Moment("13:30:20", "2026-03-04 13:30:20 CET", "2026-03-04T12:30:20+00:00")


def test_moment_of_another_day_has_its_date():
    assert words.moment(NOW - timedelta(days=1), now=NOW).text == "03 Mar, 12:30"
    assert words.moment(NOW - timedelta(days=400), now=NOW).text == "28 Jan 2025, 12:30"


def test_no_number_is_too_large_for_a_text():
    assert words.duration(1e15) == "11,574,074,074 d"
    assert words.short(1e300) == "1e+282E"
