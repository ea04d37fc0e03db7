"""Waits: of a failed task, and of a worker whose database is away."""

import json
import pickle
import random
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st

from background_task.backoff import (
    LONGEST,
    default,
    delay_after,
    exponential,
    fixed,
    from_json,
    make_backoff,
)
from background_task.worker.control import Backoff

NOW = timedelta(0)
MINUTE = timedelta(minutes=1)
ERROR = ValueError("as planned")
ABSURD = [-(10**9), 0, 1, 2, 10**9, 10**400]

waits = st.integers(0, 10**6) | st.floats(0, 1e6) | st.timedeltas(NOW, LONGEST)
rules = (
    st.just(default())
    | waits.map(fixed)
    | st.lists(waits, min_size=1, max_size=9).map(make_backoff)
    | st.builds(
        exponential,
        st.floats(1e-6, 1e3),
        factor=st.floats(1, 1e9),
        cap=st.floats(1e3, 1e8),
        jitter=st.floats(0, 1),
    )
)


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 6), (2, 21), (3, 86), (4, 261), (5, 630), (24, 331_781)]
)
def test_delay_is_the_old_one(attempts, seconds):
    assert delay_after(attempts) == timedelta(seconds=seconds)
    assert default().delay(attempts) == timedelta(seconds=seconds)


@given(st.integers(1, 10**9))
def test_delay_never_shrinks_and_always_fits_a_date(attempts):
    assert timedelta(0) < delay_after(attempts) <= delay_after(attempts + 1) < timedelta(days=4000)


@given(rule=rules, attempt=st.sampled_from(ABSURD) | st.integers())
def test_wait_of_any_rule_after_any_attempt_is_in_range(rule, attempt):
    assert NOW <= rule.delay(attempt) <= LONGEST
    wait, problem = rule.delay_or_default(attempt, ERROR)
    assert NOW <= wait <= LONGEST
    assert problem is None


@pytest.mark.parametrize("attempt", ABSURD)
def test_wait_that_does_not_grow_stays_after_any_attempt(attempt):
    assert exponential(4, factor=1, jitter=0).delay(attempt) == timedelta(seconds=4)


@given(rules)
def test_rule_survives_being_stored(rule):
    assert from_json(json.loads(json.dumps(rule.to_json()))) == rule
    assert make_backoff(json.dumps(rule.to_json())) == rule
    assert pickle.loads(pickle.dumps(rule)) == rule


@pytest.mark.parametrize(
    ("rule", "stored"),
    [
        (default(), "default"),
        (fixed(30), 30),
        (fixed(0.5), 0.5),
        (fixed(MINUTE), 60),
        (make_backoff([1, MINUTE]), [1, 60]),
        (exponential(1, factor=2, cap=600, jitter=0), {"exponential": [1, 2, 600, 0]}),
    ],
)
def test_stored_form_stays(rule, stored):
    assert rule.to_json() == stored
    assert from_json(stored) == rule


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, [6, 21, 86]),
        ("default", [6, 21, 86]),
        (default(), [6, 21, 86]),
        (7, [7, 7, 7]),
        (0, [0, 0, 0]),
        (0.25, [0.25, 0.25, 0.25]),
        (MINUTE, [60, 60, 60]),
        (LONGEST, [LONGEST.total_seconds()] * 3),
        ([1, MINUTE], [1, 60, 60]),
        ((9, 5, 1, 0), [9, 5, 1]),
        ("[1, 60]", [1, 60, 60]),
        (exponential(3, jitter=0), [3, 6, 12]),
        (exponential(1, factor=10, cap=MINUTE, jitter=0), [1, 10, 60]),
        (exponential(4, factor=1, jitter=0), [4, 4, 4]),
        ('{"exponential": [2, 3, 10, 0]}', [2, 6, 10]),
        (lambda attempt, exception: attempt * len(str(exception)), [10, 20, 30]),
    ],
)
def test_every_way_to_write_a_rule(value, seconds):
    rule = make_backoff(value)
    got = [rule.delay_or_default(attempt, ERROR) for attempt in (1, 2, 3)]
    assert got == [(timedelta(seconds=second), None) for second in seconds]


@given(
    attempt=st.integers(1, 30),
    jitter=st.floats(0, 1),
    chance=st.randoms(use_true_random=False),
)
def test_jitter_takes_at_most_its_share_of_the_wait(attempt, jitter, chance):
    whole = exponential(1, jitter=0).delay(attempt)
    wait = exponential(1, jitter=jitter).delay(attempt, chance=chance)
    assert whole * (1 - jitter) - timedelta(microseconds=1) <= wait <= whole


