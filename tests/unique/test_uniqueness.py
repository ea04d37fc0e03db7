"""``Uniqueness``: which options are taken, and which calls have the same key."""

import datetime
import json
import uuid

import pytest

from background_task import payload
from background_task.call import Parameters
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.policy_option import overrides
from background_task.uniqueness import KEPT, KEY_CHARS, UniqueKey, Uniqueness, keeping

MISSING = object()


def sync(user_id, kind="all", *, force=False):
    return (user_id, kind, force)


def optional(user_id, since=MISSING):
    return (user_id, since)


def take_all(first, *rest, **named):
    return (first, rest, named)


def of(function=sync, name="sync"):
    return Parameters(name, function)


def key(unique, *args, of=of(), **kwargs):  # noqa: B008 - it is never changed
    return Uniqueness.make({"unique": unique}, of=of).key(of, args, kwargs).text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"unique": None}, None),
        ({"unique": False}, None),
        ({"unique": True}, Uniqueness()),
        ({"unique": "user_id"}, Uniqueness(("user_id",))),
        ({"unique": " user_id,kind , user_id"}, Uniqueness(("user_id", "kind"))),
        ({"unique": sync, "unique_until": None}, Uniqueness(sync)),
        ({"unique": True, "unique_until": "start"}, Uniqueness()),
        ({"unique": True, "unique_until": "finish"}, Uniqueness(until="finish")),
        ({"unique": True, "on_conflict": "extend"}, Uniqueness(on_conflict="extend")),
    ],
    ids=repr,
)
def test_make_takes_what_is_documented(given, expected):
    assert Uniqueness.make(given, of=of()) == expected


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"unique": 7}, TypeError, "unique 7 is of type int; use True, names"),
        ({"unique": ["user_id"]}, TypeError, r"unique \['user_id'\] is of type list"),
        ({"unique": "user"}, ValueError, "'user' names 'user', which sync does not take; .*kind"),
        ({"unique": ""}, ValueError, "names '', which sync does not take"),
        ({"unique": "user_id,"}, ValueError, "names '', which"),
        ({"unique": True, "unique_until": "end"}, ValueError, "'end' is unknown; use 'start', 'f"),
        ({"unique": True, "unique_until": True}, TypeError, "unique_until True is unknown"),
        ({"unique": True, "on_conflict": "fail"}, ValueError, "on_conflict 'fail' is unknown; use"),
        ({"unique": True, "on_conflict": ["skip"]}, TypeError, "on_conflict .* is unknown"),
        ({"unique_until": "finish"}, ValueError, "unique_until has no effect without unique"),
        ({"unique": False, "on_conflict": "skip"}, ValueError, "on_conflict has no effect"),
    ],
    ids=repr,
)
def test_make_refuses_the_rest_with_value_and_remedy(given, error, message):
    with pytest.raises(error, match=message) as caught:
        Uniqueness.make(given, of=of())
    assert isinstance(caught.value, InvalidOptionError | InvalidOptionTypeError)


def test_make_of_a_function_that_does_not_tell_its_parameters_takes_no_names():
    unreadable = of(min, "least")
    assert unreadable.names is None
    with pytest.raises(InvalidOptionError, match="least does not tell which it has"):
        Uniqueness.make({"unique": "a"}, of=unreadable)
    assert key(True, 1, 2, of=unreadable) != key(True, 2, 1, of=unreadable)


def test_make_changes_only_what_is_given():
    earlier = Uniqueness(("kind",), "finish", "raise")
    for given, expected in [
        ({}, earlier),
        ({"unique": None, "unique_until": None}, earlier),
        ({"unique": True}, Uniqueness((), "finish", "raise")),
        ({"unique_until": "start"}, Uniqueness(("kind",), "start", "raise")),
        ({"on_conflict": "skip"}, Uniqueness(("kind",), "finish", "skip")),
        ({"unique": False}, None),
    ]:
        assert Uniqueness.make(given, of=of(), earlier=earlier) == expected


