"""Schedules of django-celery-beat, as rows and as settings."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone

from background_task.declaration import declared
from background_task.models import Task
from background_task.tasks import tasks
from tests.importing import tables

PERIODIC, CHANGED = "django_celery_beat_periodictask", "django_celery_beat_periodictasks"
WORK = "tests.importing.functions.work"
LATER = datetime(2040, 1, 31, 7, 8, 9, tzinfo=timezone.utc)
LAST = datetime(2026, 3, 2, 12, tzinfo=timezone.utc)


def schedule(name="nightly", task=WORK, **values):
    return tables.insert(PERIODIC, name=name, task=task, **values)


def crontab(**fields):
    return {"crontab_id": tables.insert("django_celery_beat_crontabschedule", **fields)}


def interval(every, period):
    key = tables.insert("django_celery_beat_intervalschedule", every=every, period=period)
    return {"interval_id": key}


def clocked(moment):
    key = tables.insert("django_celery_beat_clockedschedule", clocked_time=moment)
    return {"clocked_id": key, "one_off": True}


def enabled():
    return [bool(value) for value in tables.read(PERIODIC, "enabled")]


def test_import_crontab_becomes_a_chain_by_its_own_clock(run):
    times = crontab(minute="30", hour="3", day_of_week="1-5", timezone="Asia/Tokyo")
    schedule(
        args=json.dumps([1]), kwargs=json.dumps({"x": 2}), queue="mail", last_run_at=LAST, **times
    )
    result = run("django-celery-beat")
    assert (result.code, result.err) == (0, "")
    assert "Took 1, disabled there" in result.out
    assert f"1     nightly: {WORK}" in result.out
    task = Task.objects.get()
    assert task.params() == ([1], {"x": 2})
    assert (task.task_name, task.queue, task.verbose_name) == (WORK, "mail", "nightly")
    assert task.repeat_rule == "cron 30 3 * * 1-5 Asia/Tokyo"
    # The first one since it ran, as beat would send it.
    assert task.run_at == datetime(2026, 3, 2, 18, 30, tzinfo=timezone.utc)
    assert enabled() == [False]


def test_import_tells_a_beat_that_is_running(run):
    tables.insert(CHANGED, ident=1, last_update=LAST)
    before = tables.read(CHANGED, "last_update", key="ident")
    schedule(**crontab())
    run("django-celery-beat")
    after = tables.read(CHANGED, "last_update", key="ident")
    assert len(after) == 1
    assert after != before


@pytest.mark.parametrize(
    ("every", "period", "repeat", "rule"),
    [
        (10, "minutes", 600, None),
        (2, "days", 172800, None),
        (1_500_000, "microseconds", 0, "every 1.500000"),
    ],
)
def test_import_interval_counts_on_from_its_last_run(run, every, period, repeat, rule):
    schedule(last_run_at=LAST, **interval(every, period))
    run("django-celery-beat")
    task = Task.objects.get()
    assert (task.repeat, task.repeat_rule) == (repeat, rule)
    assert task.run_at == LAST + timedelta(**{period: every})


def test_import_clocked_runs_once_at_its_time(run):
    schedule(**clocked(LATER))
    run("django-celery-beat")
    task = Task.objects.get()
    assert (task.run_at, task.repeat, task.repeat_rule) == (LATER, 0, None)


def test_import_one_off_crontab_runs_once(run):
    schedule(one_off=True, **crontab(minute="0"))
    run("django-celery-beat")
    task = Task.objects.get()
    assert (task.run_at.minute, task.repeat_rule) == (0, None)


def test_import_start_end_and_expiry_come_along(run):
    times = interval(1, "hours")
    schedule(start_time=LATER, expires=LATER + timedelta(days=1), last_run_at=LAST, **times)
    schedule(name="quick", expire_seconds=30, **times)
    assert run("django-celery-beat").code == 0
    task, quick = Task.objects.order_by("pk")
    assert (task.run_at, task.repeat_until) == (LATER, LATER + timedelta(days=1))
    assert json.loads(quick.options) == {"expires": 30, "go_on": True}


def test_import_what_is_disabled_ended_or_celerys_own_stays(run):
    times = crontab()
    schedule(enabled=False, **times)
    schedule("once", one_off=True, total_run_count=1, **times)
    schedule("celery.backend_cleanup", task="celery.backend_cleanup", **times)
    result = run("django-celery-beat")
    assert result.code == 0
    assert "Not taken, disabled: 1" in result.out
    assert "Not taken, of Celery itself, or ended: 2" in result.out
    assert (enabled(), Task.objects.count()) == ([False, True, True], 0)


def test_import_tells_what_it_does_without(run):
    schedule(priority=3, exchange="x", headers='{"a": 1}', **crontab())
    result = run("django-celery-beat", dry_run=True)
    assert "without exchange, without priority, without headers" in result.out
    assert (result.code, enabled(), Task.objects.count()) == (0, [True], 0)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"solar_id": 1}, "it follows the sun"),
        ({}, "it has no time at all"),
        ({"crontab_id": 999}, "its crontab 999 is not there"),
        ({"args": "[1,"}, "are no JSON"),
        ({"kwargs": "[]"}, "no object with names"),
        ({"task": "shop.gone"}, "cannot be imported"),
        ({"expires": LAST - timedelta(days=1)}, "it expired at"),
        ({"crontab": {"day_of_month": "13", "day_of_week": "5"}}, "Celery runs it when both match"),
        ({"crontab": {"minute": "61"}}, "cannot be read"),
        ({"interval": (0, "days")}, "its interval of 0 days is none"),
        ({"interval": (1, "microseconds")}, "too short"),
        ({"interval": (1, "moons")}, "its interval of 1 moons is none"),
    ],
)
def test_import_schedule_that_nothing_corresponds_to_stays_with_its_reason(run, values, reason):
    times = {"crontab": lambda fields: crontab(**fields), "interval": lambda each: interval(*each)}
    given = dict(values)
    for kind in set(given) & set(times):
        given |= times[kind](given.pop(kind))
    if set(given) & {"args", "kwargs", "task", "expires"}:
        given |= crontab()
    schedule(**given)
    schedule("another", **crontab())
    result = run("django-celery-beat")
    assert result.code == 2
    assert reason in result.err
    assert (enabled(), Task.objects.count()) == ([True, False], 1)


def test_import_twice_brings_it_once(run):
    schedule(**crontab())
    run("django-celery-beat", keep=True)
    assert "Came over before: 1" in run("django-celery-beat", keep=True).out
    assert (enabled(), Task.objects.count()) == ([True], 1)
    run("django-celery-beat")
    assert (enabled(), Task.objects.count()) == ([False], 1)


def test_import_mapped_to_a_task_gets_the_backend(run):
    schedule(task="old.send", args="[1]", **crontab())
    run("django-celery-beat", map="old.send=tests.importing.functions.send")
    task = Task.objects.get()
    assert (task.task_name, task.backend) == ("tests.importing.functions.send", "default")


# -- settings --------------------------------------------------------------------------------------


def test_print_settings_gives_text_that_settings_take(run):
    schedule(args="[1]", queue="mail", **crontab(minute="30", hour="3", timezone="Asia/Tokyo"))
    schedule("often", kwargs='{"x": null}', **interval(5, "minutes"))
    schedule("odd", **interval(1_500_000, "microseconds"))
    result = run("django-celery-beat", print_settings=True)
    assert (result.code, result.err) == (0, "")
    assert (
        "    # without its queue 'mail': set that of the function\n    'nightly': {" in result.out
    )
    names = {}
    exec(result.out, names)
    found = declared(tasks._tasks, names["BACKGROUND_TASK_PERIODIC"])
    assert str(found["nightly"].rule) == "cron 30 3 * * * Asia/Tokyo"
    assert (found["nightly"].args, found["often"].kwargs) == ([1], {"x": None})
    assert names["BACKGROUND_TASK_PERIODIC"]["often"]["schedule"] == 300
    assert str(found["odd"].rule) == "every 1.500000"
    assert (enabled(), Task.objects.count()) == ([True] * 3, 0)


def test_print_settings_says_what_no_settings_say(run):
    schedule(**clocked(LATER))
    schedule("task", task="tests.importing.functions.send", args="[1]", **crontab())
    result = run("django-celery-beat", print_settings=True)
    assert result.code == 2
    assert "it runs once" in result.err
    assert "is a @task" in result.err


def test_print_settings_of_a_source_without_schedules_is_refused(run):
    assert "this source has no schedules" in run("django-dbtasks", print_settings=True).problem


def test_import_before_its_next_time_does_not_run_it(run):
    schedule(**crontab(minute="0", hour="0", day_of_month="1", month_of_year="1"))
    run("django-celery-beat")
    assert Task.objects.get().run_at > django_timezone.now()
