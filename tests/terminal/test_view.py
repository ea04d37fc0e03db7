"""The program for a terminal, driven by its keys."""

import asyncio
import threading
import time

import pytest
from django.db import OperationalError, connections

pytest.importorskip("textual", reason="textual is not installed here")

from background_task.models import CompletedTask, Pause, Task, Worker
from background_task.pausing import pause
from background_task.terminal import deed, view
from background_task.terminal.snapshot import look
from background_task.terminal.view import Help, Lines, Question, Top

# What is read and done is tested on each database elsewhere.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.only_on("sqlite")]


async def until(pilot, is_true, deadline=30.0):
    """Let the program go on until something is true."""
    end = time.monotonic() + deadline
    while not is_true():
        assert time.monotonic() < end, f"not true within {deadline:g} s"
        await pilot.pause(0.01)


def drive(play, **options):
    """Start the program, and let a coroutine play with it once it has looked."""

    async def run():
        app = Top(interval=3600, **options)
        async with app.run_test(size=(140, 50)) as pilot:
            await until(pilot, lambda: app.snapshot is not None and not app._is_looking)
            await pilot.pause()
            await play(app, pilot)

    asyncio.run(run())


def lines(app, name):
    return app.query_one(f"#{name}", Lines)


def shown(app, name):
    """The texts of a table."""
    table = lines(app, name)
    return [[cell.plain for cell in table.get_row_at(row)] for row in range(table.row_count)]


async def press_in(pilot, app, name, *keys):
    lines(app, name).focus()
    await pilot.press(*keys)


def test_tables_show_what_is_there(busy):
    async def play(app, pilot):
        assert [row[:5] for row in shown(app, "queues")] == [
            ["(unnamed)", "", "0", "0", "1"],
            ["mail", "", "3", "1", "0"],
            ["quiet", "paused", "1", "0", "0"],
        ]
        assert shown(app, "workers")[0][1] == "alive"
        assert shown(app, "running")[0][0] == "build [bold]"
        assert shown(app, "failed")[0][4] == "ValueError: [red]no?[2J paper"
        assert "mail" in app.export_screenshot()
        assert not app.query_one("#head").has_class("alarm")

    drive(play)


def test_tab_moves_between_tables_and_arrows_within(busy):
    async def play(app, pilot):
        assert app.focused is lines(app, "queues")
        await pilot.press("down")
        assert lines(app, "queues").chosen().name == "mail"
        await pilot.press("tab")
        assert app.focused is lines(app, "workers")
        await pilot.press("shift+tab")
        assert app.focused is lines(app, "queues")

    drive(play)


def test_p_pauses_the_queue_of_the_line_and_lets_it_go_on(busy):
    async def play(app, pilot):
        await press_in(pilot, app, "queues", "down", "p")
        await until(pilot, lambda: shown(app, "queues")[1][1] == "paused")
        assert app.said == "mail: paused"
        assert lines(app, "queues").chosen().name == "mail"
        await pilot.press("p")
        await until(pilot, lambda: shown(app, "queues")[1][1] == "")
        assert app.said == "mail: goes on"
        await press_in(pilot, app, "workers", "p")
        assert app.said == "Move to a queue or a task first"

    drive(play)
    assert list(Pause.objects.values_list("name", flat=True)) == ["quiet"]


def test_pause_of_what_somebody_else_has_paused_leaves_it_paused(busy):
    pause(queue="mail")
    assert deed.pause_queue("mail", is_paused=False) == "mail: paused already"
    assert deed.pause_queue("other", is_paused=True) == "other: goes on already"


def test_c_asks_and_then_asks_the_task_to_end(busy):
    async def play(app, pilot):
        await press_in(pilot, app, "running", "c")
        assert isinstance(app.screen, Question)
        await pilot.press("n")
        assert not isinstance(app.screen, Question)
        await press_in(pilot, app, "running", "c", "y")
        await until(pilot, lambda: shown(app, "running")[0][3] == "to be cancelled")
        assert app.said == "build [bold]: asked to end"
        await press_in(pilot, app, "queues", "c")
        assert app.said == "Move to a running task first"

    drive(play)
    assert Task.objects.get(pk=busy["running"].pk).cancel_requested_at is not None


