"""The rules for options: what is taken, what is refused, and that the refusal helps."""

from decimal import Decimal

import pytest
from django.utils.translation import gettext_lazy
from hypothesis import given, strategies as st

from background_task import option
from background_task.payload import is_storable


@given(st.text(st.characters(exclude_categories=()), min_size=0, max_size=250))
def test_text_is_taken_as_it_is_or_refused(text):
    fits = is_storable(text)
    for check, longest in ((option.check_queue, 190), (option.check_verbose_name, 255)):
        if fits and len(text) <= longest:
            assert check(text) == text
        else:
            with pytest.raises(ValueError, match="use "):
                check(text)


@given(st.integers())
def test_priority_is_taken_when_the_column_holds_it(number):
    if -(2**31) <= number < 2**31:
        assert option.check_priority(number) == number
    else:
        with pytest.raises(ValueError, match="use -2147483648 to 2147483647"):
            option.check_priority(number)


@pytest.mark.parametrize("value", [1.5, float("nan"), float("inf"), "many", None, object(), [1]])
def test_priority_that_is_no_whole_number_is_refused(value):
    with pytest.raises(TypeError, match="use a whole number"):
        option.check_priority(value)


@pytest.mark.parametrize("value", [3, 3.0, Decimal(3), True + 2, "3"])
def test_priority_in_any_spelling_of_a_whole_number_is_taken(value):
    assert option.check_priority(value) == 3


@pytest.mark.parametrize("value", [7, b"name", None, object()])
def test_name_that_is_no_text_is_refused(value):
    with pytest.raises(TypeError, match="use a str"):
        option.check_name(value)


def test_empty_name_is_refused_but_empty_queue_is_a_queue():
    with pytest.raises(ValueError, match="use 1 to 190"):
        option.check_name("")
    assert option.check_queue("") == ""
    assert option.check_queue(None) is None


def test_translated_verbose_name_is_taken():
    assert option.check_verbose_name(gettext_lazy("Yes")) == "Yes"


@pytest.mark.parametrize(("value", "meant"), [(None, 0), (0, 0), (3600, 3600), (-5, -5)])
def test_repeat_is_a_whole_number_of_seconds(value, meant):
    assert option.check_repeat(value) == meant


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_repeat_that_no_column_holds_is_refused(value):
    with pytest.raises(ValueError, match="out of range"):
        option.check_repeat(value)
