"""Policies: what they take and refuse, and how they are stored with a call."""

import json
import pickle
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from background_task.backoff import LONGEST, exponential, fixed, make_backoff
from background_task.exceptions import BackgroundTaskError, StopNow, TaskTimeout
from background_task.policy import Policy
from background_task.policy_option import POLICY_OPTIONS, overrides

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
BERLIN = timezone(timedelta(hours=1))


class RemoteError(ConnectionError):
    """One of a project's own."""


def test_nothing_given_leaves_everything_open():
    assert Policy.make() == Policy.make(**dict.fromkeys(POLICY_OPTIONS)) == Policy()


def test_every_option_is_a_field_of_the_policy():
    assert {*POLICY_OPTIONS, "problems"} == {field.name for field in fields(Policy)}


@pytest.mark.parametrize(
    ("name", "value", "meant"),
    [
        ("max_attempts", 1, 1),
        ("max_attempts", 2**31 - 1, 2**31 - 1),
        ("backoff", 30, fixed(30)),
        ("backoff", [1, 2], make_backoff([1, 2])),
        ("retry_on", OSError, (OSError,)),
        ("retry_on", [OSError, KeyError], (OSError, KeyError)),
        ("retry_on", {OSError}, (OSError,)),
        ("retry_on", (), ()),
        ("retry_on", TaskTimeout, (TaskTimeout,)),
        ("discard_on", frozenset([RemoteError]), (RemoteError,)),
        ("timeout", 30, timedelta(seconds=30)),
        ("timeout", 0, timedelta(0)),
        ("timeout", 0.5, timedelta(seconds=0.5)),
        ("timeout", MINUTE, MINUTE),
        ("expires", 60, MINUTE),
        ("expires", MINUTE, MINUTE),
        ("expires", NOW, NOW),
        ("expires", NOW.astimezone(BERLIN), NOW),
        ("keep_result", False, False),
        ("repeat_on_failure", True, True),
    ],
)
def test_option_is_taken_at_decoration_and_with_a_call(name, value, meant):
    assert getattr(Policy.make(**{name: value}), name) == meant
    assert Policy().merged(overrides({name: value})).problems == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_attempts", value) for value in (True, 1.5, 3.0, "3", float("nan"), [3], object())],
        ("backoff", object()),
        ("backoff", True),
        *[
            (name, value)
            for name in ("retry_on", "discard_on")
            for value in (
                ValueError("an instance"),
                [OSError, ValueError()],
                [OSError, int],
                [[OSError]],
                [None],
                "builtins.OSError",
                OSError | ValueError,
                int,
                type,
                7,
            )
        ],
        *[
            (name, value)
            for name in ("timeout", "expires")
            for value in (True, "30", Decimal(30), [30], object())
        ],
        ("timeout", NOW),
        *[
            (name, value)
            for name in ("keep_result", "repeat_on_failure")
            for value in (0, 1, "yes", "", [], object())
        ],
        ("no_such_option", None),
        ("problems", ()),
    ],
)
def test_option_of_wrong_type_is_refused(name, value):
    for take in (lambda: Policy.make(**{name: value}), lambda: overrides({name: value})):
        with pytest.raises(TypeError, match="use ") as caught:
            take()
        assert name in str(caught.value)
        assert isinstance(caught.value, BackgroundTaskError)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("max_attempts", value) for value in (0, -1, 2**31, 10**400)],
        pytest.param("max_attempts", 10**6000, id="thousands of digits"),
        ("backoff", -1),
        ("backoff", []),
        *[
            (name, value)
            for name in ("timeout", "expires")
            for value in (
                -1,
                -0.5,
                timedelta(days=-1),
                float("nan"),
                float("inf"),
                1e300,
                10**400,
                timedelta.max,
                1e-9,
            )
        ],
        ("expires", 0),
        ("expires", timedelta(0)),
        ("expires", datetime(2030, 1, 1)),
        ("expires", datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))),
        ("expires", datetime.min.replace(tzinfo=BERLIN)),
    ],
)
def test_option_out_of_range_is_refused(name, value):
    for take in (lambda: Policy.make(**{name: value}), lambda: overrides({name: value})):
        with pytest.raises(ValueError, match="use ") as caught:
            take()
        assert name in str(caught.value)
        assert isinstance(caught.value, BackgroundTaskError)
        assert len(str(caught.value)) < 400


exceptions = st.lists(
    st.sampled_from([OSError, KeyError, RemoteError, StopNow]), unique=True, max_size=3
)
option_values = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 2**31 - 1),
        "backoff": st.sampled_from([None, 30, [1, 2.5], exponential(), "default"]),
        "retry_on": exceptions,
        "discard_on": exceptions,
        "timeout": st.timedeltas(timedelta(0), LONGEST),
        "expires": st.timedeltas(timedelta(microseconds=1), LONGEST)
        | st.datetimes(datetime(1900, 1, 1), timezones=st.sampled_from([BERLIN, timezone.utc])),
        "keep_result": st.booleans(),
        "repeat_on_failure": st.booleans(),
    },
)


def named(policy):
    """The policy as it is after being stored: exceptions by their names."""
    names = {
        name: tuple(sorted(map(name_of, listed)))
        for name in ("retry_on", "discard_on")
        if (listed := getattr(policy, name)) is not None
    }
    return replace(policy, **names)