def test_no_leaves_the_task_alone(busy):
    async def play(app, pilot):
        await press_in(pilot, app, "running", "c", "escape")

    drive(play)
    assert Task.objects.get(pk=busy["running"].pk).cancel_requested_at is None


def test_r_tries_a_failed_task_anew_once(busy):
    async def play(app, pilot):
        await press_in(pilot, app, "failed", "r")
        await until(pilot, lambda: shown(app, "failed")[0][3] == "tried anew")
        assert app.said.startswith("print: tried anew as ")
        await pilot.press("r")
        await until(pilot, lambda: app.said == "print: tried anew already")
        await press_in(pilot, app, "queues", "r")
        assert app.said == "Move to a failed task first"

    drive(play)
    assert Task.objects.filter(verbose_name="print").count() == 1


def test_f_shows_the_tasks_of_one_queue_and_then_all_again(busy):
    async def play(app, pilot):
        await press_in(pilot, app, "queues", "down", "f")
        assert (shown(app, "running"), len(shown(app, "failed"))) == ([], 1)
        assert lines(app, "failed").border_title == "Failed lately in mail"
        assert app.said == "Only tasks in mail"
        await pilot.press("f")
        assert len(shown(app, "running")) == 1
        await press_in(pilot, app, "workers", "f")
        assert app.said == "Move to a queue or a task first"

    drive(play)


def test_question_mark_shows_help_and_q_leaves(busy):
    async def play(app, pilot):
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        await pilot.press("x")
        assert not isinstance(app.screen, Help)
        await pilot.press("q")
        assert app._exit

    drive(play)


def test_database_that_is_away_is_said_and_asked_again(busy, monkeypatch):
    def fail(using=None):
        raise OperationalError("connection refused [1]\nand more")

    async def play(app, pilot):
        app._look = fail
        app.look_soon()
        head = app.query_one("#head")
        await until(pilot, lambda: head.has_class("alarm"))
        assert len(shown(app, "queues")) == 3
        monkeypatch.setattr(deed, "pause", lambda queue: fail())
        await press_in(pilot, app, "queues", "down", "p")
        await until(pilot, lambda: app.said.startswith("That did not work: connection refused"))
        await until(pilot, lambda: not app._is_looking)
        app._look = look
        app.look_soon()
        await until(pilot, lambda: not head.has_class("alarm"))

    drive(play)


def test_row_of_1x_has_no_id_to_act_on(busy):
    Task.objects.filter(pk=busy["running"].pk).update(uid=None)
    CompletedTask.objects.update(uid=None)

    async def play(app, pilot):
        await press_in(pilot, app, "running", "c", "y")
        await until(pilot, lambda: "has no id to cancel it by" in app.said)
        await press_in(pilot, app, "failed", "r")
        await until(pilot, lambda: "has no id to try it anew by" in app.said)

    drive(play)


def test_head_is_loud_where_no_worker_is_alive(busy):
    Worker.objects.all().delete()

    async def play(app, pilot):
        assert app.query_one("#head").has_class("alarm")

    drive(play)


def test_connections_are_closed_when_one_leaves(busy, monkeypatch):
    closed = []
    close_all = connections.close_all
    monkeypatch.setattr(
        type(connections), "close_all", lambda self: closed.append(1) or close_all()
    )

    async def play(app, pilot):
        assert not closed

    drive(play)
    assert closed


def test_answer_that_comes_when_one_has_left_harms_nobody(busy):
    """Two rivals: the thread that asks the database, and the key that ends the program."""
    has_left = threading.Event()

    async def play(app, pilot):
        def look_late(using=None):
            assert has_left.wait(30)
            return look()

        app._look = look_late
        app.look_soon()
        app._do(lambda: "done" if has_left.wait(30) else "too early")
        await pilot.pause()
        await app.query("#head, #said").remove()  # as it is done at the end
        has_left.set()
        await until(pilot, lambda: not app._is_looking)

    drive(play)


def test_interval_asks_again_and_again(busy):
    async def run():
        app = view.Top(interval=0.1)
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.snapshot is not None)
            first = app.snapshot
            await until(pilot, lambda: app.snapshot is not first)

    asyncio.run(run())
