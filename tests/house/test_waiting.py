import pytest

from tests.waiting import wait_until


def test_wait_until_returns_the_answer():
    answers = iter([0, None, "", "here"])
    assert wait_until(lambda: next(answers)) == "here"


def test_wait_until_past_deadline_says_what_was_awaited():
    with pytest.raises(AssertionError, match=r"not true within 0\.05 s: a row \(last: 0\)"):
        wait_until(lambda: 0, deadline=0.05, message="a row")


def test_wait_until_with_no_time_left_asks_once():
    asked = []
    with pytest.raises(AssertionError):
        wait_until(lambda: asked.append(1), deadline=0)
    assert asked == [1]
