"""The stored form of a call: bytes that never change, and text that every database holds."""

import hashlib
import json

import pytest
from hypothesis import given, strategies as st

from background_task import payload
from background_task.exceptions import InvalidOptionTypeError, InvalidPayloadError

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
calls = {
    "args": st.lists(values, max_size=3),
    "kwargs": st.dictionaries(st.text(), values, max_size=3),
}
any_text = st.text(st.characters(exclude_categories=()))  # surrogates too


@given(**calls)
def test_call_is_decoded_as_it_was_encoded(args, kwargs):
    assert payload.decode(payload.encode(args, kwargs)) == (args, kwargs)


@given(**calls)
def test_bytes_are_those_of_the_old_library(args, kwargs):
    old = json.dumps((args, kwargs), sort_keys=True)
    text = payload.encode(args, kwargs)
    assert text == old
    assert payload.task_hash("name", text) == hashlib.sha1(("name" + old).encode()).hexdigest()


@given(text=any_text)
def test_any_text_survives_and_is_stored_in_ascii(text):
    stored = payload.encode((text,), {text: text})
    assert stored.isascii()
    assert payload.decode(stored) == ([text], {text: text})


@given(kwargs=st.dictionaries(st.text(), st.integers()), order=st.randoms())
def test_order_of_keywords_does_not_change_the_hash(kwargs, order):
    items = list(kwargs.items())
    order.shuffle(items)
    assert payload.encode((), dict(items)) == payload.encode((), kwargs)


@pytest.mark.parametrize("nothing", [None, (), [], 0, ""])
def test_nothing_is_no_arguments(nothing):
    assert payload.encode(nothing, nothing) == "[[], {}]"


@given(stored=st.text() | values.map(json.dumps))
def test_anything_else_is_refused_by_name(stored):
    match loaded(stored):
        case [list(args), dict(kwargs)]:
            assert repr(payload.decode(stored)) == repr((args, kwargs))
        case _:
            with pytest.raises(InvalidPayloadError, match="delete it and schedule the task again"):
                payload.decode(stored)


def loaded(text):
    try:
        return json.loads(text)
    except ValueError:
        return None


def test_refusal_of_arguments_shows_their_types_and_names_but_no_value():
    class Broken:
        def __repr__(self):
            raise RuntimeError

    with pytest.raises(InvalidOptionTypeError, match=r"\(Broken, str, pin: int\)") as caught:
        payload.encode((Broken(), "hunter2"), {"pin": 4711})
    assert "hunter2" not in str(caught.value)
    assert "4711" not in str(caught.value)


@given(text=any_text)
def test_storable_text_is_storable_and_ordinary_text_is_unchanged(text):
    stored = payload.storable(text)
    assert payload.is_storable(stored)
    stored.encode("utf-8")
    if payload.is_storable(text):
        assert stored == text


@given(text=any_text)
def test_ascii_only_text_is_ascii(text):
    assert payload.ascii_only(text).isascii()
    assert "\x00" not in payload.ascii_only(text)


@given(extra=st.integers(-3, 10_000))
def test_long_text_keeps_head_and_tail_and_says_what_is_missing(extra):
    text = "head" + "x" * (payload.MAX_ERROR_CHARS + extra - 8) + "tail"
    stored = payload.storable(text)
    assert stored.startswith("head")
    assert stored.endswith("tail")
    if extra > 0:
        assert f"[... {extra} characters left out ...]" in stored
    else:
        assert stored == text


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_unique_key_differs_where_queues_differ(hash_, one, two):
    same = (one or "") == (two or "")
    assert (payload.unique_key(hash_, one) == payload.unique_key(hash_, two)) == same
