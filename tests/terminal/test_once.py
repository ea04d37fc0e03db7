"""What is read for a terminal, and how it is printed."""

import io
import re
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext

from background_task.management.commands import background_task_top
from background_task.models import CompletedTask, Task, Worker
from background_task.progress_report import ProgressReport
from background_task.store import get_store
from background_task.terminal.snapshot import look
from background_task.terminal.table import clean, how_far, span
from background_task.terminal.text import as_text
from tests.store.rows import add
from tests.terminal.conftest import NAME

pytestmark = pytest.mark.django_db

#: How many statements a look takes with these queues, on the database that takes most.
MOST_QUERIES = 25


def printed():
    out = io.StringIO()
    call_command("background_task_top", "--once", stdout=out)
    return out.getvalue()


def test_once_prints_four_tables(busy):
    Worker.objects.create(
        name="gone",
        host="other",
        pid=7,
        **{name: get_store().now() for name in ("started_at", "heartbeat_at", "expires_at")},
    )
    lines = [re.sub(r" +", " ", line).strip() for line in printed().splitlines()]
    assert re.search(r"\| 1 worker alive \| 4 due$", lines[0])
    text = "\n".join(lines[2:])
    assert re.search(
        r"^Queues\nqueue state due later running oldest due\n\(unnamed\) 0 0 1\n"
        r"mail 3 1 0 \d+ s\nquiet paused 1 0 0 \d+ s\n\nWorkers\n",
        text,
    )
    assert re.search(r"\ngone silent for \d+ s other 7 0/1 \d+ s all\n", text)
    assert re.search(rf"\n{NAME} alive \S+ \d+ 1/4 64 MiB \d+ s mail\n", text)
    assert re.search(rf"\nbuild \[bold\] \(unnamed\) 1 min 3\d s 25% page 1 {NAME}\n", text)
    assert re.search(r"\nprint mail 2 h 0 min ago ValueError: \[red\]no\?\[2J paper$", text)


def test_once_where_nothing_is_says_so():
    assert printed().count("\n  none\n") == 4
    assert "no worker is alive | 0 due" in printed()


def test_paused_queue_without_tasks_and_paused_functions_are_shown(busy):
    Task.objects.filter(queue="quiet").delete()
    call_command("background_task_pause", function=["tests.app.tasks.fail"], stdout=io.StringIO())
    assert re.search(r"quiet +paused +0 +0 +0", printed())
    assert "paused functions: tests.app.tasks.fail" in printed()


def test_task_that_was_asked_to_end_or_tried_anew_is_marked(busy):
    Task.objects.filter(pk=busy["running"].pk).update(cancel_requested_at=get_store().now())
    CompletedTask.objects.update(options='{"retried":"0"}')
    assert re.search(r"build .* to be cancelled", printed())
    assert re.search(r"print .* tried anew", printed())


def test_look_costs_the_same_whatever_is_there(busy):
    look()
    with CaptureQueriesContext(
        connection,
    ) as few:
        look()
    store = get_store()
    now = store.now()
    for _ in range(30):
        add(store, queue="mail", now=now)
        add(store, queue="mail", now=now, locked_by=NAME, locked_at=now)
    with CaptureQueriesContext(connection) as many:
        look()
    assert len(many) == len(few) <= MOST_QUERIES


def test_output_that_is_no_terminal_is_printed_once(busy):
    out = io.StringIO()
    call_command("background_task_top", stdout=out)
    assert "Running tasks" in out.getvalue()


def test_database_that_is_away_ends_the_command(monkeypatch):
    def fail():
        raise DatabaseError("no such table: background_task")

    monkeypatch.setattr(background_task_top, "look", fail)
    with pytest.raises(CommandError, match=r"no such table: background_task\); the tables are"):
        call_command("background_task_top", "--once")


@pytest.mark.parametrize("given", ["0", "0.01", "often"])
def test_interval_that_is_none_is_refused(given):
    with pytest.raises(CommandError, match=f"--interval:? {given} is no pause; use 0.1 or more"):
        call_command("background_task_top", f"--interval={given}")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setitem(sys.modules, "textual.app", None)
    monkeypatch.delitem(sys.modules, "background_task.terminal.view", raising=False)
    with pytest.raises(CommandError, match=r'pip install "django-background-tasks\[top\]"'):
        call_command("background_task_top", stdout=Terminal())


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (None, ""),
        (0.4, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3_725, "1 h 2 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_span_is_as_exact_as_people_want_it(seconds, expected):
    assert span(seconds) == expected


def test_clean_leaves_nothing_that_acts_on_a_terminal():
    assert clean("a\x1b[31m\nb\x07") == "a?[31m?b?"
    assert len(clean("x" * 1000)) == 120


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (None, ""),
        (ProgressReport(3), "3"),
        (ProgressReport(1, 4, "first\npage"), "25% first?page"),
    ],
)
def test_how_far_is_a_part_or_a_number(report, expected):
    assert how_far(report) == expected


def test_as_text_has_no_space_at_the_end_of_lines(busy):
    assert not re.search(r"(?m) $", as_text(look()))