def test_full_jitter_spreads_over_the_whole_wait():
    chance = random.Random(7)
    rule = exponential(MINUTE, jitter=1)
    drawn = sorted(rule.delay(1, chance=chance) for _ in range(200))
    assert drawn[0] < MINUTE * 0.1
    assert drawn[-1] > MINUTE * 0.9
    assert len({rule.delay(1) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    "value",
    [
        True,
        object(),
        b"30",
        Decimal(30),
        {1, 2},
        range(3),
        [[1]],
        [1, None],
        [1, False],
        {"exponential": [1, 2]},
        "often",
        "{",
        pytest.param("[" * 10_000, id="deep"),
        "null",
        "true",
        "[true]",
        '{"later": 1}',
        timedelta,
        ValueError,
        exponential,
        fixed,
        default,
        lambda: 1,
        lambda attempt: 1,
        lambda attempt, *, exception: 1,
    ],
)
def test_what_is_no_rule_is_refused(value):
    with pytest.raises(TypeError, match="use ") as caught:
        make_backoff(value)
    assert len(str(caught.value)) < 500


def test_coroutine_function_is_refused():
    async def wait(attempt, exception):
        return 1

    with pytest.raises(TypeError, match="coroutine function"):
        make_backoff(wait)


@pytest.mark.parametrize(
    "value",
    [
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        float("-inf"),
        1e300,
        10**400,
        pytest.param(10**6000, id="thousands of digits"),
        -(10**400),
        timedelta(days=-1),
        timedelta.max,
        timedelta.min,
        LONGEST + timedelta(microseconds=1),
        [],
        (),
        [1, -1],
        [1] * 101,
        "-1",
        "NaN",
        "[]",
        "1e400",
    ],
)
def test_wait_that_is_out_of_range_is_refused(value):
    with pytest.raises(ValueError, match="use ") as caught:
        make_backoff(value)
    assert len(str(caught.value)) < 300


def test_refused_item_of_a_list_is_named():
    with pytest.raises(ValueError, match=r"backoff\[2\] -5"):
        make_backoff([1, 2, -5])


@pytest.mark.parametrize(
    "given_",
    [
        {"base": 0},
        {"base": -1},
        {"base": 1e-9},
        {"base": float("nan")},
        {"base": 61, "cap": 60},
        {"cap": 0},
        {"cap": timedelta(days=4000)},
        {"cap": float("inf")},
        {"factor": 0.5},
        {"factor": -2},
        {"factor": float("nan")},
        {"factor": float("inf")},
        {"factor": 10**400},
        {"jitter": -0.1},
        {"jitter": 1.1},
        {"jitter": float("nan")},
    ],
)
def test_exponential_out_of_range_is_refused(given_):
    with pytest.raises(ValueError, match=r"use "):
        exponential(**given_)


@pytest.mark.parametrize("name", ["base", "factor", "cap", "jitter"])
@pytest.mark.parametrize("value", [None, True, "2", [2], Decimal(2), object()])
def test_exponential_of_wrong_type_is_refused(name, value):
    with pytest.raises(TypeError, match=rf"{name} .* use "):
        exponential(**{name: value})


class UnspeakableError(Exception):
    """Cannot be shown."""

    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


class Awkward:
    """No wait, and its repr raises."""

    def __repr__(self):
        raise UnspeakableError


def raising(error):
    def wait(attempt, exception):
        raise error

    return wait


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (raising(KeyError("where")), "KeyError: 'where'"),
        (raising(UnspeakableError()), "UnspeakableError"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
        (lambda attempt, exception: None, "NoneType"),
        (lambda attempt, exception: True, "bool"),
        (lambda attempt, exception: "5", "str"),
        (lambda attempt, exception: Awkward(), "Awkward"),
        (lambda attempt, exception: -1, "negative"),
        (lambda attempt, exception: float("nan"), "finite"),
        (lambda attempt, exception: float("inf"), "finite"),
        (lambda attempt, exception: -(10**400), "negative"),
    ],
)
def test_function_that_gives_no_wait_is_replaced_by_the_default_and_said_so(function, told):
    rule = make_backoff(function)
    wait, problem = rule.delay_or_default(3, ERROR)
    assert wait == timedelta(seconds=86)
    assert told in problem
    assert "the default was used" in problem


@pytest.mark.parametrize("value", [LONGEST * 2, 10**400, 1e300, timedelta.max])
def test_function_that_gives_an_endless_wait_waits_for_the_longest(value):
    rule = make_backoff(lambda attempt, exception: value)
    assert rule.delay_or_default(1, ERROR) == (LONGEST, None)


def test_function_is_not_asked_without_an_exception():
    rule = make_backoff(raising(AssertionError("asked")))
    assert rule.delay(2) == timedelta(seconds=21)


def test_function_written_in_c_is_taken():
    assert make_backoff(max).delay_or_default(1, ERROR)[0] == timedelta(seconds=6)


def test_function_cannot_be_stored():
    with pytest.raises(TypeError, match=r"cannot be stored .* give it to the decorator"):
        make_backoff(lambda attempt, exception: 1).to_json()


@given(longest=st.floats(0.1, 60), failures=st.integers(1, 100))
def test_first_try_again_is_at_once_and_later_ones_wait_within_the_cap(longest, failures):
    backoff = Backoff(longest=longest)
    waits = [backoff.next() for _ in range(failures)]
    assert waits[0] == 0
    assert all(0 < wait <= longest for wait in waits[1:])
    assert backoff.reset() == (failures > 1)
    assert backoff.reset() is False
    assert backoff.next() == 0


def test_waits_grow_and_are_not_all_alike():
    backoffs = [Backoff(longest=5.0) for _ in range(20)]
    rounds = [[backoff.next() for backoff in backoffs] for _ in range(12)]
    assert len(set(rounds[-1])) > 1
    assert max(rounds[2]) < min(rounds[8])
