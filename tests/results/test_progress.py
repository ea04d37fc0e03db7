"""How far a task has come: written now and then, fenced, and never the end of a task."""

import asyncio
import math
from datetime import datetime, timezone

import pytest
from django.db import Error, transaction

from background_task import InvalidOptionError, InvalidOptionTypeError, aprogress, progress
from background_task.current import PROGRESS_SECONDS, Reporter, current_task
from background_task.models import CompletedTask, Task
from background_task.progress_report import (
    MOST_MESSAGE_CHARS,
    ProgressReport,
    make_report,
    read_report,
)
from tests.results.conftest import OUTSIDE
from tests.store.losses import LOSSES
from tests.store.rows import add, everything, statements

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)


# -- the value -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "fraction", "text"),
    [
        (ProgressReport(3, 10), 0.3, "3 of 10 (30%)"),
        (ProgressReport(3, 10, "mails"), 0.3, "3 of 10 (30%): mails"),
        (ProgressReport(3), None, "3"),
        (ProgressReport(0, 0), 1.0, "0 of 0 (100%)"),
        (ProgressReport(11, 10), 1.0, "11 of 10 (100%)"),
        (ProgressReport(-1, 10), 0.0, "-1 of 10 (0%)"),
        (ProgressReport(0.5, 1), 0.5, "0.5 of 1 (50%)"),
    ],
)
def test_show_report_gives_part_and_message(report, fraction, text):
    assert report.fraction == fraction
    assert str(report) == text


@pytest.mark.parametrize("message", ["", "Grüße 🦆", "\0 \ud800", "x" * 10_000])
def test_report_comes_back_from_text_that_every_database_stores(message):
    report = make_report(3, 10.5, message, now=NOW)
    assert report.to_text().isascii()
    assert read_report(report.to_text()) == report
    assert len(report.message) <= MOST_MESSAGE_CHARS + 10


@pytest.mark.parametrize("value", [None, "3", True, object(), 1j, [3]])
def test_report_of_what_is_no_number_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match="use a number"):
        make_report(value, None, "", now=NOW)


@pytest.mark.parametrize("value", [math.nan, math.inf, 10**400])
def test_report_of_what_is_no_amount_is_refused(value):
    with pytest.raises(InvalidOptionError, match="use a finite number"):
        make_report(3, value, "", now=NOW)


@pytest.mark.parametrize("text", [None, "", "not JSON", "7", "{}", '{"done": "x"}', "[" * 100_000])
def test_read_what_is_no_report_gives_none(text):
    assert read_report(text) is None


# -- when it is written --------------------------------------------------------------------------


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Recorder:
    """Stands in for the store."""

    def __init__(self):
        self.written = []
        self.error, self.holds, self.level = None, True, 0

    def report(self, claim, text):
        if self.error:
            raise self.error
        self.written.append(read_report(text).done)
        return self.holds

    def depth(self):
        return self.level


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def say(recorder, clock):
    """Report as a task does."""
    reporter = Reporter(None, recorder, clock=clock)

    def say(done, total=None):
        if reporter.note(done, total, ""):
            reporter.write()

    say.reporter = reporter
    return say


def test_report_again_and_again_is_written_twice_a_second(say, recorder, clock):
    for step in range(101):
        say(step)
        clock.now += PROGRESS_SECONDS / 8
    assert recorder.written == list(range(0, 101, 8))


def test_report_that_was_held_back_is_written_at_the_end(say, recorder):
    say(1)
    say(2)
    say(3)
    assert recorder.written == [1]
    assert say.reporter.is_pending
    say.reporter.write()
    say.reporter.write()
    assert recorder.written == [1, 3]


def test_report_that_all_is_done_is_written_at_once_but_once(say, recorder):
    say(1, 3)
    say(3, 3)
    say(3, 3)
    assert recorder.written == [1, 3]


def test_report_in_a_transaction_waits_until_it_is_over(say, recorder, clock):
    recorder.level = 1
    say(1)
    clock.now += 10
    say(2)
    assert recorder.written == []
    recorder.level = 0
    say(3)
    assert recorder.written == [3]


