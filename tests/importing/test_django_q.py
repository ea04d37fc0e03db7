"""Tasks and schedules of django-q2."""

import pickle
import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.core import signing
from django.utils import timezone as django_timezone

from background_task.exceptions import InvalidOptionError
from background_task.importing import pickled
from background_task.models import Task
from background_task.recurrence import parse
from tests.importing import functions, tables

QUEUE, SCHEDULES = "django_q_ormq", "django_q_schedule"
WORK = "tests.importing.functions.work"
LATER = datetime(2040, 1, 31, 7, 8, 9, tzinfo=timezone.utc)


class PickleSerializer:
    """Writes as django-q2 does."""

    def dumps(self, package):
        return pickle.dumps(package, protocol=pickle.HIGHEST_PROTOCOL)


def signed(package, *, salt="default", key=None, compress=False):
    return signing.dumps(
        package, key=key, salt=salt, serializer=PickleSerializer, compress=compress
    )


def queue(*args, salt="default", key="default", lock=None, **package):
    """Queue a call as ``async_task`` does; return the id that it hands out."""
    package = {
        "id": uuid.uuid4().hex,
        "name": "four-funny-words",
        "func": WORK,
        "args": args,
        "kwargs": {},
        "started": tables.LONG_AGO,
        **package,
    }
    tables.insert(QUEUE, key=key, payload=signed(package, salt=salt), lock=lock)
    return package["id"]


def schedule(func=WORK, **values):
    return tables.insert(SCHEDULES, func=func, **{"next_run": LATER, **values})


# -- tasks -----------------------------------------------------------------------------------------


def test_import_package_keeps_id_arguments_and_order(run):
    day = datetime(2026, 1, 1, tzinfo=timezone.utc)
    first = queue(1, day, Decimal("1.5"), kwargs={"key": uuid.UUID(int=7)})
    second = queue(2, lock=tables.LONG_AGO)
    result = run("django-q2")
    assert (result.code, result.err) == (0, "")
    tasks = list(Task.objects.find_available())
    assert [task.uid.hex for task in tasks] == [first, second]
    assert tasks[0].params() == ([1, day, Decimal("1.5")], {"key": uuid.UUID(int=7)})
    assert (tasks[0].task_name, tasks[0].queue, tasks[0].backend) == (WORK, "slow", None)
    assert tasks[0].enqueued_at == tables.LONG_AGO
    assert tables.read(QUEUE, "id") == []


def test_import_package_of_another_cluster_keeps_it_as_queue(run, settings):
    settings.Q_CLUSTER = {"name": "shop", "cluster_name": "fast"}
    queue(1, salt="shop", key="fast")
    queue(2, salt="shop", key="mail")
    assert run("django-q2").code == 0
    queues = {task.params()[0][0]: task.queue for task in Task.objects.all()}
    assert queues == {1: "slow", 2: "mail"}


def test_import_package_that_is_compressed_or_names_a_function_by_itself(run):
    package = {"id": uuid.uuid4().hex, "func": functions.plain, "args": ("x" * 1000,)}
    tables.insert(QUEUE, payload=signed(package, compress=True))
    result = run("django-q2", map=[f"tests.importing.functions.plain={WORK}"])
    assert result.code == 0
    assert Task.objects.get().params() == (["x" * 1000], {})


def test_import_package_that_a_cluster_has_taken_stays(run):
    queue(1, lock=django_timezone.now() + timedelta(hours=1))
    result = run("django-q2")
    assert result.code == 0
    assert "Not taken, running: 1" in result.out
    assert "stop the old workers" in result.err
    assert (len(tables.read(QUEUE, "id")), Task.objects.count()) == (1, 0)


def test_dry_run_changes_neither_table(run):
    queue(1, timeout=5)
    schedule(name="nightly", schedule_type="H")
    result = run("django-q2", dry_run=True)
    assert result.code == 0
    assert "without timeout" in result.out
    assert "every hour" in result.out
    assert (len(tables.read(QUEUE, "id")), tables.read(SCHEDULES, "repeats")) == (1, [-1])
    assert not Task.objects.exists()


class Trap:
    """Does something when it is read."""

    called = []

    def __reduce__(self):
        return (self.called.append, ("read",))


@pytest.mark.parametrize(
    ("package", "reason"),
    [
        ({"hook": "shop.done"}, "it has a hook"),
        ({"chain": [("shop.next", ())]}, "it has a chain"),
        ({"func": "tests.importing.functions.gone"}, "cannot be imported"),
        ({"args": (Trap(),)}, "cannot be read safely"),
        ({"args": ({1, 2},)}, "cannot be stored"),
        ({"args": "text"}, "are no list"),
        ({"func": 7}, "is no path"),
        ({"salt": "other"}, "signature"),
    ],
)
def test_import_package_that_nothing_corresponds_to_stays_with_its_reason(run, package, reason):
    Trap.called.clear()
    queue(**package)
    result = run("django-q2")
    assert result.code == 2
    assert reason in result.err
    assert Trap.called == []
    assert (len(tables.read(QUEUE, "id")), Task.objects.count()) == (1, 0)


