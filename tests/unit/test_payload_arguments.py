"""Arguments that JSON does not know: they come back as they were, and nothing comes with them."""

import datetime as dt
import decimal
import enum
import json
import sys
import uuid
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from django.db import models
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from hypothesis import given, strategies as st

from background_task import payload
from background_task.exceptions import (
    InvalidOptionError,
    InvalidOptionTypeError,
)
from tests.app.models import Ledger, TextOwner, UUIDOwner

TAG = "__background_task__"
BERLIN = ZoneInfo("Europe/Berlin")
SEVEN = uuid.UUID(int=7)
HERE = __name__


class Colour(enum.Enum):
    RED = 1
    BLUE = (2, 3)
    CRIMSON = RED


class Paint:
    class Shade(enum.Enum):
        DARK = "dark"


class Right(enum.Flag):
    READ = 1
    WRITE = 2
    BOTH = 3


class Payday(dt.date, enum.Enum):
    FIRST = 2026, 1, 31


class Size(enum.IntEnum):
    SMALL = 1


class Fruit(str, enum.Enum):
    PEAR = "pear"


class State(models.TextChoices):
    OPEN = "open", "Open"


class Stamp(dt.datetime):
    """As the datetimes of other libraries are: with a form of its own."""

    def isoformat(self, *args, **kwargs):
        return "12 o'clock"


def saved(instance, *, using="default"):
    instance._state.adding = False
    instance._state.db = using
    return instance


zones = st.sampled_from(
    [
        dt.timezone.utc,
        dt.timezone(dt.timedelta(hours=-3, minutes=-30)),
        dt.timezone(dt.timedelta(seconds=3661, microseconds=7)),
        ZoneInfo("UTC"),
        BERLIN,
        ZoneInfo("Australia/Lord_Howe"),
        ZoneInfo("Asia/Kolkata"),
    ]
)
plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
typed = (
    st.datetimes(timezones=st.none() | zones)
    | st.dates()
    | st.times(timezones=st.none() | zones)
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.binary()
    | st.sampled_from([*Colour, *Right, *Payday, Paint.Shade.DARK, Right(0), Right(3)])
)
keys = st.text() | st.sampled_from([TAG, "dict", "date"])
values = st.recursive(
    plain | typed | st.just(TAG),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(keys, inner, max_size=4)
        | st.fixed_dictionaries({TAG: inner})
    ),
    max_leaves=10,
)


def assert_same(arrived, given_):
    """Equality is not enough: 1 == True, and equal datetimes may differ in their zones."""
    if isinstance(given_, (list, tuple)):
        assert type(arrived) is list
        for one, other in zip(arrived, given_, strict=True):
            assert_same(one, other)
    elif isinstance(given_, dict):
        assert arrived.keys() == given_.keys()
        for key in given_:
            assert_same(arrived[key], given_[key])
    else:
        assert type(arrived) is type(given_)
        assert arrived == given_
        if isinstance(given_, (dt.datetime, dt.time)):
            assert str(arrived.tzinfo) == str(given_.tzinfo)
            assert arrived.utcoffset() == given_.utcoffset()


@given(args=st.lists(values, max_size=3), kwargs=st.dictionaries(keys, values, max_size=3))
def test_any_nesting_arrives_as_it_was(args, kwargs):
    text = payload.encode(args, kwargs)
    assert text.isascii()
    arrived_args, arrived_kwargs = payload.decode(text)
    assert_same(arrived_args, args)
    assert_same(arrived_kwargs, kwargs)
    assert payload.encode(arrived_args, arrived_kwargs) == text


#: Rows hold these texts: they must be read, and have these hashes, for ever.
GOLDEN = [
    (dt.datetime(2026, 1, 31, 8), '["datetime", "2026-01-31T08:00:00"]'),
    (
        dt.datetime(2026, 1, 31, 8, 0, 0, 5, dt.timezone.utc),
        '["datetime", "2026-01-31T08:00:00.000005+00:00"]',
    ),
    (
        dt.datetime(2026, 1, 31, 8, tzinfo=BERLIN),
        '["datetime", "2026-01-31T08:00:00+01:00", "Europe/Berlin"]',
    ),
    (dt.date(2026, 1, 31), '["date", "2026-01-31"]'),
    (dt.time(8, 30), '["time", "08:30:00"]'),
    (dt.time(8, 30, tzinfo=BERLIN), '["time", "08:30:00", "Europe/Berlin"]'),
    (dt.timedelta(days=-1, microseconds=1), '["timedelta", -86399999999]'),
    (Decimal("1.50"), '["decimal", "1.50"]'),
    (uuid.UUID(int=7), '["uuid", "00000000-0000-0000-0000-000000000007"]'),
    (b"\x00\xff", '["bytes", "AP8="]'),
    (Colour.CRIMSON, f'["enum", "{HERE}", "Colour", "RED"]'),
    (Paint.Shade.DARK, f'["enum", "{HERE}", "Paint.Shade", "DARK"]'),
    (Right.READ | Right.WRITE, f'["enum", "{HERE}", "Right", 3]'),
    (Payday.FIRST, f'["enum", "{HERE}", "Payday", "FIRST"]'),
]


