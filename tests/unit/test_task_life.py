"""The attempts of a task as its row tells them. No row is stored here."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from background_task.admin.life import attempts_of, missing, span
from background_task.models import AttemptLog, CompletedTask, Task

NOW = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def at(seconds):
    return NOW + timedelta(seconds=seconds)


def error(attempt, begin, end, **values):
    found = {"attempt": attempt, "exception_class_path": "shop.Broken", "traceback": "tb"}
    times = {"started_at": at(begin).isoformat(), "at": at(end).isoformat()}
    return {**found, **times, "worker": "w1", **values}


def told(row, logs=()):
    return [
        (each.number, each.state, each.worker, each.waited, each.lasted)
        for each in attempts_of(row, logs, now=NOW)
    ]


def seconds(number):
    return timedelta(seconds=number)


def test_attempts_of_a_task_that_runs_for_the_third_time():
    errors = json.dumps([error(1, -90, -80), error(2, -60, -55)])
    row = Task(errors=errors, attempts=2, enqueued_at=at(-100), locked_by="w2", locked_at=at(-5))
    assert told(row) == [
        (1, "failed", "w1", seconds(10), seconds(10)),
        (2, "failed", "w1", seconds(20), seconds(5)),
        (3, "running", "w2", seconds(50), seconds(5)),
    ]


def test_attempts_of_a_task_that_succeeded_at_last():
    row = CompletedTask(
        errors=json.dumps([error(1, -90, -80)]),
        attempts=2,
        enqueued_at=at(-100),
        locked_by="w2",
        locked_at=at(-5),
        run_at=at(-2),
    )
    assert told(row)[1:] == [(2, "succeeded", "w2", seconds(75), seconds(3))]


def test_attempts_of_a_task_that_failed_for_good_are_its_errors():
    row = CompletedTask(
        errors=json.dumps([error(1, -9, -8)]), attempts=1, locked_by="w", failed_at=at(-8)
    )
    assert told(row) == [(1, "failed", "w1", None, seconds(1))]


def test_attempts_of_a_task_of_which_some_errors_were_dropped():
    row = Task(errors=json.dumps([error(1, -90, -80), error(7, -60, -55)]), attempts=7)
    attempts = attempts_of(row, (), now=NOW)
    assert [each.waited for each in attempts] == [None, None]
    assert missing(attempts) == 5


def test_logs_belong_to_their_attempts_and_make_unknown_ones_known():
    logs = [AttemptLog(attempt=1, worker="w1"), AttemptLog(attempt=4, worker="w4")]
    row = Task(errors=json.dumps([error(1, -90, -80)]))
    attempts = attempts_of(row, logs, now=NOW)
    assert [(each.number, each.state, each.worker, each.logs) for each in attempts] == [
        (1, "failed", "w1", (logs[0],)),
        (4, "", "w4", (logs[1],)),
    ]


@pytest.mark.parametrize(
    "errors",
    ["", "{", "7", "[7]", '[{"attempt": "x"}]', json.dumps([{"attempt": 1}])],
)
def test_errors_that_cannot_be_read_are_no_attempts(errors):
    assert told(Task(errors=errors)) == []


@pytest.mark.parametrize(
    "times",
    [
        {"started_at": "2026-01-01T00:00:00", "at": "2026-01-01T00:00:01+00:00"},
        {"started_at": "0001-01-01T00:00:00+14:00"},
        {"at": "9999-12-31T23:59:59-14:00"},
        {"started_at": None, "at": None},
    ],
)
def test_times_that_cannot_be_compared_make_no_duration(times):
    row = Task(errors=json.dumps([error(1, 0, 1, **times)]), enqueued_at=NOW)
    assert [lasted for *_, lasted in told(row)] == [None]


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (None, ""),
        (seconds(-3), "0 ms"),
        (seconds(0.0124), "12 ms"),
        (seconds(1.25), "1.2 s"),
        (seconds(59.96), "1 min"),
        (seconds(125), "2 min 5 s"),
        (seconds(7200), "2 h"),
        (seconds(100_000), "1 d 3 h"),
    ],
)
def test_span_is_short(duration, expected):
    assert span(duration) == expected
