"""What people call: pause, resume, and what is paused."""

import pytest

from background_task import InvalidOptionError, InvalidOptionTypeError, pause, paused, resume
from background_task.models import Pause
from tests.app.tasks import record

pytestmark = pytest.mark.django_db

NAME = "tests.app.tasks.record"
BOTH = pytest.mark.parametrize("change", [pause, resume])


def test_pause_and_resume_tell_whether_anything_has_changed():
    assert not resume(queue="mail")
    assert pause(queue="mail")
    assert not pause(queue="mail")
    assert [(each.kind, each.name) for each in paused()] == [("queue", "mail")]
    assert resume(queue="mail")
    assert not resume(queue="mail")
    assert paused() == []


def test_pause_twice_keeps_the_first_time():
    pause(queue="mail")
    first = paused()
    pause(queue="mail")
    assert paused() == first


@pytest.mark.parametrize("function", [record, record.using(priority=3), NAME], ids=repr)
def test_pause_a_function_by_itself_a_copy_or_its_name_is_the_same(function):
    assert pause(function=function)
    assert not pause(function=NAME)
    assert [str(each) for each in paused()] == [f"function '{NAME}'"]
    assert resume(function=function)


def test_pause_of_a_function_that_is_not_known_here_is_taken_by_its_name():
    assert pause(function="other.code.send")
    assert resume(function="other.code.send")


def test_pause_the_unnamed_queue_is_none():
    assert pause(queue=None)
    assert not pause(queue="")
    assert [(each.name, str(each)) for each in paused()] == [(None, "the unnamed queue")]
    assert resume(queue=None)


def test_pause_of_queue_and_function_of_one_name_are_two():
    assert pause(queue="send")
    assert pause(function="send")
    assert resume(queue="send")
    assert [each.kind for each in paused()] == ["function"]


def test_pause_tells_names_apart_that_differ_in_case():
    assert pause(function="send")
    assert pause(function="Send")
    assert Pause.objects.count() == 2


@BOTH
def test_change_of_nothing_or_of_two_things_is_refused(change):
    with pytest.raises(InvalidOptionTypeError, match=r"neither a queue nor .*; name one: queue="):
        change()
    with pytest.raises(InvalidOptionTypeError, match=r"a queue and a function was named; name one"):
        change(queue="mail", function=record)


@BOTH
@pytest.mark.parametrize(
    ("what", "error", "says"),
    [
        ({"queue": 7}, InvalidOptionTypeError, "queue 7 is of type int"),
        ({"queue": "q" * 191}, InvalidOptionError, "has 191 characters"),
        ({"queue": "a\0"}, InvalidOptionError, "NUL"),
        ({"function": None}, InvalidOptionTypeError, "use a function with @background"),
        ({"function": len}, InvalidOptionTypeError, "use a function with @background"),
        ({"function": ""}, InvalidOptionError, "has 0 characters; use 1 to 190"),
    ],
    ids=str,
)
def test_change_of_what_cannot_be_is_refused(change, what, error, says):
    with pytest.raises(error, match=says):
        change(**what)
    assert not Pause.objects.exists()