@pytest.mark.parametrize(("value", "form"), GOLDEN, ids=[form for _, form in GOLDEN])
def test_value_has_the_golden_form(value, form):
    text = f'[[{{"{TAG}": {form}}}], {{}}]'
    assert payload.encode((value,), {}) == text
    ((arrived,), _) = payload.decode(text)
    assert repr(arrived) == repr(value)


INSTANCES = [
    (saved(Ledger(pk=7)), '["instance", "testapp.ledger", 7, "default"]'),
    (saved(Ledger(pk="7")), '["instance", "testapp.ledger", 7, "default"]'),
    (saved(Ledger(pk=7), using="other"), '["instance", "testapp.ledger", 7, "other"]'),
    (
        SimpleLazyObject(lambda: saved(TextOwner(code="a"))),
        '["instance", "testapp.textowner", "a", "default"]',
    ),
    (
        saved(UUIDOwner(pk=SEVEN)),
        f'["instance", "testapp.uuidowner", {{"{TAG}": ["uuid", "{SEVEN}"]}}, "default"]',
    ),
]


@pytest.mark.parametrize(("instance", "form"), INSTANCES, ids=[form for _, form in INSTANCES])
def test_instance_has_the_golden_form_and_so_has_its_reference(instance, form):
    text = f'[[{{"{TAG}": {form}}}], {{}}]'
    assert payload.encode((instance,), {}) == text
    args, _ = payload.decode(text, load=False)
    assert payload.encode(args, {}) == text


def test_reference_says_what_it_refers_to():
    here, there = saved(Ledger(pk=7)), saved(TextOwner(code="a"), using="other")
    args, kwargs = payload.decode(payload.encode((here,), {"owner": [there]}), load=False)
    assert repr(args) == "[<testapp.ledger 7>]"
    assert repr(kwargs) == "{'owner': [<testapp.textowner 'a' in 'other'>]}"


class PrimaryRouter:
    """Of a project that reads from a replica."""

    def db_for_write(self, model, **hints):
        return "default"


def test_instance_read_from_a_replica_is_the_one_of_the_primary(settings):
    settings.DATABASE_ROUTERS = [f"{HERE}.PrimaryRouter"]
    texts = {payload.encode((saved(Ledger(pk=7), using=db),), {}) for db in ("default", "replica")}
    assert texts == {f'[[{{"{TAG}": ["instance", "testapp.ledger", 7, "default"]}}], {{}}]'}


@pytest.mark.parametrize(
    "instance", [Ledger(), Ledger(pk=7), UUIDOwner(), saved(Ledger())], ids=range(4)
)
def test_instance_that_is_not_in_the_database_is_refused(instance):
    with pytest.raises(InvalidOptionError, match=r"not in the database.*save it first"):
        payload.encode([{"a": instance}], {})


@given(value=values.filter(lambda value: not isinstance(value, dict)))
def test_dictionary_with_the_tag_among_others_keeps_its_bytes(value):
    call = (({TAG: 1, "other": [TAG]},), {"value": {TAG: None, "b": 2}})
    assert payload.encode(*call) == json.dumps(call, sort_keys=True)
    args, kwargs = payload.decode(payload.encode((value, *call[0]), call[1]))
    assert (args[1:], kwargs) == ([*call[0]], call[1])


@pytest.mark.parametrize("value", [Size.SMALL, Fruit.PEAR, State.OPEN], ids=repr)
def test_member_that_is_a_number_or_text_keeps_its_bytes(value):
    text = payload.encode((value,), {})
    assert text == json.dumps(((value,), {}), sort_keys=True)
    assert type(payload.decode(text)[0][0]) in (int, str)


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("month", [3, 10], ids=["skipped hour", "repeated hour"])
def test_hour_of_the_clock_change_comes_back_as_the_same_moment(month, fold):
    day = 29 if month == 3 else 25
    value = dt.datetime(2026, month, day, 2, 30, tzinfo=BERLIN, fold=fold)
    ((arrived,), _) = payload.decode(payload.encode((value,), {}))
    assert repr(arrived) == repr(value)


