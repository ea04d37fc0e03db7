"""The line at the bottom of the terminal, and what is printed above it."""

import io
import logging
import re
import signal
import sys
import threading
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from types import SimpleNamespace

import pytest

from background_task.management.screen import ERASE, Above, Screen, end_all, is_terminal
from background_task.management.status import (
    BOLD,
    RED,
    Part,
    Rate,
    Status,
    in_a_line,
    wants_colour,
)
from background_task.worker import Summary
from tests.app.tasks import fail, record
from tests.command.terminal import run_on_a_terminal
from tests.settings import INSTALLED_APPS
from tests.worker import tasks as waiting

INSTALLED = [*INSTALLED_APPS, "tests.worker"]
OWN_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"own": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["own"], "level": "INFO"},
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@contextmanager
def on_a_terminal():
    """A terminal that this process seems to have; within a block, as pytest has its own."""
    stream = Terminal()
    with redirect_stdout(stream), redirect_stderr(stream):
        screen = Screen(stream)
        screen.install()
        try:
            yield stream, screen
        finally:
            screen.end()


def test_print_scrolls_above_the_line():
    with on_a_terminal() as (terminal, screen):
        screen.show("waiting")
        print("hello", file=sys.stdout)  # noqa: T201 - what a task does
        assert terminal.getvalue() == f"waiting\r{ERASE}hello\nwaiting\r"


def test_print_without_an_end_is_not_glued_to_the_line():
    with on_a_terminal() as (terminal, screen):
        screen.show("waiting")
        sys.stdout.writelines(["50 %"])
        screen.show("running 1/1")
        assert terminal.getvalue() == f"waiting\r{ERASE}50 %"
        sys.stdout.write("\n")
        assert terminal.getvalue().endswith("50 %\nrunning 1/1\r")


def test_end_leaves_nothing():
    with on_a_terminal() as (terminal, screen):
        screen.show("waiting")
        assert isinstance(sys.stderr, Above)
        end_all()
        assert terminal.getvalue() == f"waiting\r{ERASE}"
        assert sys.stdout is sys.stderr is terminal


def test_show_the_same_again_writes_nothing():
    with on_a_terminal() as (terminal, screen):
        screen.show("waiting")
        screen.show("waiting")
        assert terminal.getvalue() == "waiting\r"


def test_show_on_a_closed_terminal_harms_nobody():
    with on_a_terminal() as (terminal, screen):
        terminal.close()
        screen.show("waiting")
        with pytest.raises(ValueError, match="closed"):
            screen.write(terminal, "x")


def test_log_of_the_project_scrolls_above_the_line_too():
    terminal = Terminal()
    handler, logger = logging.StreamHandler(terminal), logging.getLogger("tests.own")
    logger.addHandler(handler)
    screen = Screen(terminal)
    screen.install()
    try:
        screen.show("waiting")
        logger.warning("low on paper")
        assert terminal.getvalue() == f"waiting\r{ERASE}low on paper\nwaiting\r"
    finally:
        screen.end()
        logger.removeHandler(handler)
    assert handler.stream is terminal


def test_forked_child_prints_as_if_there_were_no_line():
    with on_a_terminal() as (terminal, screen):
        screen.show("waiting")
        screen._lock.acquire()  # as the thread of the line may have it at the fork
        screen.after_fork()
        thread = threading.Thread(target=sys.stdout.write, args=("child\n",))
        thread.start()
        thread.join(30)
        assert terminal.getvalue() == "waiting\rchild\n"


def test_width_follows_the_terminal_and_has_a_usual_value(monkeypatch):
    terminal = Terminal()
    screen = Screen(terminal)
    assert screen.width() == 79
    monkeypatch.setattr(terminal, "fileno", lambda: 1)
    for columns, width in ((132, 131), (0, 79)):
        size = SimpleNamespace(columns=columns)
        monkeypatch.setattr("os.get_terminal_size", lambda number, size=size: size)
        assert screen.width() == width


