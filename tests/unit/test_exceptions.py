"""Exceptions by which a task says what should become of it."""

import pickle
from contextlib import suppress
from datetime import datetime, timedelta, timezone

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st

from background_task.exceptions import (
    BackgroundTaskError,
    Discard,
    InvalidOptionError,
    RetryLater,
    Snooze,
)

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("delay", "wait"),
    [
        (30, timedelta(seconds=30)),
        (0.5, timedelta(seconds=0.5)),
        (MINUTE, MINUTE),
        (0, timedelta(0)),
        (-30, timedelta(0)),
        (-MINUTE, timedelta(0)),
        (-(10**400), timedelta(0)),
        (1e300, timedelta.max),
        ("120", 2 * MINUTE),
        (" 120 ", 2 * MINUTE),
        ("0", timedelta(0)),
        ("0000000000000000000000060", MINUTE),
        ("9" * 11, timedelta(seconds=99_999_999_999)),
    ],
)
@pytest.mark.parametrize("kind", [RetryLater, Snooze])
def test_delay_in_every_form_is_a_wait_that_is_not_negative(kind, delay, wait):
    exception = kind(delay)
    assert exception.delay == wait
    assert exception.delay_from(NOW) == wait


@pytest.mark.parametrize(
    "moment",
    [
        LATER,
        LATER.astimezone(timezone(timedelta(hours=-5))),
        "Tue, 01 Jan 2030 01:00:00 GMT",
        "Tuesday, 01-Jan-30 01:00:00 GMT",
        "Tue Jan  1 01:00:00 2030",
    ],
)
def test_moment_in_every_form_is_a_wait_as_of_now(moment):
    exception = RetryLater(moment)
    assert exception.delay is None
    assert exception.until == LATER
    assert exception.delay_from(NOW) == timedelta(hours=1)
    assert exception.delay_from(LATER) == timedelta(0)
    assert exception.delay_from(LATER + MINUTE) == timedelta(0)


def test_delay_left_out_is_left_to_the_backoff():
    assert RetryLater().delay is None
    assert RetryLater(None).delay_from(NOW) is None


def test_endless_text_is_an_endless_wait():
    assert RetryLater("9" * 10_000).delay > timedelta(days=3652)


@override_settings(USE_TZ=False, TIME_ZONE="Asia/Kolkata")
def test_moment_without_time_zones_is_in_that_of_the_project():
    exception = RetryLater(datetime(2030, 1, 1, 6, 30))
    assert exception.until == LATER
    assert exception.delay_from(datetime(2030, 1, 1, 5, 30)) == timedelta(hours=1)


@pytest.mark.parametrize("value", [True, b"120", [1], {}, object(), NOW.date(), 1j])
@pytest.mark.parametrize("kind", [RetryLater, Snooze])
def test_delay_of_wrong_type_is_refused(kind, value):
    with pytest.raises(TypeError, match=rf"{kind.__name__} .* use "):
        kind(value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        "",
        "soon",
        "-5",
        "1.5",
        "1e3",
        "\u0663",  # a digit, but not of HTTP
        "1 2",
        "Tue, 32 Jan 2030 01:00:00 GMT",
        "2030-01-01T00:00:00Z",
        datetime(2030, 1, 1),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
@pytest.mark.parametrize("kind", [RetryLater, Snooze])
def test_delay_that_cannot_work_is_refused(kind, value):
    with pytest.raises(ValueError, match=rf"{kind.__name__} .* use "):
        kind(value)


@given(st.text(max_size=40))
def test_any_text_is_a_header_or_refused(text):
    with suppress(InvalidOptionError):
        assert RetryLater(text).delay_from(NOW) >= timedelta(0)


def test_snooze_needs_a_delay_and_says_what_does_not():
    with pytest.raises(TypeError, match="RetryLater\\(spend_attempt=False\\)"):
        Snooze(None)
    with pytest.raises(TypeError):
        Snooze()


@pytest.mark.parametrize("value", [0, 1, "no", None])
def test_spend_attempt_that_is_no_bool_is_refused(value):
    with pytest.raises(TypeError, match="use True or False"):
        RetryLater(5, spend_attempt=value)


def test_snooze_spends_no_attempt():
    assert RetryLater(5).spend_attempt is True
    assert Snooze(5).spend_attempt is False


@pytest.mark.parametrize(
    ("exception", "text"),
    [
        (RetryLater(), "to be run again later"),
        (RetryLater(60, reason="busy"), "to be run again in 0:01:00: busy"),
        (RetryLater(LATER), "to be run again at 2030-01-01 01:00:00+00:00"),
        (Snooze(1, reason=ValueError("no")), "to be run again in 0:00:01: no"),
        (Discard("cancelled"), "cancelled"),
        (Discard(ValueError("no")), "no"),
        (Discard(), ""),
    ],
)
def test_text_says_what_is_wanted_and_why(exception, text):
    assert str(exception) == text
    assert isinstance(exception, BackgroundTaskError)


@pytest.mark.parametrize(
    "exception",
    [
        RetryLater(),
        RetryLater(60, reason="busy", spend_attempt=False),
        RetryLater(LATER, reason="busy"),
        RetryLater("120"),
        Snooze(60, reason="busy"),
        Discard("cancelled"),
        Discard(),
    ],
)
def test_exception_crosses_processes(exception):
    other = pickle.loads(pickle.dumps(exception))
    assert type(other) is type(exception)
    assert vars(other) == vars(exception)
    assert str(other) == str(exception)


def test_subclass_that_forgets_its_parent_still_means_something():
    class Forgetful(RetryLater):
        def __init__(self, code):
            self.code = code

    class Vague(Discard):
        def __init__(self):
            pass

    assert Forgetful(503).delay_from(NOW) is None
    assert Forgetful(503).spend_attempt is True
    assert str(Forgetful(503)) == "to be run again later"
    assert Vague().reason == ""