@pytest.mark.parametrize("package", [b"no pickle", b"", pickle.dumps([1])])
def test_read_package_that_is_none_is_refused(package):
    class Bytes:
        def dumps(self, data):
            return data

    text = signing.dumps(package, salt="default", serializer=Bytes)
    with pytest.raises(InvalidOptionError, match="its package"):
        pickled.read_package(text, salt="default")


def test_import_package_twice_brings_it_once(run):
    queue(1)
    run("django-q2", keep=True)
    assert "Came over before: 1" in run("django-q2", keep=True).out
    assert Task.objects.count() == 1


# -- schedules -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "repeat", "rule"),
    [
        ({"schedule_type": "O"}, 0, None),
        ({"schedule_type": "I", "minutes": 5}, 300, None),
        ({"schedule_type": "H"}, 3600, None),
        ({"schedule_type": "D"}, 0, "days=+1"),
        ({"schedule_type": "BW"}, 0, "days=+14"),
        ({"schedule_type": "Q"}, 0, "months=+3"),
        ({"schedule_type": "Y"}, 0, "years=+1"),
        ({"schedule_type": "C", "cron": "30 3 * * 1-5"}, 0, "cron 30 3 * * 1-5 Europe/Berlin"),
    ],
)
def test_import_schedule_becomes_a_chain(run, settings, values, repeat, rule):
    settings.Q_CLUSTER = {"time_zone": "Europe/Berlin"}
    schedule(name="nightly", args="1, 'two'", kwargs="x=3", **values)
    result = run("django-q2")
    assert (result.code, result.err) == (0, "")
    task = Task.objects.get()
    assert task.params() == ([1, "two"], {"x": 3})
    assert (task.run_at, task.verbose_name, task.repeat) == (LATER, "nightly", repeat)
    assert (rule is None) == (task.repeat_rule is None)
    assert rule is None or rule in task.repeat_rule
    assert tables.read(SCHEDULES, "repeats") == [0]
    assert "Not taken, ended: 1" in run("django-q2").out


def test_import_monthly_schedule_keeps_the_end_of_the_month(run):
    schedule(schedule_type="M")
    run("django-q2")
    task = Task.objects.get()
    times = parse(task.repeat_rule).after(LATER, start=LATER)
    assert (times.month, times.day) == (2, 29)


def test_import_schedule_with_repeats_left_ends_after_them(run):
    schedule(schedule_type="H", repeats=1)
    run("django-q2")
    assert Task.objects.get().repetition(now=LATER) is None


def test_import_cron_schedule_that_has_no_next_run_begins_with_its_next_time(run):
    schedule(schedule_type="C", cron="0 0 1 1 *", next_run=None)
    run("django-q2")
    task = Task.objects.get()
    assert (task.run_at.month, task.run_at.day, task.run_at.hour) == (1, 1, 0)
    assert task.run_at > django_timezone.now()


@pytest.mark.parametrize("kwargs", ["{'a': 1, 'b': 'x'}", "a=1, b='x'"])
def test_import_schedule_reads_both_ways_to_write_keywords(run, kwargs):
    schedule(args="'alone'", kwargs=kwargs)
    run("django-q2")
    assert Task.objects.get().params() == (["alone"], {"a": 1, "b": "x"})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"hook": "shop.done"}, "it has a hook"),
        ({"kwargs": "{'q_options': {'chain': [1]}}"}, "it has a chain"),
        ({"intended_date_kwarg": "day"}, "intended date"),
        ({"args": "1 +"}, "its arguments"),
        ({"kwargs": "open('x')"}, "its keyword arguments"),
        ({"kwargs": "[1]"}, "no object with names"),
        ({"schedule_type": "C", "cron": "* * *"}, "crontab"),
        ({"schedule_type": "X"}, "is unknown"),
        ({"func": "math.copysign"}, "neither a @task nor"),
    ],
)
def test_import_schedule_that_nothing_corresponds_to_stays_with_its_reason(run, values, reason):
    schedule(**values)
    result = run("django-q2")
    assert result.code == 2
    assert reason in result.err
    assert tables.read(SCHEDULES, "repeats") == [-1]
    assert not Task.objects.exists()


def test_import_schedule_twice_brings_it_once(run):
    schedule(schedule_type="H")
    run("django-q2", keep=True)
    again = run("django-q2", keep=True)
    assert "Came over before: 1" in again.out
    assert (Task.objects.count(), tables.read(SCHEDULES, "repeats")) == (1, [-1])
