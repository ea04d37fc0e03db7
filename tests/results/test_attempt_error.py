"""The errors of attempts, bounded. No database."""

import json
from datetime import datetime, timezone

import pytest

from background_task.attempt_error import (
    MOST_BYTES,
    MOST_ERRORS,
    AttemptError,
    appended,
    path_of,
    read_errors,
)

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


def error(attempt, traceback="Traceback\nValueError: x\n", path="builtins.ValueError"):
    return AttemptError(attempt, path, traceback, NOW, "w")


def history(*errors):
    text = None
    for each in errors:
        text = appended(text, each)
    return text


def test_append_keeps_what_was_given():
    errors = [error(1), error(2, "Grüße 🦆", "shop.Broken")]
    assert read_errors(history(*errors)) == errors


def test_append_many_keeps_the_first_one_and_the_last_nine():
    kept = read_errors(history(*[error(number) for number in range(1, 100)]))
    assert [each.attempt for each in kept] == [1, *range(91, 100)]
    assert len(kept) == MOST_ERRORS


@pytest.mark.parametrize("text", ["x" * 10**6, "🦆" * 10**6, "\0" * 10**6, "\ud800" * 10**6])
def test_append_bounds_the_bytes(text):
    stored = history(*[error(number, text, text) for number in range(20)])
    assert len(stored) < MOST_ERRORS * (MOST_BYTES + 4_000)
    assert stored.isascii()
    (first, *_) = read_errors(stored)
    assert "left out" in first.traceback
    json.loads(stored)


def test_append_keeps_head_and_tail_of_a_long_traceback():
    (kept,) = read_errors(history(error(1, f"begin {'x' * 50_000} end")))
    assert kept.traceback.startswith("begin")
    assert kept.traceback.endswith("end")


@pytest.mark.parametrize("broken", ["", "not JSON", "7", "null", "{}", '["x", 7]', "[" * 100_000])
def test_append_to_what_cannot_be_read_begins_anew(broken):
    assert read_errors(broken) == []
    assert read_errors(appended(broken, error(3))) == [error(3)]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"attempt": "x", "exception_class_path": "", "traceback": ""},
        {"attempt": 1, "exception_class_path": "", "traceback": "", "at": "soon"},
        {"attempt": 1, "exception_class_path": "", "traceback": "", "at": 7},
    ],
)
def test_read_leaves_out_what_cannot_be_read(broken):
    text = json.dumps([broken, error(2).to_json()])
    assert read_errors(text) == [error(2)]


def test_path_of_an_exception_leads_to_its_class():
    assert path_of(ValueError()) == "builtins.ValueError"
    assert path_of(json.JSONDecodeError("m", "d", 0)) == "json.decoder.JSONDecodeError"


def test_path_of_a_hostile_class_is_still_its_name():
    class Meta(type):
        @property
        def __module__(cls):
            raise RuntimeError("no")

    class Broken(Exception, metaclass=Meta):  # noqa: N818
        pass

    assert path_of(Broken()).endswith("Broken")
