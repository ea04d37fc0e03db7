"""What ``@periodic`` and the setting make of what people write. No database is asked."""

import functools
import subprocess
import sys
from datetime import datetime, timedelta, timezone

import pytest
from dateutil.relativedelta import relativedelta
from dateutil.rrule import DAILY, rrule, rruleset

from background_task import InvalidOptionError, InvalidOptionTypeError, periodic
from background_task.declaration import EPOCH, declared
from background_task.tasks import Tasks
from tests.periodic.conftest import HOUR, NOON


@pytest.fixture
def tasks():
    return Tasks()


def names(tasks, settings=None):
    return sorted(declared(tasks._tasks, settings or {}))


def first(schedule, zone=None, now=NOON):
    """The first tick of a schedule after noon."""

    @periodic(schedule, zone=zone)
    @Tasks().background(name="t")
    def function():
        pass

    return function.schedules[0].after(now)


@pytest.mark.parametrize("is_above", [True, False])
def test_declare_above_and_below_background_is_the_same(tasks, is_above):
    def function(number):
        return number

    decorators = [tasks.background(name="t"), periodic("@hourly", args=[1])]
    for decorate in decorators if is_above else reversed(decorators):
        function = decorate(function)
    (declaration,) = function.schedules
    assert (declaration.name, declaration.args) == ("t", [1])
    assert function.now(3) == 3
    assert names(tasks) == ["t"]


def test_declare_several_gives_each_a_name_of_its_own(tasks):
    @periodic(30)
    @periodic(20, name="other")
    @tasks.background(name="t")
    @periodic(10)
    def function():
        pass

    assert [(each.name, str(each.rule)) for each in function.schedules] == [
        ("t", "every 10"),
        ("other", "every 20"),
        ("t 3", "every 30"),
    ]
    assert names(tasks) == ["other", "t", "t 3"]


def test_declare_below_another_decorator_is_found(tasks):
    @tasks.background(name="t")
    @functools.lru_cache
    @periodic(10)
    def function():
        pass

    assert names(tasks) == ["t"]


def test_declare_again_replaces(tasks):
    """A module that is imported a second time, under another name or by a reload."""
    for seconds in (10, 20):

        @periodic(seconds)
        @tasks.background(name="t")
        def function():
            pass

    (declaration,) = declared(tasks._tasks, {}).values()
    assert str(declaration.rule) == "every 20"


def test_declare_on_copy_with_options_is_found_with_them(tasks):
    @tasks.background(name="t", queue="usual")
    def function():
        pass

    periodic(10)(function.using(queue="special"))
    (declaration,) = declared(tasks._tasks, {}).values()
    assert declaration.callee.queue == "special"


@pytest.mark.parametrize(
    ("schedule", "zone", "expected"),
    [
        (3600, None, NOON + HOUR),
        (timedelta(minutes=7), None, EPOCH + timedelta(minutes=7) * 2206389),
        (7 * 86400, None, datetime(2030, 5, 20, tzinfo=timezone.utc)),
        ("30 3 * * *", None, datetime(2030, 5, 15, 3, 30, tzinfo=timezone.utc)),
        ("30 3 * * *", "Asia/Kolkata", datetime(2030, 5, 14, 22, tzinfo=timezone.utc)),
        (relativedelta(months=1), None, datetime(2030, 6, 1, tzinfo=timezone.utc)),
        (
            relativedelta(months=1, day=31),
            "Europe/Berlin",
            datetime(2030, 5, 30, 22, tzinfo=timezone.utc),
        ),
        ("FREQ=DAILY", "Europe/Berlin", datetime(2030, 5, 14, 22, tzinfo=timezone.utc)),
        ("FREQ=WEEKLY", None, datetime(2030, 5, 20, tzinfo=timezone.utc)),
        (
            rrule(DAILY, dtstart=datetime(2020, 1, 1, 9, 30)),
            None,
            datetime(2030, 5, 15, 9, 30, tzinfo=timezone.utc),
        ),
    ],
    ids=str,
)
def test_tick_is_counted_from_a_fixed_monday(schedule, zone, expected):
    assert EPOCH.weekday() == 0
    assert first(schedule, zone) == expected


def test_tick_by_the_clock_on_the_wall_follows_it():
    before_the_change = datetime(2030, 3, 30, 12, tzinfo=timezone.utc)
    nine = first("0 9 * * *", "Europe/Berlin", before_the_change)
    assert nine == datetime(2030, 3, 31, 7, tzinfo=timezone.utc)