def test_utc_is_one_zone_whatever_its_class():
    texts = {
        payload.encode((dt.datetime(2026, 1, 31, tzinfo=zone), dt.time(8, tzinfo=zone)), {})
        for zone in (dt.timezone.utc, ZoneInfo("UTC"))
    }
    assert len(texts) == 1


def test_datetime_of_a_zone_whose_rules_have_changed_stays_the_same_moment():
    text = f'[[{{"{TAG}": ["datetime", "2026-07-01T12:00:00+01:00", "Europe/Berlin"]}}], {{}}]'
    ((arrived,), _) = payload.decode(text)
    assert repr(arrived) == repr(dt.datetime(2026, 7, 1, 13, tzinfo=BERLIN))


def test_value_of_a_subclass_arrives_as_one_of_the_type():
    ((arrived,), _) = payload.decode(payload.encode((Stamp(2026, 1, 31),), {}))
    assert repr(arrived) == repr(dt.datetime(2026, 1, 31))


@pytest.mark.parametrize("text", ["1.0", "1.00", "1E+5", "-0", "Infinity", "NaN", "sNaN"])
@pytest.mark.parametrize("capitals", [0, 1])
def test_decimal_has_one_form_whatever_the_context(text, capitals):
    with decimal.localcontext() as context:
        context.capitals, context.prec = capitals, 1
        stored = payload.encode((Decimal(text),), {})
        ((arrived,), _) = payload.decode(stored)
    assert stored == f'[[{{"{TAG}": ["decimal", "{text}"]}}], {{}}]'
    assert repr(arrived) == f"Decimal('{text}')"


@pytest.mark.parametrize(("language", "text"), [("en", "Yes"), ("de", "Ja")])
def test_translated_text_is_stored_in_the_language_of_the_call(language, text):
    with translation.override(language):
        stored = payload.encode((gettext_lazy("Yes"),), {})
    assert stored == f'[["{text}"], {{}}]'


def test_time_whose_zone_would_be_lost_is_refused():
    class Nowhere(dt.tzinfo):
        def utcoffset(self, when):
            return None

    for value in (dt.time(8, tzinfo=Nowhere()), dt.datetime(2026, 1, 31, tzinfo=Nowhere())):
        with pytest.raises(InvalidOptionTypeError, match=r"use zoneinfo\.ZoneInfo, or none"):
            payload.encode((value,), {})


def local_enum():
    class Local(enum.Enum):
        ONE = 1

    return Local.ONE


def main_enum():
    return enum.Enum("Main", {"ONE": 1}, module="__main__").ONE


def hidden_enum():
    """Its name leads to another class."""
    return enum.Enum("Colour", {"ONE": 1}, module=HERE).ONE


@pytest.mark.parametrize("member", [local_enum(), main_enum(), hidden_enum()], ids=repr)
def test_member_of_a_class_that_no_worker_finds_is_refused(member, monkeypatch):
    monkeypatch.setattr(sys.modules["__main__"], "Main", type(member), raising=False)
    with pytest.raises(InvalidOptionTypeError, match="define it at the top level of a module"):
        payload.encode((member,), {})


@pytest.mark.parametrize("value", [{1}, 1j, bytearray(b"a"), object(), Ledger, print], ids=repr)
def test_refusal_says_what_is_possible(value):
    with pytest.raises(InvalidOptionTypeError, match=r"a task takes .* UUID.* model instances"):
        payload.encode((), {"value": [value]})


@pytest.mark.parametrize("key", [dt.date(2026, 1, 31), uuid.UUID(int=7), Colour.RED], ids=repr)
def test_key_that_json_refuses_is_refused(key):
    with pytest.raises(InvalidOptionTypeError, match="keys must be"):
        payload.encode(({key: 1},), {})


def test_row_of_an_older_version_with_the_tag_in_it_comes_back_as_it_was():
    call = [[TAG, {TAG: [1], "b": 2}, {"a": TAG}], {"text": f'"{TAG}"', TAG: 1, "c": 3}]
    assert payload.decode(json.dumps(call)) == (call[0], call[1])


def test_value_deep_inside_comes_back():
    deep = dt.date(2026, 1, 31)
    for _ in range(150):
        deep = [{"deeper": deep}]
    args, _ = payload.decode(payload.encode((deep, saved(Ledger(pk=7))), {}), load=False)
    assert repr(args) == repr([deep, payload.InstanceReference("testapp.ledger", 7, "default")])