def test_report_of_a_lost_claim_is_the_last_one(say, recorder, clock):
    recorder.holds = False
    for step in range(5):
        say(step)
        clock.now += 10
    say.reporter.write()
    assert recorder.written == [0]


def test_report_that_the_database_refuses_is_told_once_and_tried_again(
    say, recorder, clock, events
):
    recorder.error = Error("gone")
    for step in range(5):
        say(step)
        clock.now += 10
    assert [name for name, _ in events] == ["unreported"]
    recorder.error = None
    say(6)
    assert recorder.written == [6]


def test_report_where_an_event_loop_runs_waits_for_the_end(say, recorder):
    async def work():
        say(1)

    asyncio.run(work())
    assert recorder.written == []
    say.reporter.write()
    assert recorder.written == [1]


def test_interruption_is_not_swallowed(say, recorder):
    recorder.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        say(1)


# -- in a task -----------------------------------------------------------------------------------

EITHER = pytest.mark.parametrize("mode", [pytest.param("outside", marks=OUTSIDE), "in a test case"])


@EITHER
@pytest.mark.django_db
def test_progress_is_on_the_row_while_the_task_runs_and_then_in_the_archive(run, mode):
    seen = []

    def work():
        progress(1, 4, "first")
        seen.append(Task.objects.get().progress)
        current_task().progress(3, 4)
        seen.append(Task.objects.get().progress)

    run(work)
    assert [(report.done, report.total, report.message) for report in seen] == [
        (1, 4, "first"),
        (1, 4, "first"),
    ]
    assert CompletedTask.objects.get().progress.done == 3


@EITHER
@pytest.mark.django_db
def test_progress_of_a_coroutine_function_is_on_the_row(run, mode):
    async def work():
        await aprogress(1, 4)
        await aprogress(2, 4)
        progress(3, 4)

    run(work)
    assert CompletedTask.objects.get().progress.done == 3


@EITHER
@pytest.mark.django_db
def test_progress_in_a_transaction_locks_no_row_and_outlives_its_end(run, mode):
    seen = []

    def work():
        progress(1, 4)
        with transaction.atomic():
            with statements() as kept:
                progress(4, 4)
            seen.append(kept.all)
            raise ValueError("rolled back")

    run(work)
    assert seen == [[]]
    assert Task.objects.get().progress.done == 4
    assert "ValueError: rolled back" in Task.objects.get().last_error


@pytest.mark.django_db
def test_progress_of_a_task_whose_table_is_out_of_reach_does_not_end_it(run, events, monkeypatch):
    def work():
        progress(1, 4)
        return Task.objects.count()

    def refuse(*args):
        raise Error("gone")

    monkeypatch.setattr("background_task.store.base.Store.report", refuse)
    assert run(work).result == 1
    assert [name for name, _ in events if name == "unreported"] == ["unreported"]


@pytest.mark.django_db
def test_progress_outside_of_a_task_does_nothing():
    with statements() as kept:
        progress(1, 4)
        asyncio.run(aprogress(1, 4))
    assert kept.all == []


@pytest.mark.django_db
def test_task_that_says_nothing_pays_nothing(run):
    def work():
        return None

    with statements() as silent:
        run(work)
    assert not any("progress_json" in sql and sql.startswith("UPDATE") for sql in silent.all)


@pytest.mark.django_db
@pytest.mark.parametrize("lose", LOSSES)
def test_progress_of_a_stale_claim_changes_nothing(store, lose):
    claim = store.claim_one(add(store).pk, "w")
    lose(store, claim)
    before = everything()
    assert store.report(claim, ProgressReport(1, 2).to_text()) is False
    assert everything() == before


@pytest.mark.django_db
def test_progress_takes_one_statement(store):
    claim = store.claim_one(add(store).pk, "w")
    with statements() as kept:
        assert store.report(claim, ProgressReport(1, 2).to_text()) is True
    assert len(kept.all) == 1
    assert Task.objects.get().progress == ProgressReport(1, 2)


@pytest.mark.django_db
def test_wrong_progress_is_an_error_of_the_task(run):
    def work():
        progress("three")

    run(work)
    assert "InvalidOptionTypeError" in Task.objects.get().last_error
