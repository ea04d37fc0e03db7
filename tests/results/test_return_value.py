"""What a function returns, and whatever it returns: stored, and back. No database."""

import json
import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from background_task.exceptions import InvalidPayloadError, ResultNotKeptError
from background_task.payload.argument import TAG
from background_task.return_value import not_kept, pack, unpack, why_not_kept

MOST = 65_536

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.characters(categories=["Cs", "Cc"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just(TAG), inner),
)  # fmt: skip


@given(plain)
def test_pack_plain_value_comes_back(value):
    text = pack(value, most=10**9)
    assert unpack(text) == value
    assert (text is None) == (value is None)


@given(plain)
def test_pack_gives_text_that_every_database_stores(value):
    text = pack(value, most=10**9) or ""
    assert text.isascii()
    assert "\0" not in text


@pytest.mark.parametrize(
    "value",
    [
        datetime(2030, 1, 1, 12, tzinfo=timezone.utc),
        date(2030, 1, 1),
        timedelta(days=-1, microseconds=1),
        Decimal("1.10"),
        UUID(int=7),
        b"\0\xff",
        {"rows": [Decimal("0.1"), {"at": date(2030, 1, 1)}]},
        {TAG: ["not kept", "a value that looks like it"]},
        {TAG: ["date", "2030-01-01"]},
        float("inf"),
        "",
        0,
        False,
        [],
    ],
    ids=repr,
)
def test_pack_value_comes_back_as_it_was(value):
    back = unpack(pack(value, most=MOST))
    assert back == value
    assert type(back) is type(value)


def test_pack_keeps_the_order_of_keys_and_mixed_ones():
    value = {"z": 1, "a": 2, 3: None}
    assert list(unpack(pack(value, most=MOST))) == ["z", "a", "3"]


def test_pack_nan_comes_back_as_nan():
    assert math.isnan(unpack(pack(float("nan"), most=MOST)))


def test_pack_what_is_plain_json_stays_what_every_reader_of_json_reads():
    value = {"name": "Grüße 🦆", "rows": [1, 2.5, None, True]}
    assert json.loads(pack(value, most=MOST)) == value


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def cyclic():
    value = []
    value.append(value)
    return value


class Hostile:
    def __repr__(self):
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "value",
    [{1, 2}, object(), Hostile(), [Hostile()], cyclic(), nested(100_000), {(1, 2): 3}, 10**5000],
    ids=["set", "object", "hostile", "inside", "cyclic", "nested", "tuple key", "long number"],
)
def test_pack_what_has_no_stored_form_says_why(value):
    with pytest.raises(ResultNotKeptError, match=r"cannot be stored.*keep_result=False"):
        pack(value, most=MOST)


def test_pack_what_is_too_large_says_how_large():
    assert pack("x" * 98, most=100) == '"' + "x" * 98 + '"'
    with pytest.raises(ResultNotKeptError, match=r"takes 101 bytes.*allows 100"):
        pack("x" * 99, most=100)
    with pytest.raises(ResultNotKeptError):
        pack("🦆" * 9, most=100)  # twelve bytes each, as they are escaped


@pytest.mark.parametrize("reason", ["too large", "Grüße \0 \ud800", "x" * 100_000])
def test_unpack_of_what_was_not_kept_says_why(reason):
    with pytest.raises(ResultNotKeptError) as caught:
        unpack(not_kept(reason))
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "not JSON", '{"__background_task__": ["no such kind", 1]}', "[" * 100_000]
)
def test_unpack_of_what_cannot_be_read_says_so(text):
    with pytest.raises(InvalidPayloadError):
        unpack(text)


def test_why_not_kept_survives_every_error():
    assert why_not_kept(ResultNotKeptError("too large")) == "too large"
    assert "SystemExit" in why_not_kept(SystemExit("x"))