BROKEN = {
    "zero": ({"schedule": 0}, "schedule 0 never comes; use seconds above 0"),
    "none": ({"schedule": None}, "schedule None never comes"),
    "no crontab": ({"schedule": "daily"}, "schedule crontab 'daily' has 1 fields; use five"),
    "no type": ({"schedule": [1]}, r"schedule \[1\] is of type list; use whole seconds"),
    "zone": ({"schedule": 5, "zone": "Mars"}, "time zone 'Mars' is not known here; use"),
    "catch_up": ({"schedule": 5, "catch_up": "most"}, "catch_up 'most' is unknown; use"),
    "args": ({"schedule": 5, "args": "ab"}, "args is of type str; use a list"),
    "kwargs": (
        {"schedule": 5, "kwargs": [1]},
        "kwargs, of type list, is no dict with names as keys",
    ),
    "kwargs keys": ({"schedule": 5, "kwargs": {1: 1}}, "is no dict with names as keys"),
    "option": ({"schedule": 5, "kwargs": {"queue": "a"}}, r"queue.*put @periodic on task\.using"),
    "too many": ({"schedule": 5, "args": [1, 2]}, "cannot be called so: too many positional"),
    "unstorable": ({"schedule": 5, "args": [{1}]}, "a value of type set has no stored form"),
    "name": ({"schedule": 5, "name": "n" * 191}, "has 191 characters; use 1 to 190"),
    "moving start": ({"schedule": rrule(DAILY)}, "another time in each worker; give the rrule a"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_declare_what_cannot_work_is_refused_with_value_rule_and_remedy(tasks, case):
    written, message = BROKEN[case]
    if case == "moving start":
        written = {"schedule": rrule(DAILY)}  # made now, not when this module was imported

    @tasks.background(name="t")
    def function(number):
        pass

    with pytest.raises((InvalidOptionError, InvalidOptionTypeError), match=message):
        periodic(**written)(function)
    assert function.schedules == []


def test_declare_set_of_rules_that_begin_now_is_refused():
    rules = rruleset()
    rules.rrule(rrule(DAILY))
    with pytest.raises(InvalidOptionError, match="give the rrule a dtstart"):
        periodic(rules)


@pytest.mark.parametrize(("target", "message"), [("f", "periodic was given 'f'"), (len, "below")])
def test_declare_on_what_is_no_function_is_refused(target, message):
    with pytest.raises(InvalidOptionTypeError, match=message):
        periodic(10)(target)


def test_declare_one_name_twice_is_refused(tasks):
    @periodic(10, name="same")
    @tasks.background(name="a")
    def first():
        pass

    with pytest.raises(InvalidOptionError, match="'same' is declared twice for a; give one of"):
        periodic(20, name="same")(first)

    @periodic(10, name="same")
    @tasks.background(name="b")
    def second():
        pass

    with pytest.raises(InvalidOptionError, match="'same' is declared twice, for a and b"):
        declared(tasks._tasks, {})


def test_setting_adds_replaces_and_switches_off(tasks):
    @periodic(10, name="kept")
    @periodic(10, name="replaced")
    @periodic(10, name="off")
    @tasks.background(name="t")
    def function(number=0):
        pass

    found = declared(
        tasks._tasks,
        {
            "replaced": {"task": "t", "schedule": 20, "args": [7]},
            "off": None,
            "added": {"task": "t", "schedule": "0 9 * * *", "zone": "Europe/Berlin"},
            "elsewhere": {"task": "of another app", "schedule": 5},
        },
    )
    assert {name: str(declaration.rule) for name, declaration in found.items()} == {
        "kept": "every 10",
        "replaced": "every 20",
        "added": "cron 0 9 * * * Europe/Berlin",
    }
    assert found["replaced"].arguments() == ([7], {})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ([], "BACKGROUND_TASK_PERIODIC is of type list; use a dict"),
        ({"a": 5}, "periodic 'a' is 5; use None, or a dict with task and schedule"),
        ({"a": {"schedule": 5}}, "use None, or a dict with task and schedule"),
        ({"a": {"task": "t", "schedule": 5, "arg": 1}}, "and args, kwargs, zone, catch_up if"),
        ({"a": {"task": "t", "schedule": "x"}}, "periodic 'a': schedule crontab 'x' has 1"),
        ({"a": {"task": "gone", "schedule": 0}}, "periodic 'a': schedule 0 never comes"),
        ({"a": {"task": 5, "schedule": 5}}, "task name 5 is of type int"),
    ],
)
def test_setting_that_cannot_work_is_refused(tasks, settings, message):
    with pytest.raises((InvalidOptionError, InvalidOptionTypeError), match=message):
        declared(tasks._tasks, settings)


def test_arguments_that_are_called_are_called_each_time(tasks):
    calls = iter(range(10))

    @periodic(10, args=lambda: [next(calls)], kwargs=lambda: {"other": next(calls)})
    @tasks.background(name="t")
    def function(number, other):
        pass

    (declaration,) = function.schedules
    assert declaration.arguments() == ([0], {"other": 1})
    assert declaration.arguments() == ([2], {"other": 3})


DIGESTS = """
import functools
import django
django.setup()
from background_task import periodic
from background_task.tasks import Tasks

def args():
    return [1]

for given in (args, functools.partial(args), lambda: [1], [1, {"b": 1, "a": 2}]):
    @periodic("~ 4 * * *", args=given, name="s")
    @Tasks().background(name="t")
    def function(*numbers):
        pass
    print(function.schedules[0].digest, function.schedules[0].rule)
"""


def test_digest_and_drawn_times_are_the_same_in_each_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop().splitlines()) == 4


@pytest.mark.parametrize(
    "other",
    [{"schedule": 20}, {"args": [2]}, {"kwargs": {"number": 1}, "args": []}, {"catch_up": "one"}],
    ids=str,
)
def test_digest_tells_declarations_apart(tasks, other):
    @tasks.background(name="t")
    def function(number):
        pass

    written = {"schedule": 10, "args": [1]}
    for name, parts in (("a", written), ("b", written), ("c", {**written, **other})):
        periodic(**parts, name=name)(function)
    first, same, different = (declaration.digest for declaration in function.schedules)
    assert first == same != different