@pytest.mark.parametrize(
    ("streams", "environ", "expected"),
    [
        ((Terminal(), Terminal()), {"TERM": "xterm"}, True),
        ((Terminal(), io.StringIO()), {"TERM": "xterm"}, False),
        ((io.StringIO(), Terminal()), {"TERM": "xterm"}, False),
        ((Terminal(), Terminal()), {"TERM": "dumb"}, False),
    ],
    ids=["terminal", "stderr to a file", "stdout to a pipe", "dumb"],
)
def test_is_terminal_needs_both_streams_and_more_than_printing(streams, environ, expected):
    assert is_terminal(*streams, environ=environ) is expected


def test_wants_colour_unless_told_otherwise():
    assert wants_colour({}, environ={"NO_COLOR": ""})
    assert not wants_colour({}, environ={"NO_COLOR": "1"})
    assert not wants_colour({"no_color": True}, environ={})


def test_in_a_line_leaves_out_what_does_not_fit():
    parts = [Part("waiting", BOLD), Part("1 done"), Part("2 failed", RED)]
    assert in_a_line(parts, 27, has_colour=False) == "waiting | 1 done | 2 failed"
    assert in_a_line(parts, 26, has_colour=False) == "waiting | 1 done"
    assert in_a_line(parts, 3, has_colour=False) == ""
    coloured = in_a_line(parts, 27, has_colour=True)
    assert coloured == "\x1b[1mwaiting\x1b[0m | 1 done | \x1b[31m2 failed\x1b[0m"


def test_rate_is_that_of_the_last_seconds():
    rate = Rate()
    assert rate.of(100, now=0) == 0
    assert rate.of(110, now=5) == 2
    assert rate.of(110, now=15) == 0
    assert rate.of(150, now=25) == 4


def a_loop(*, begun=0, is_on=False, is_stopping=False, **counts):
    return SimpleNamespace(
        summary=Summary(**counts),
        watch=SimpleNamespace(begun=lambda: [object()] * begun),
        executor=SimpleNamespace(slots=4),
        control=SimpleNamespace(outage=SimpleNamespace(is_on=is_on), is_stopping=is_stopping),
    )


@pytest.mark.parametrize(
    ("loop", "state"),
    [
        (a_loop(), "waiting"),
        (a_loop(begun=3), "running 3/4"),
        (a_loop(begun=3, is_stopping=True), "stopping, 3 running"),
        (a_loop(begun=3, is_on=True), "database away"),
    ],
)
def test_parts_begin_with_what_the_worker_is_doing(loop, state):
    status = Status(Screen(io.StringIO()), loop, has_colour=False)
    assert status.parts(now=0)[0].text == state


def test_parts_count_what_has_ended():
    loop = a_loop(succeeded=3, retried=2, failed=1, cancelled=5)
    texts = [
        part.text for part in Status(Screen(io.StringIO()), loop, has_colour=True).parts(now=0)
    ]
    assert texts[1:6] == ["3 done", "2 rescheduled", "1 failed", "5 cancelled", "0.0/s"]
    assert re.fullmatch(r"\d+ MiB", texts[6])


# -- real workers ----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("sqlite")  # no database has a part in it
def test_terminal_gets_a_line_that_is_gone_at_the_end():
    record("a")
    fail()
    waiting.talk("good day")
    text = run_on_a_terminal(
        *("--sleep", "0.1"),
        until="waiting | 2 done | 1 rescheduled | 0 failed | ",
        env={"NO_COLOR": "1"},
        settings={"LOGGING": OWN_LOGGING, "INSTALLED_APPS": INSTALLED},
    )
    assert "\rgood day" in f"\r{text}".replace(ERASE, "\r").replace("\n", "\r")
    assert "\x1b[1m" not in text
    assert re.search(r"\r\x1b\[JStopped \(SIGTERM\)", text)
    assert text.endswith(ERASE)


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("sqlite")
def test_ctrl_c_leaves_the_terminal_tidy():
    text = run_on_a_terminal(until="0 done", number=signal.SIGINT, env={"NO_COLOR": ""})
    assert "\x1b[1mwaiting\x1b[0m | 0 done" in text
    assert re.search(r"INFO +Stopped \(SIGINT\) after ", text)
    assert text.endswith(ERASE)


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("sqlite")
def test_no_status_shows_no_line():
    text = run_on_a_terminal("--no-status", until="finished tasks are kept")
    assert "waiting |" not in text
    assert "Stopped (SIGTERM)" in text