@pytest.mark.parametrize("unique", [True, "user_id, kind", "kind, user_id"])
def test_key_is_the_same_by_place_by_name_and_by_default(unique):
    keys = {
        key(unique, 7), key(unique, 7, "all"), key(unique, user_id=7),
        key(unique, kind="all", user_id=7), key(unique, 7, kind="all", force=False),
    }  # fmt: skip
    assert len(keys) == 1
    assert key(unique, 8) not in keys
    assert key(unique, 7, "some") not in keys


def test_key_of_named_parameters_leaves_out_the_others():
    assert key("user_id", 7, "a") == key("user_id", 7, "b", force=True)
    assert key(True, 7, "a") != key(True, 7, "a", force=True)


def test_key_of_a_default_that_no_row_can_hold_differs_from_every_value():
    optional_of = of(optional)
    for unique in (True, "user_id, since"):
        assert key(unique, 7, of=optional_of) == key(unique, user_id=7, of=optional_of)
        assert key(unique, 7, of=optional_of) != key(unique, 7, None, of=optional_of)
    assert key("since", 7, of=optional_of) == key("since", 8, of=optional_of)


def test_key_of_a_function_that_takes_anything_sees_all_of_it():
    all_of = of(take_all)
    calls = [((1,), {}), ((1, 2), {}), ((1,), {"a": 2}), ((1,), {"named": 2}), ((1, 2), {"a": 2})]
    assert len({key(True, *args, of=all_of, **kwargs) for args, kwargs in calls}) == len(calls)
    assert key("first", 1, 2, of=all_of) == key("first", 1, a=3, of=all_of)
    assert key("rest", 1, 2, of=all_of) != key("rest", 1, 3, of=all_of)


@pytest.mark.parametrize(
    ("one", "other"),
    [(7, "7"), (7, (7,)), ("a", ("a",)), (("a", 1), ("a", "1")), (("ab", ""), ("a", "b"))],
)
def test_key_that_a_function_returns_differs_by_value_and_type(one, other):
    assert key(lambda: one, of=of()) == key(lambda: one)
    assert key(lambda: one) != key(lambda: other)


def test_key_that_a_function_returns_is_made_of_the_calls_arguments():
    def by_user(user_id, kind="all", **_):
        return (user_id, kind[:1])

    assert key(by_user, 7, "all") == key(by_user, user_id=7, kind="any", force=True)
    assert key(by_user, 7) != key(by_user, 8)


def test_key_that_a_function_returns_may_hold_what_a_task_takes():
    value = (uuid.UUID(int=7), datetime.date(2030, 1, 2))
    assert key(lambda: value) == key(lambda: tuple(value))


@pytest.mark.parametrize("value", [None, 1.5, ["a"], {"a": 1}, b"a"], ids=repr)
def test_key_of_another_type_is_refused(value):
    with pytest.raises(InvalidOptionTypeError, match=r"^unique of sync returned .* return a str"):
        key(lambda: value)


def test_key_without_a_stored_form_is_refused():
    with pytest.raises(InvalidOptionTypeError, match=r"^unique of sync returned .* no stored form"):
        key(lambda: ({7},))


def test_key_of_another_function_or_of_the_same_call_kept_by_an_action_is_another():
    assert key(True, 7) != key(True, 7, of=of(sync, "other"))
    stored = payload.encode((7,), {})
    assert key(True, 7) != payload.unique_key(payload.task_hash("sync", stored), None)


def test_key_has_one_length_and_says_the_rest():
    made = Uniqueness(until="finish", on_conflict="replace").key(of(), ("ü" * 5000,), {})
    assert len(made.text) == KEY_CHARS
    assert made == UniqueKey(made.text, "finish", "replace")
    assert [UniqueKey("k", on_conflict=way).is_moving for way in ("skip", "raise", "extend")] == [
        False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize("options", [None, overrides({"max_attempts": 3, "timeout": 5})])
def test_keeping_marks_the_options_of_a_row_and_keeps_them(options):
    marked = keeping(options)
    assert KEPT in marked
    rest = json.loads(marked)
    del rest["unique"]
    assert rest == json.loads(options or "{}")


def test_mark_cannot_be_part_of_another_option():
    text = overrides({"retry_on": type(KEPT, (Exception,), {})})
    assert "unique" in text
    assert KEPT not in text
