"""The command line of a worker, without a worker."""

import math
import re

import pytest
from django.core.management.base import CommandError

from background_task.identity import MAX_OWNER_CHARS, is_name_with, new_worker_name
from background_task.management.argument import check, exit_status
from background_task.management.commands.process_tasks import Command
from background_task.management.queue_choice import Choice, check_choice
from background_task.worker import Options


def parsed(*arguments):
    parser = Command().create_parser("manage.py", "process_tasks")
    return vars(parser.parse_args(arguments))


REFUSED = {
    ("--interval", "-1"): "--sleep/--interval: -1 is not a pause; use 0 or more seconds",
    ("--interval", "inf"): "inf is not a pause",
    ("--sleep", "soon"): "soon is not a pause",
    ("--duration", "nan"): "nan is not a time; use seconds, 0 for ever",
    ("--max-tasks", "0"): "0 would run nothing; use 1 or more",
    ("--threads", "2.5"): "'2.5' is no whole number; use 1 or more",
    ("--max-tasks", "many"): "'many' is no whole number; use 1 or more",
    ("--max-memory", "inf"): "inf is no limit; use MiB above 0",
    ("--max-age", "0"): "0 is no limit; use seconds above 0",
    ("--worker-id", ""): "'' is no id of a worker; use 1 to 64 ASCII letters",
    ("--worker-id", "w" * 65): "is no id of a worker",
    ("--worker-id", "a b"): "'a b' is no id of a worker",
    ("--worker-id", "ü"): "'ü' is no id of a worker",
    ("--worker-id", "a\n"): "is no id of a worker",
    ("--shutdown-timeout", "-1"): "-1 is not a time; use seconds above 0, or 0 to wait",
    ("--shutdown-timeout", "nan"): "nan is not a time",
    ("--empty-exit-code", "256"): "256 is no exit code; use a whole number from 0 to 255",
    ("--failed-exit-code", "-1"): "-1 is no exit code",
    ("--failed-exit-code", "1.5"): "1.5 is no exit code",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_parse_value_that_cannot_be_names_value_rule_and_remedy(arguments):
    with pytest.raises(CommandError, match=re.escape(REFUSED[arguments])):
        parsed(*arguments)


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_check_refuses_from_code_what_the_command_line_refuses(arguments):
    flag, text = arguments
    actions = Command().create_parser("manage.py", "process_tasks")._option_string_actions
    with pytest.raises(CommandError, match=re.escape(REFUSED[arguments].split(": ")[-1])):
        check({actions[flag].dest: text})


ACCEPTED = {
    ("--interval", "0.5"): {"sleep": 0.5},
    ("--batch",): {"is_batch": True},
    (): {"is_batch": False, "label": None, "excluded": (), "shutdown": 25.0},
    ("--worker-id", "web-1"): {"label": "web-1"},
    ("--worker-id", "w" * 64): {"label": "w" * 50},
    ("--shutdown-timeout", "90.5"): {"shutdown": 90.5},
    ("--shutdown-timeout", "0"): {"shutdown": math.inf},
    ("--no-graceful-shutdown",): {"shutdown": 0.0},
    ("--no-startup-delay",): {},
    ("--queue", "*"): {"queues": ()},
    ("--queue", "a, b", "--queue", "c"): {"queues": ("a", "b", "c"), "weights": None},
    ("--queue", "a:2,b"): {"queues": ("a", "b"), "weights": {"a": 2, "b": 1}},
    ("--exclude-queue", "a,b", "--exclude-queue", "a"): {"excluded": ("a", "b")},
    ("--exclude-queue", "a", "--queue", "*"): {"queues": (), "excluded": ("a",)},
    ("--exclude-queue", ""): {"excluded": ("",)},
    ("--exclude-queue", "", "--exclude-queue", "a"): {"excluded": ("", "a")},
}


@pytest.mark.parametrize("arguments", ACCEPTED, ids=" ".join)
def test_check_passes_options_on_to_the_worker(arguments):
    options = check(parsed(*arguments))
    expected = ACCEPTED[arguments]
    assert {name: getattr(options, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--queue", "a", "--exclude-queue", "b"), "'b' beside --queue 'a': .*one of the two"),
        (("--queue", "*", "--queue", "a"), r"'\*' is all queues; name no other one beside it"),
        (("--queue", "a,"), "'a,': a name is missing beside a comma"),
        (("--exclude-queue", ",a"), "--exclude-queue ',a': a name is missing"),
        (("--exclude-queue", "q" * 191), "--exclude-queue: .* has 191 characters"),
        (("--queue", "a,a"), "'a' is named twice"),
        (("--shutdown-timeout", "9", "--no-graceful-shutdown"), "leave one of them out"),
    ],
)
def test_check_refuses_what_contradicts_itself(arguments, message):
    with pytest.raises(CommandError, match=message):
        check(parsed(*arguments))


def test_choose_queue_with_a_comma_that_a_function_names_is_one_queue():
    known = {"a,b", None}
    assert check_choice("a,b", None, known=known) == Choice(("a,b",))
    assert check_choice("a,b,c", None, known=known) == Choice(("a", "b", "c"))
    assert check_choice(None, ["a,b"], known=known) == Choice(excluded=("a,b",))
    weighted = check_choice(["a,b:3", "c"], None, known=known)
    assert weighted == Choice(("a,b", "c"), {"a,b": 3, "c": 1})


@pytest.mark.parametrize(
    ("arguments", "dev"),
    [(["--dev"], True), (["--reload"], True), (["--no-reload"], False), ([], False)],
)
def test_parse_reload_is_another_name_of_dev(arguments, dev):
    assert parsed(*arguments)["dev"] is dev


@pytest.mark.parametrize(
    ("processed", "failures", "expected"), [(0, 0, 3), (2, 0, 0), (2, 1, 4), (0, 1, 4)]
)
def test_return_code_of_failures_wins(processed, failures, expected):
    options = parsed("--empty-exit-code", "3", "--failed-exit-code", "4")
    assert exit_status(options, processed=processed, failures=failures) == expected
    assert exit_status(parsed(), processed=processed, failures=failures) == 0


def test_tell_queues_for_the_table_of_workers():
    assert Options().queues_text() == ""
    assert Options(queues=["a", "b"]).queues_text() == "a, b"
    assert Options(excluded=["", "b"]).queues_text() == "all but (unnamed), b"


def test_name_worker_with_a_label_is_new_each_time_and_recognized():
    label = "w.1" + "x" * 47
    names = {new_worker_name(label), new_worker_name(label), new_worker_name(f"{label}:12")}
    assert len(names) == 3
    for name in names:
        assert len(name) <= MAX_OWNER_CHARS
        assert is_name_with(label, name)
        assert not is_name_with("w", name)
        assert not is_name_with(label.replace(".", "-"), name)
    assert not is_name_with("host", "host:12:0123456789abcdef")
