"""Limits as people write them, and which calls share one."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from background_task import InvalidOptionError, InvalidOptionTypeError, RateLimit
from background_task.call import Parameters
from background_task.limiter import LimitKey, hashed, of_function
from background_task.policy import Policy
from background_task.policy_option import overrides
from background_task.tasks import Tasks


def export(account, kind="all", *, user=None):
    """Stands for a task function."""


OF = Parameters("export", export)


@pytest.mark.parametrize(
    ("value", "starts", "seconds"),
    [
        ("100/m", 100, 60),
        ("10/s", 10, 1),
        ("5/h", 5, 3600),
        ("1000/d", 1000, 86400),
        ("5/30s", 5, 30),
        (" 5 / 2 minutes ", 5, 120),
        ("1/day", 1, 86400),
        ("7/2hours", 7, 7200),
        ((3, 0.5), 3, 0.5),
        ([3, 0.5], 3, 0.5),
        ((3, timedelta(minutes=5)), 3, 300),
        (RateLimit(3, timedelta(seconds=9)), 3, 9),
    ],
)
def test_rate_is_read(value, starts, seconds):
    assert RateLimit.make(value) == RateLimit(starts, timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "value",
    [
        *("", "100", "100/", "/m", "0/m", "-1/m", "1.5/m", "100/x", "100/0s", "\u0661/m"),
        *("9" * 5000 + "/m", "1/367d", "1/999999999d"),
        *((0, 60), (1, 0), (1, -5), (1, float("nan")), (100_001, 60)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_rate_that_cannot_work_is_refused(value):
    with pytest.raises(InvalidOptionError, match="rate_limit"):
        RateLimit.make(value)


@pytest.mark.parametrize("value", [5, True, {}, (1,), (1, 2, 3), ("1", 60), (True, 60), (1, "m")])
def test_rate_of_a_wrong_type_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match="rate_limit"):
        RateLimit.make(value)


@pytest.mark.parametrize("value", [0, -1, 2**31])
def test_number_that_cannot_work_is_refused(value):
    with pytest.raises(InvalidOptionError, match=r"max_concurrency .* out of range"):
        Policy.make(max_concurrency=value)


@pytest.mark.parametrize("value", ["2", 2.0, True])
def test_number_of_a_wrong_type_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match="max_concurrency"):
        Policy.make(max_concurrency=value)


def test_limits_survive_a_row():
    stored = overrides({"max_concurrency": 3, "rate_limit": "5/30s"})
    policy = Policy().merged(stored)
    assert policy == Policy.make(max_concurrency=3, rate_limit=(5, 30))
    assert policy.is_limited
    assert not policy.problems


def test_limit_that_cannot_be_read_is_left_out_and_said():
    policy = Policy.make(max_concurrency=2).merged('{"running":"x","rate":[1]}')
    assert (policy.max_concurrency, policy.rate_limit) == (2, None)
    assert len(policy.problems) == 2


def key(by, *args, **kwargs):
    return LimitKey.make(by, of=OF, is_limited=True).text(OF, args, kwargs)


def test_without_a_key_all_runs_of_the_function_count_together():
    assert key(None, 7) == key(None, 8) == of_function("export")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("account:{0}", "key account:7"),
        ("account:{account}", "key account:7"),
        ("{}-{}", "key 7-all"),
        ("{0}/{kind}", "key 7/all"),
        ("everything", "key everything"),
        ("{{{0}}}", "key {7}"),
    ],
)
def test_template_takes_arguments_by_place_and_by_name(template, text):
    assert key(template, 7) == key(template, account=7) == text


def test_template_may_look_into_an_argument():
    assert key("{0.pk}", SimpleNamespace(pk=5)) == "key 5"
    assert key("{account[id]}", {"id": 6}) == "key 6"


def test_key_may_be_a_function():
    assert key(lambda account, kind="all": f"{kind} of {account}", 7) == "key all of 7"


def test_function_and_key_of_the_same_text_are_told_apart():
    assert hashed(key("function export", 7)) != hashed(of_function("export"))


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ("{1", InvalidOptionError, "is no template"),
        ("{other}", InvalidOptionError, "names 'other', which export does not take"),
        ("{3}", InvalidOptionError, "names '3'"),
        (5, InvalidOptionTypeError, "is of type int"),
    ],
)
def test_wrong_key_is_refused_at_once(given, error, says):
    with pytest.raises(error, match=says):
        LimitKey.make(given, of=OF, is_limited=True)


def test_key_without_a_limit_is_refused():
    with pytest.raises(InvalidOptionError, match="no effect alone"):
        Tasks().background(concurrency_key="a")(export)


def test_key_that_does_not_fit_a_call_is_refused_at_the_call():
    with pytest.raises(InvalidOptionError, match="does not fit the arguments"):
        key("{0.pk}", 7)
    with pytest.raises(InvalidOptionTypeError, match="returned a value of type int"):
        key(lambda account: account, 7)


def test_using_keeps_the_key_and_changes_the_number():
    task = Tasks().background(max_concurrency=2, concurrency_key="a:{0}")(export)
    other = task.using(max_concurrency=5)
    assert other.limit_text((7,), {}) == task.limit_text((7,), {}) == "key a:7"
    assert task.using(concurrency_key="b").limit_text((7,), {}) == "key b"


def test_using_of_a_function_without_limit_may_give_one():
    task = Tasks().background(export)
    assert task.limit_text((7,), {}) is None
    assert task.using(rate_limit="5/m").limit_text((7,), {}) == of_function(task.name)
    with pytest.raises(InvalidOptionError, match="no effect alone"):
        task.using(concurrency_key="b")
