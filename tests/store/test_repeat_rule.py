"""Chains whose rule is more than a number of seconds."""

from datetime import datetime, timedelta, timezone

import pytest
from dateutil.relativedelta import relativedelta
from dateutil.rrule import MONTHLY, rrule
from django.utils.timezone import now as right_now

from background_task import telemetry
from background_task.attempt import Discarded, Failed, Succeeded
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import CompletedTask, Task
from background_task.recurrence import make_rule
from background_task.tasks import Tasks

END = datetime(2031, 3, 1, tzinfo=timezone.utc)
START = datetime(2031, 1, 31, 9, tzinfo=timezone.utc)
MONTHS = relativedelta(months=1, day=31)

tasks = Tasks()


@tasks.background(name="report")
def report():
    """Never run here."""


def run(store, task, outcome, *, now):
    claim = store.claim_one(task.pk, "w", now=now)
    ((finish),) = store.finish_many([(claim, outcome)], now=now)
    assert finish is not None
    return Task.objects.first()


def test_chain_of_month_ends_stays_at_month_ends(any_store):
    task = report(schedule=START, repeat=MONTHS)
    times = []
    for _ in range(14):
        task = run(any_store, task, Succeeded(), now=task.run_at + timedelta(minutes=1))
        times.append((task.run_at.month, task.run_at.day, task.run_at.hour))
    assert times[:3] == [(2, 28, 9), (3, 31, 9), (4, 30, 9)]
    assert times[12:] == [(2, 29, 9), (3, 31, 9)]
    assert CompletedTask.objects.count() == 14


def test_chain_keeps_its_rule_and_ends_with_repeat_until(any_store):
    task = report(
        schedule=START, repeat=MONTHS, repeat_until=datetime(2031, 3, 1, tzinfo=timezone.utc)
    )
    following = run(any_store, task, Succeeded(), now=START)
    assert following.repeat_rule == task.repeat_rule
    assert CompletedTask.objects.get().repeat_rule == task.repeat_rule
    assert following.is_repeating_task()
    assert run(any_store, following, Succeeded(), now=following.run_at) is None


def test_retry_does_not_shift_a_rule(any_store):
    task = report(schedule=START, repeat="0 9 * * *")
    Task.objects.update(run_at=START + timedelta(minutes=7))
    following = run(any_store, task, Succeeded(), now=START + timedelta(minutes=8))
    assert following.run_at == START + timedelta(days=1)


def test_missed_runs_are_skipped(any_store):
    task = report(schedule=START, repeat="0 9 * * *")
    later = START + timedelta(days=900, minutes=1)
    assert run(any_store, task, Succeeded(), now=later).run_at == START + timedelta(days=901)


@pytest.mark.parametrize(
    ("outcome", "goes_on"),
    [(Failed("x"), False), (Failed("x", repeats=True), True), (Discarded("x"), True)],
    ids=["failed", "failed, goes on", "discarded"],
)
def test_chain_after_an_end_that_is_no_success(any_store, outcome, goes_on):
    task = report(schedule=START, repeat=MONTHS)
    assert (run(any_store, task, outcome, now=START) is not None) == goes_on


def test_rule_that_cannot_be_read_ends_the_chain_and_is_told(any_store):
    task = report(schedule=START, repeat=MONTHS)
    Task.objects.update(repeat_rule="every now and then")
    told = []
    with telemetry.subscribed(
        lambda name, fields: told.append(fields["rule"]), to=("chain_broken",)
    ):
        assert run(any_store, task, Succeeded(), now=START) is None
    assert told == ["every now and then"]
    assert CompletedTask.objects.get().failed_at is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("repeat", "seconds"),
    [(None, 0), (0, 0), (90, 90), ("90", 90), (timedelta(minutes=5), 300), (Task.DAILY, 86400)],
)
def test_whole_seconds_stay_a_number(repeat, seconds):
    task = report(repeat=repeat)
    task.refresh_from_db()
    assert (task.repeat, task.repeat_rule) == (seconds, None)


@pytest.mark.django_db
def test_rule_with_times_of_its_own_begins_at_the_next_of_them():
    before = right_now()
    for repeat in ("59 23 * * *", rrule(MONTHLY, bymonthday=13, dtstart=datetime(2020, 1, 13, 8))):
        task = report(repeat=repeat)
        assert task.repeat == 0
        assert task.run_at > before
        rule = make_rule(repeat)
        assert task.run_at == rule.after(before, start=before)


@pytest.mark.django_db
@pytest.mark.parametrize("repeat", ["FREQ=DAILY", "FREQ=DAILY;COUNT=1"])
def test_rrule_without_a_start_begins_now(repeat):
    before = right_now()
    assert before <= report(repeat=repeat).run_at <= before + timedelta(seconds=60)


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize(
    "step", [relativedelta(hours=1), timedelta(hours=1, microseconds=1)], ids=str
)
def test_chain_that_begins_now_has_its_second_run_a_step_later(
    any_store, monkeypatch, step, catch_up
):
    """Not at the next full second, which a quick worker does not even wait for."""
    moment = START + timedelta(microseconds=900_000)
    monkeypatch.setattr("background_task.recurrence.chain.timezone.now", lambda: moment)
    task = report.using(catch_up=catch_up)(repeat=step)
    assert task.run_at == moment
    following = run(any_store, task, Succeeded(), now=moment + timedelta(microseconds=9))
    assert following.run_at == moment + step


@pytest.mark.django_db
def test_rule_without_times_of_its_own_begins_now():
    before = right_now()
    for repeat in (MONTHS, timedelta(seconds=1, microseconds=5)):
        assert before <= report(repeat=repeat).run_at <= right_now()


@pytest.mark.django_db
def test_random_minute_is_drawn_from_the_name_of_the_task():
    assert report(repeat="~ 4 * * *").repeat_rule == report(repeat="~ 4 * * *").repeat_rule
    assert "~" not in report(repeat="~ 4 * * *").repeat_rule


@pytest.mark.django_db
def test_bulk_and_using_take_rules():
    (task,) = report.using(repeat=MONTHS).bulk([((), {})], schedule=START)
    task.refresh_from_db()
    assert task.repeat_rule == report(schedule=START, repeat=MONTHS).repeat_rule


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("repeat", "error", "says"),
    [
        ("61 * * * *", InvalidOptionError, "61 * * * *"),
        ("every tuesday", InvalidOptionError, "every tuesday"),
        (timedelta(milliseconds=5), InvalidOptionError, "a second or more"),
        (object(), InvalidOptionTypeError, "object"),
        ("DTSTART:20200101T000000\nRRULE:FREQ=DAILY;COUNT=2", InvalidOptionError, "no occurrence"),
    ],
)
def test_wrong_rule_is_refused_at_the_call(repeat, error, says):
    with pytest.raises(error) as caught:
        report(repeat=repeat)
    assert says in str(caught.value)
    assert not Task.objects.exists()