def name_of(exception):
    if isinstance(exception, str):
        return exception
    return f"{exception.__module__}.{exception.__qualname__}"


@given(option_values)
def test_stored_options_mean_the_same(options):
    text = overrides(options)
    assert (text is None) == all(value is None for value in options.values())
    merged = Policy().merged(text)
    assert merged == named(Policy.make(**options))
    assert merged.problems == ()
    assert Policy().merged(json.loads(text) if text else None) == merged


@given(declared=option_values, own=option_values)
def test_stored_options_come_before_the_declared_ones_and_leave_the_others(declared, own):
    policy = Policy.make(**declared).merged(overrides(own))
    for name in POLICY_OPTIONS:
        source = own if own.get(name) is not None else declared
        assert getattr(named(policy), name) == getattr(named(Policy.make(**source)), name)


def test_stored_form_stays():
    text = overrides(
        {
            "max_attempts": 3,
            "backoff": [1, 60],
            "retry_on": (RemoteError, OSError),
            "discard_on": KeyError,
            "timeout": 0,
            "expires": NOW,
            "keep_result": True,
            "repeat_on_failure": False,
        }
    )
    assert text == (
        '{"max":3,"backoff":[1,60],"retry":["builtins.OSError","tests.unit.test_policy.RemoteError"'
        '],"discard":["builtins.KeyError"],"timeout":0.0,"expires":"2030-01-01T00:00:00+00:00",'
        '"keep":true,"go_on":false}'
    )


@pytest.mark.parametrize("given_", [{}, {"timeout": None}, dict.fromkeys(POLICY_OPTIONS)])
def test_call_without_options_stores_nothing(given_):
    assert overrides(given_) is None


def test_later_options_win_over_earlier_ones_and_none_takes_them_back():
    first = overrides({"max_attempts": 3, "timeout": 30, "retry_on": OSError})
    second = overrides({"max_attempts": 5, "timeout": None}, earlier=first)
    assert json.loads(second) == {"retry": ["builtins.OSError"], "max": 5}
    assert overrides({"max_attempts": None, "retry_on": None}, earlier=second) is None
    assert overrides({}, earlier=second) == second


def test_keys_of_a_later_version_are_kept_and_ignored():
    text = overrides({"max_attempts": 2}, earlier='{"of_3_0":{"a":[1]}}')
    assert json.loads(text) == {"of_3_0": {"a": [1]}, "max": 2}
    assert Policy().merged(text) == Policy(max_attempts=2)
    assert Policy().merged(text).problems == ()


def test_null_in_a_row_leaves_the_option_as_declared():
    merged = Policy(max_attempts=3).merged('{"max":null,"retry":null}')
    assert merged == Policy(max_attempts=3)
    assert merged.problems == ()


def test_function_as_backoff_is_refused_with_a_call_and_taken_at_decoration():
    def wait(attempt, exception):
        return 5

    assert Policy.make(backoff=wait).backoff == make_backoff(wait)
    with pytest.raises(TypeError, match="cannot be stored with a call; give it to the decorator"):
        overrides({"backoff": wait})


@pytest.mark.parametrize(
    "stored",
    ["{", "null", "[]", "[1]", "7", '"text"', "NaN", "[" * 100_000, "\ud800", [1], 7],
    ids=lambda stored: str(stored)[:10],
)
def test_options_that_cannot_be_read_are_left_out_and_told(stored):
    policy = Policy(max_attempts=3).merged(stored)
    assert policy.max_attempts == 3
    (problem,) = policy.problems
    assert "cannot be read" in problem
    assert len(problem) < 500


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("max", value) for value in (0, -1, "3", True, 1.5, [1], {}, 10**400)],
        *[("backoff", value) for value in (-1, True, "later", {"later": 1}, [], [[1]])],
        ("backoff", {"exponential": [1, 2]}),
        ("backoff", {"exponential": [0, 2, 3, 0]}),
        *[("retry", value) for value in ("builtins.OSError", [1], {"a": 1}, 7, [["x"]])],
        *[("discard", value) for value in (True, "x", [None])],
        *[("timeout", value) for value in (-1, "30", True, float("nan"), 1e300, [])],
        *[("expires", value) for value in (0, -1, "soon", "2030-01-01T00:00:00", "9999", {})],
        *[(key, value) for key in ("keep", "go_on") for value in (0, "yes", [])],
    ],
)
def test_option_that_cannot_be_read_is_left_out_and_told(key, value):
    policy = Policy.make(max_attempts=7, timeout=9)
    text = json.dumps({"max": 2, "timeout": 4, key: value})
    merged = policy.merged(text)
    expected = Policy.make(
        max_attempts=7 if key == "max" else 2, timeout=9 if key == "timeout" else 4
    )
    assert merged == expected
    (problem,) = merged.problems
    assert "is ignored" in problem


def test_ordinary_row_costs_no_new_policy():
    policy = Policy(max_attempts=3)
    assert policy.merged(None) is policy
    assert policy.merged("") is policy


def test_policy_crosses_processes():
    policy = Policy.make(backoff=exponential(), retry_on=RemoteError, expires=NOW, timeout=0)
    assert pickle.loads(pickle.dumps(policy)) == policy
