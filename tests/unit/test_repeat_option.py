"""What rows say about their chains: how many runs are left, and what is made up for."""

import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from django.test import override_settings
from hypothesis import given, strategies as st

from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.policy import Policy
from background_task.policy_option import overrides
from background_task.repeat_option import (
    REPEAT_OPTIONS,
    Chain,
    begun,
    check_effect,
    handed_on,
    problem_of,
    put_off,
)
from background_task.uniqueness import KEPT, keeping

UTC = timezone.utc
NINE = datetime(2026, 5, 4, 9, tzinfo=UTC)


@pytest.mark.parametrize("options", [None, "", "{}", '{"max":3}', "{", "[]", "[" * 5000])
def test_row_that_says_nothing_is_a_run_of_an_endless_chain_that_skips(options):
    chain = Chain.read(options)
    assert chain == Chain()
    assert not chain.is_last
    assert handed_on(options, chain) == options
    assert put_off(options, run_at=NINE) == options


@pytest.mark.parametrize("catch_up", [None, "skip"])
def test_defaults_are_not_stored(catch_up):
    assert begun(None, repeat_count=None, catch_up=catch_up) is None
    assert begun('{"max":3}', repeat_count=None, catch_up=catch_up) == '{"max":3}'


@given(count=st.integers(2, 2**63 - 1), catch_up=st.sampled_from(["skip", "one", "all"]))
def test_each_run_hands_on_one_less(count, catch_up):
    earlier = keeping(overrides({"max_attempts": 3}))
    options = begun(earlier, repeat_count=count, catch_up=catch_up)
    chain = Chain.read(options)
    assert (chain.runs_left, chain.catch_up, chain.is_last) == (count, catch_up, False)
    following = handed_on(options, chain)
    last = Chain.read(following)
    assert (last.runs_left, last.catch_up, last.is_last) == (count - 1, catch_up, count == 2)
    assert KEPT in following
    assert Policy().merged(following) == Policy(max_attempts=3)


def test_keys_of_later_versions_are_handed_on():
    text = '{"of_3_0":{"a":[1]},"runs":2,"none":null}'
    assert handed_on(text, Chain.read(text)) == '{"of_3_0":{"a":[1]},"runs":1,"none":null}'


def test_time_of_a_run_that_is_put_off_is_kept_until_the_next_one():
    options = begun(None, repeat_count=None, catch_up="all")
    once = put_off(options, run_at=NINE)
    twice = put_off(once, run_at=NINE + timedelta(hours=5))
    chain = Chain.read(twice)
    assert chain.scheduled_at(NINE + timedelta(days=3)) == NINE
    assert handed_on(twice, chain) == options


def test_time_of_a_run_that_is_put_off_is_the_same_without_time_zones():
    with override_settings(TIME_ZONE="Europe/Berlin", USE_TZ=False):
        local = NINE.astimezone(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
        options = put_off('{"catch_up":"one"}', run_at=local)
        assert Chain.read(options).scheduled_at(local + timedelta(days=3)) == local
        assert Chain.read(options).scheduled_at(NINE + timedelta(days=3)) == NINE


@pytest.mark.parametrize("options", ['{"runs":3}', '{"max":3}'])
def test_chain_that_makes_up_for_nothing_needs_no_time(options):
    assert put_off(options, run_at=NINE) == options


REFUSED = [
    ({"repeat_count": 0}, InvalidOptionError, "repeat_count 0 is out of range; use 1"),
    ({"repeat_count": -3}, InvalidOptionError, "repeat_count -3 is out of range"),
    ({"repeat_count": 2**63}, InvalidOptionError, "out of range"),
    ({"repeat_count": 1.0}, InvalidOptionTypeError, "1.0 is of type float; use a whole number"),
    ({"repeat_count": "3"}, InvalidOptionTypeError, "'3' is of type str"),
    ({"repeat_count": True}, InvalidOptionTypeError, "True is of type bool"),
    ({"catch_up": "some"}, InvalidOptionError, '\'some\' is unknown; use "skip", "one" or'),
    ({"catch_up": True}, InvalidOptionTypeError, "catch_up True is unknown"),
    ({"catch_up": ["one"]}, InvalidOptionTypeError, "is unknown"),
]


@pytest.mark.parametrize(("given", "error", "says"), REFUSED, ids=str)
def test_value_that_cannot_work_is_refused(given, error, says):
    with pytest.raises(error, match=says):
        begun(None, **{**dict.fromkeys(REPEAT_OPTIONS), **given})


@pytest.mark.parametrize("given", [{"repeat_count": 1}, {"catch_up": "skip"}])
def test_option_of_a_chain_without_one_is_refused(given):
    with pytest.raises(InvalidOptionError, match="has no effect without repeat; give the call a"):
        check_effect(given)
    check_effect(dict.fromkeys(given))


@pytest.mark.parametrize("runs", ["3", 0, -1, 1.5, True, [], {}])
def test_count_that_cannot_be_read_is_told_and_never_means_for_ever(runs):
    options = json.dumps({"runs": runs})
    with pytest.raises((InvalidOptionError, InvalidOptionTypeError)):
        Chain.read(options)
    assert "the chain ends: repeat_count" in problem_of(options)
    assert Policy().merged(options).problems == (problem_of(options),)


@pytest.mark.parametrize("values", [{"catch_up": "latest"}, {"catch_up": 1}, {"tick": "soon"}])
def test_rest_that_cannot_be_read_is_told_and_left_out(values):
    options = json.dumps({"runs": 7, **values})
    chain = Chain.read(options)
    assert (chain.runs_left, chain.catch_up, chain.tick) == (7, "skip", None)
    assert Policy().merged(options).problems == (chain.problem,)
    assert "catch_up is ignored: " in chain.problem
