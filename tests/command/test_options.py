"""What ``process_tasks`` accepts, and what it says about what it does not."""

import logging

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from background_task import telemetry
from background_task.management.commands import process_tasks
from background_task.models import Task
from background_task.worker import Loop
from tests.app.tasks import record
from tests.process import worker_process
from tests.worker.conftest import registry  # noqa: F401 - a fixture
from tests.worker.running import Events

pytestmark = pytest.mark.django_db(transaction=True)

INVALID = {
    "sleep negative": ({"sleep": -1.0}, "--sleep -1.0 is not a pause; use 0 or more"),
    "sleep nan": ({"sleep": float("nan")}, "--sleep nan is not a pause"),
    "sleep infinite": ({"sleep": float("inf")}, "--sleep inf is not a pause"),
    "no threads": ({"threads": 0}, "--threads 0 would run nothing; use 1 or more"),
    "negative threads": ({"threads": -3}, "--threads -3 would run nothing"),
    "duration nan": ({"duration": float("nan")}, "--duration nan is not a time"),
    "queue too long": ({"queue": "q" * 191}, "queue .* has 191 characters; use 0 to 190"),
    "queue with nul": ({"queue": "a\x00"}, "holds a NUL"),
    "weight of nothing": ({"queue": ["a:0", "b"]}, "--queue a:0: '0' is no weight; use a whole"),
    "weight below 0": ({"queue": ["a", "b:-1"]}, "--queue b:-1: '-1' is no weight"),
    "weight of text": ({"queue": ["a:b", "c"]}, "whole number from 1 to 1000, .*: --queue a:b:1"),
    "weight left out": ({"queue": ["a:", "c"]}, "'' is no weight"),
    "weight in part": ({"queue": ["a:1.5", "c"]}, "'1.5' is no weight"),
    "weight too great": ({"queue": ["a:1001", "c"]}, "'1001' is no weight"),
    "queue twice": ({"queue": ["a:3", "a"]}, "--queue 'a' is named twice; name each queue once"),
    "queue without name": ({"queue": ["a", ""]}, "--queue '' is no name"),
    "one queue of several too long": ({"queue": ["a", "q" * 191]}, "has 191 characters"),
    "queue with surrogate": ({"queue": "a\udcff"}, "half of a surrogate pair"),
}


@pytest.mark.parametrize("case", INVALID)
def test_option_that_cannot_work_is_refused_with_value_rule_and_remedy(case):
    options, message = INVALID[case]
    with pytest.raises(CommandError, match=message):
        call_command("process_tasks", **options)


@pytest.mark.parametrize("arguments", [["--sleep", "nan"], ["--threads", "0"], ["--sleep=-1"]])
def test_refusal_on_the_command_line_is_the_usage_and_an_exit_code(arguments):
    with worker_process(*arguments) as worker:
        assert worker.wait() == 2
    assert "error: argument --" in worker.lines[-1]
    assert "Traceback" not in worker.output


def test_sleep_of_zero_does_not_burn_a_processor():
    events = Events()
    with telemetry.subscribed(events):
        call_command("process_tasks", sleep=0, duration=2)
    assert 2 < events.names.count("idle") <= 201


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"sleep": 5.0, "duration": 0, "threads": None, "queues": ()}),
        ({"queue": "a,b"}, {"queues": ("a", "b")}),
        ({"queue": ""}, {"queues": ()}),
        ({"queue": "a:3"}, {"queues": ("a:3",), "weights": None}),
        ({"queue": ["a:3"]}, {"queues": ("a:3",), "weights": None}),
        ({"queue": ["a", "b"]}, {"queues": ("a", "b"), "weights": None}),
        ({"queue": ["a:3", "b"]}, {"queues": ("a", "b"), "weights": {"a": 3, "b": 1}}),
        ({"queue": ["a:b:1", "c"]}, {"queues": ("a:b", "c"), "weights": {"a:b": 1, "c": 1}}),
        ({"threads": 3, "sleep": 0.0}, {"threads": 3, "sleep": 0.0}),
        ({"duration": -1}, {"duration": -1}),
    ],
)
def test_options_reach_the_worker(monkeypatch, given, expected):
    seen = {}

    def run(self):
        seen.update(vars(self.options))
        return self.summary

    monkeypatch.setattr(Loop, "run", run)
    call_command("process_tasks", **given)
    assert {name: seen[name] for name in expected} == expected


def test_settings_reach_the_worker(monkeypatch, settings):
    seen = []
    monkeypatch.setattr(Loop, "run", lambda self: seen.append(self.options) or self.summary)
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    settings.BACKGROUND_TASK_ASYNC_THREADS = 7
    settings.BACKGROUND_TASK_LEASE_SECONDS = 11
    settings.BACKGROUND_TASK_SHUTDOWN_SECONDS = 13
    call_command("process_tasks")
    call_command("process_tasks", threads=2)
    first, second = seen
    assert (first.threads, first.lease.total_seconds(), first.shutdown) == (7, 11, 13)
    assert second.threads == 2


@pytest.fixture
def warnings_of_a_start(monkeypatch, caplog, settings):
    """``warnings_of_a_start(queue=...)``: what a start warns of; nothing is run."""
    settings.TASKS = {}  # whose queues are known, too
    monkeypatch.setattr(Loop, "run", lambda self: self.summary)

    def start(**options):
        caplog.clear()
        with caplog.at_level(logging.INFO, "background_task"):
            call_command("process_tasks", **options)
        return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]

    return start


def test_queue_that_nobody_ever_used_is_said_at_the_start(warnings_of_a_start, registry):  # noqa: F811
    registry.background(name="mailer", queue="mail")(lambda: None)
    (warning,) = warnings_of_a_start(queue="maill")
    assert "Nobody has ever used the queue 'maill'" in warning
    assert "(functions name: 'mail')" in warning
    assert warnings_of_a_start(queue="mail") == []
    record("a", queue="maill")
    assert warnings_of_a_start(queue="maill") == []


def test_queue_that_was_used_once_is_known(warnings_of_a_start):
    Task.objects.new_task("gone", queue="old").create_completed_task()
    assert warnings_of_a_start(queue="old") == []


def test_project_without_tasks_is_told_so(monkeypatch, warnings_of_a_start):
    from background_task.tasks import Tasks

    monkeypatch.setattr(process_tasks.Command, "_tasks", Tasks())
    (warning,) = warnings_of_a_start()
    assert "No task function was found" in warning


def test_start_says_what_it_found(monkeypatch, caplog):
    monkeypatch.setattr(Loop, "run", lambda self: self.summary)
    with caplog.at_level(logging.INFO, "background_task"):
        call_command("process_tasks", threads=3)
    first, second = [r.getMessage() for r in caplog.records][:2]
    assert str(connection.settings_dict["NAME"]) in first
    assert connection.display_name in first
    assert second.startswith("all queues; 3 threads; ")
    assert "task functions in tests.app.tasks" in second


@pytest.mark.parametrize(
    ("line", "queue"),
    [("", None), ("--queue a:3", "a:3"), ("--queue a:3 --queue b --queue c", ["a:3", "b", "c"])],
)
def test_queue_on_the_command_line_is_a_text_and_several_are_a_list(line, queue):
    parser = process_tasks.Command().create_parser("manage.py", "process_tasks")
    assert parser.parse_args(line.split()).queue == queue
