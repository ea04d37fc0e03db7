"""What the decorator takes and refuses."""

from datetime import timedelta

import pytest

import background_task
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import Task
from background_task.policy import Policy
from background_task.tasks import tasks

WRONG = [
    ({"max_attempts": 0}, ValueError, ("max_attempts 0", "use 1")),
    ({"max_attempts": "3"}, TypeError, ("max_attempts '3'", "use a whole number")),
    ({"backoff": -5}, ValueError, ("backoff -5", "use 0 seconds")),
    ({"backoff": "soon"}, TypeError, ("backoff 'soon'", "use seconds")),
    ({"backoff": lambda attempt: 5}, TypeError, ("takes no attempt and exception", "use ")),
    ({"retry_on": "OSError"}, TypeError, ("retry_on 'OSError'", "use one such as")),
    ({"discard_on": [OSError()]}, TypeError, ("discard_on OSError()", "without parentheses")),
    ({"timeout": -1}, ValueError, ("timeout -1", "use 0 seconds")),
    ({"timeout": True}, TypeError, ("timeout True", "use seconds or a timedelta")),
    ({"expires": 0}, ValueError, ("expires 0", "use above 0 seconds")),
    ({"repeat_on_failure": 1}, TypeError, ("repeat_on_failure 1", "use True or False")),
    ({"priority": 2**31}, ValueError, ("priority 2147483648", "use -2147483648")),
    ({"priority": "high"}, TypeError, ("priority 'high'", "use a whole number")),
]


@pytest.fixture(params=["background", "tasks.background"])
def decorator(registry, request):
    return {"background": background_task.background, "tasks.background": tasks.background}[
        request.param
    ]


@pytest.mark.parametrize(("options", "error", "says"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_value_is_refused_at_decoration_with_value_rule_and_remedy(
    decorator, options, error, says
):
    before = dict(tasks._tasks)
    with pytest.raises(error) as caught:
        decorator(**options)
    assert isinstance(caught.value, InvalidOptionError | InvalidOptionTypeError)
    for text in says:
        assert text in str(caught.value)
    assert tasks._tasks == before


@pytest.mark.parametrize("name", ["max_attemps", "problems", "concurrency"])
def test_option_that_there_is_not_is_refused(decorator, name):
    with pytest.raises(TypeError, match=f"{name} is no option .*; use max_attempts, backoff"):
        decorator(**{name: True})


def test_options_are_keywords_only(decorator):
    with pytest.raises(TypeError):
        decorator("name", 0, "queue", False, 3)


def test_options_make_the_policy_of_the_proxy(decorator):
    @decorator(max_attempts=3, timeout=timedelta(minutes=1), discard_on=KeyError)
    def job():
        """Do it."""

    assert job.policy == Policy.make(max_attempts=3, timeout=60, discard_on=(KeyError,))
    assert job.__doc__ == "Do it."
    assert job.now is job.task_function


@pytest.mark.parametrize("bare", [True, False])
def test_without_options_everything_is_open(decorator, bare):
    def job():
        pass

    proxy = decorator(job) if bare else decorator()(job)
    assert proxy.policy == Policy()


def test_none_leaves_an_option_open(decorator):
    names = ("max_attempts", "backoff", "retry_on", "timeout", "expires", "priority")
    proxy = decorator(**dict.fromkeys(names))(lambda: None)
    assert proxy.policy == Policy()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("declared", "called", "stored"),
    [
        ({"priority": 7}, {}, 7),
        ({"priority": 7}, {"priority": -2}, -2),
        ({"priority": 7}, {"schedule": 60}, 7),
        ({"priority": 7}, {"schedule": {"priority": 3}}, 3),
        ({"priority": 7, "schedule": {"priority": 3}}, {}, 3),
        ({"priority": 0}, {}, 0),
        ({"priority": 0}, {"priority": 5}, 5),
    ],
)
def test_priority_of_the_decorator_is_the_default(decorator, declared, called, stored):
    assert decorator(name="job", **declared)(lambda: None)(**called).priority == stored


@pytest.mark.django_db
def test_options_of_the_decorator_are_not_stored(decorator):
    decorator(name="job", max_attempts=3, timeout=9, expires=60)(lambda: None)()
    assert Task.objects.get().options is None


def test_public_names_are_importable_from_the_package():
    for name in background_task.__all__:
        assert getattr(background_task, name) is not None
    assert set(background_task.__all__) >= {
        "background", "current_task", "RetryLater", "Snooze", "Discard", "InvalidTaskError",
        "TaskTimeout", "exponential", "fixed",
    }  # fmt: skip
