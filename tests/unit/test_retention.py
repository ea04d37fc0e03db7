"""How long finished tasks are kept, as people write it."""

from datetime import datetime, timedelta, timezone

import pytest

from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.retention import Keeping, Retention, before, in_words, span_of

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("30d", 30 * DAY),
        ("1h30m", timedelta(minutes=90)),
        ("2w", 14 * DAY),
        (" 1w 2d 3h 4m 5s ", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("90 s", timedelta(seconds=90)),
        (60, timedelta(minutes=1)),
        (1.5, timedelta(seconds=1.5)),
        (DAY, DAY),
        (None, None),
    ],
)
def test_make_of_a_length_of_time_counts_for_all(value, span):
    assert Retention.make(value).of("any") == span


@pytest.mark.parametrize(
    "value", ["", "30", "d", "1.5h", "m30", "1m1h", "1d1d", "-1d", "30D", "٣d", "9" * 10 + "d"]
)
def test_make_of_text_that_is_no_length_is_refused(value):
    with pytest.raises(InvalidOptionError, match=r"no length of time; use .* such as \"30d\""):
        Retention.make(value)


@pytest.mark.parametrize("value", [0, -1, 0.5, timedelta(0), "0s", float("nan")])
def test_make_of_a_number_that_cannot_be_is_refused(value):
    with pytest.raises(InvalidOptionError):
        Retention.make(value)


@pytest.mark.parametrize(
    "value", [True, [1], object(), {"a": {"b": 1}}, {1: "1d"}, {"": 1}], ids=repr
)
def test_make_of_another_type_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match="retain"):
        Retention.make(value)


def test_make_of_a_mapping_counts_by_function():
    retention = Retention.make({"*": "30d", "audit": None, "noise": 60})
    spans = [retention.of(name) for name in ("audit", "noise", "other")]
    assert spans == [None, timedelta(minutes=1), 30 * DAY]
    assert retention.spans() == {timedelta(minutes=1), 30 * DAY}
    assert Retention.make(retention) is retention


def test_make_of_a_mapping_without_others_keeps_them_for_ever():
    assert Retention.make({"noise": 60}).of("other") is None


def test_message_names_the_entry_of_the_mapping():
    with pytest.raises(InvalidOptionError, match=r"BACKGROUND_TASK_RETAIN\['noise'\] 'x' is no"):
        Retention.make({"noise": "x"}, what="BACKGROUND_TASK_RETAIN")


def test_keeping_asks_the_backend_first():
    keeping = Keeping(Retention(30 * DAY), {"mail": Retention(DAY), "audit": Retention()})
    backends = (None, "mail", "audit", "other")
    assert [keeping.of("f", each) for each in backends] == [30 * DAY, DAY, None, 30 * DAY]
    assert keeping.spans() == [DAY, 30 * DAY]


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (30 * DAY, "30 days"),
        (timedelta(hours=1, minutes=30), "1 hour 30 minutes"),
        (timedelta(seconds=0.5), "0.5 seconds"),
    ],
)
def test_in_words_of_a_length_is_for_people(span, words):
    assert in_words(span) == words
    assert Retention(span).in_words() == f"for {words}"


def test_in_words_of_a_mapping_tells_that_some_differ():
    retention = Retention.make({"*": None, "a": 60, "b": None})
    assert retention.in_words() == "for ever, but those of 1 function for another time"


def test_before_the_calendar_is_none():
    now = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert before(now, DAY) == datetime(2025, 12, 31, tzinfo=timezone.utc)
    assert before(now, timedelta.max) is None


def test_span_of_other_names_says_which():
    with pytest.raises(InvalidOptionTypeError, match=r"older_than None is of type NoneType; use"):
        span_of(None, what="older_than")
