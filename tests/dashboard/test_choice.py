"""What an address asks for."""

import pytest
from django.http import QueryDict

from background_task.dashboard import Choice
from background_task.dashboard.period import DAY, WEEK


@pytest.mark.parametrize("query", ["", "range=&queue=&function=&order=", "range=x&order=x"])
def test_read_nothing_or_nonsense_gives_the_defaults(query):
    choice = Choice.read(QueryDict(query))

    assert choice == Choice()
    assert choice.query() == "?"
    assert not choice.is_filtered


def test_query_is_read_back():
    choice = Choice(WEEK, "a&b=ü", "shop.tasks.send", "run_95")

    assert Choice.read(QueryDict(choice.query()[1:])) == choice


def test_query_with_changes_keeps_the_rest():
    choice = Choice(DAY, "mail", "f")

    assert choice.query(function="", order="name") == "?range=24h&queue=mail&order=name"


def test_name_that_no_queue_can_have_is_left_out():
    assert Choice.read({"queue": "x" * 191, "function": "x" * 190}) == Choice(function="x" * 190)


@pytest.mark.parametrize(
    ("chosen", "queue", "is_shown"),
    [
        *(("", None, True), ("", "mail", True), ("mail", "mail", True), ("mail", "slow", False)),
        *(("mail", None, False), ("(unnamed)", None, True), ("(unnamed)", "mail", False)),
    ],
)
def test_has_queue_tells_whether_it_is_shown(chosen, queue, is_shown):
    assert Choice(queue=chosen).has_queue(queue) == is_shown
