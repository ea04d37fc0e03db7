"""Chains of so many runs, and chains that make up for what they have missed."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from dateutil.relativedelta import relativedelta

from background_task import telemetry
from background_task.attempt import Discarded, Failed, Retry, Succeeded
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import CompletedTask, Task
from background_task.recurrence import Rule
from background_task.tasks import Tasks, TaskSchedule

NINE = datetime(2031, 5, 5, 9, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOW = NINE + 3 * HOUR + 20 * MINUTE
#: Seconds, which have no rule in the row, and each kind of rule.
HOURLY = [
    3600,
    "0 * * * *",
    "DTSTART:20310505T090000\nFREQ=HOURLY",
    relativedelta(hours=1),
]

tasks = Tasks()


@tasks.background(name="report")
def report(catch_up=None, repeat_count=None):
    """Never run here."""


def run(store, task, outcome=None, *, now):
    """Finish one run, as a set where the store can; return the row that is there then."""
    claim = store.claim_one(task.pk, "w", now=now)
    ((finish),) = store.finish_many([(claim, outcome or Succeeded())], now=now)
    assert finish is not None
    return Task.objects.first()


def times_until_waiting(store, task, *, now):
    """Run whatever is due at a moment; return the times of the rows, the waiting one at last."""
    times = []
    while task is not None:
        times.append(task.run_at - NINE)
        if task.run_at > now:
            break
        task = run(store, task, now=now)
    return times


# -- repeat_count -------------------------------------------------------------------------------


@pytest.mark.parametrize("repeat", HOURLY, ids=str)
def test_chain_has_as_many_runs_as_asked_for(any_store, repeat):
    task = report.using(repeat_count=3)(schedule=NINE, repeat=repeat)
    later = NINE + 30 * DAY
    runs = 0
    while task is not None:
        runs, task = runs + 1, run(any_store, task, now=max(later, task.run_at))
    assert runs == CompletedTask.objects.count() == 3
    left = [json.loads(row.options)["runs"] for row in CompletedTask.objects.order_by("id")]
    assert left == [3, 2, 1]


def test_runs_are_counted_whatever_their_outcome_and_retries_are_not(any_store):
    task = report.using(repeat_count=3, repeat=3600)(schedule=NINE)
    for _ in range(4):
        task = run(any_store, task, Retry("x", MINUTE), now=task.run_at)
    task = run(any_store, task, Failed("x", repeats=True), now=task.run_at)
    task = run(any_store, task, Discarded("x"), now=task.run_at)
    assert run(any_store, task, now=task.run_at) is None
    assert CompletedTask.objects.count() == 3


def test_chain_of_one_run_is_run_once(any_store):
    task = report.using(repeat_count=1)(schedule=NINE, repeat=3600)
    assert run(any_store, task, now=NINE) is None


@pytest.mark.parametrize(
    ("count", "rule", "until", "runs"),
    [
        (3, "FREQ=HOURLY;COUNT=9", None, 3),
        (9, "FREQ=HOURLY;COUNT=3", None, 3),
        (9, "FREQ=HOURLY", NINE + HOUR, 2),
        (2, "FREQ=HOURLY", NINE + 9 * HOUR, 2),
    ],
)
def test_chain_ends_with_whatever_ends_it_first(any_store, count, rule, until, runs):
    task = report.using(repeat_count=count)(schedule=NINE, repeat=rule, repeat_until=until)
    while task is not None:
        task = run(any_store, task, now=task.run_at)
    assert CompletedTask.objects.count() == runs


def test_count_of_the_rule_counts_what_was_skipped_and_the_other_does_not(any_store):
    task = report.using(repeat_count=3)(schedule=NINE, repeat="FREQ=HOURLY;COUNT=6")
    times = [task.run_at]
    task = run(any_store, task, now=NOW)
    while task is not None:
        times.append(task.run_at)
        task = run(any_store, task, now=task.run_at)
    assert [(moment - NINE) // HOUR for moment in times] == [0, 4, 5]


def test_count_that_cannot_be_read_ends_the_chain_and_is_told(any_store):
    task = report(schedule=NINE, repeat=3600)
    Task.objects.update(options='{"runs":"many"}')
    told = []
    with telemetry.subscribed(
        lambda name, fields: told.append(str(fields["exception"])), to=("chain_broken",)
    ):
        assert run(any_store, task, now=NINE) is None
    assert told == ["repeat_count 'many' is of type str; use a whole number"]
    assert CompletedTask.objects.get().failed_at is None


# -- catch_up -----------------------------------------------------------------------------------


@pytest.mark.parametrize("repeat", HOURLY, ids=str)
@pytest.mark.parametrize(
    ("catch_up", "hours"),
    [(None, [0, 4]), ("skip", [0, 4]), ("one", [0, 3, 4]), ("all", [0, 1, 2, 3, 4])],
)
def test_after_downtime_chain_makes_up_for_what_it_was_asked_to(any_store, repeat, catch_up, hours):
    task = report.using(catch_up=catch_up)(schedule=NINE, repeat=repeat)
    found = times_until_waiting(any_store, task, now=NOW)
    assert found == [hour * HOUR for hour in hours]


@pytest.mark.parametrize(
    ("options", "hours"),
    [
        ({"catch_up": "all", "repeat_count": 3}, [0, 1, 2]),
        ({"catch_up": "one", "repeat_count": 2}, [0, 3]),
        ({"catch_up": "all", "repeat_until": NINE + 2 * HOUR}, [0, 1, 2]),
        ({"catch_up": "one", "repeat_until": NINE + 2 * HOUR}, [0, 2]),
        ({"catch_up": "skip", "repeat_until": NINE + 2 * HOUR}, [0]),
    ],
    ids=str,
)
def test_chain_that_makes_up_ends_where_it_is_to_end(any_store, options, hours):
    task = report.using(repeat=3600, **options)(schedule=NINE)
    assert times_until_waiting(any_store, task, now=NOW) == [hour * HOUR for hour in hours]
    assert not Task.objects.exists()


@pytest.mark.parametrize("repeat", [3600, "0 * * * *"])
@pytest.mark.parametrize(
    ("catch_up", "following"), [("one", NINE + 3 * HOUR), ("all", NINE + HOUR)]
)
def test_retry_does_not_pass_over_what_was_missed(any_store, repeat, catch_up, following):
    task = report.using(catch_up=catch_up)(schedule=NINE, repeat=repeat)
    for delay in (MINUTE, HOUR):
        task = run(any_store, task, Retry("x", delay), now=NOW - 2 * HOUR)
        assert task.run_at == NOW - 2 * HOUR + delay
    first = task.options
    task = run(any_store, task, now=NOW)
    assert task.run_at == following
    assert json.loads(task.options) == {"catch_up": catch_up}
    assert json.loads(first) == {"catch_up": catch_up, "tick": NINE.isoformat()}


def test_user_code_that_reschedules_passes_over_nothing_either(any_store):
    task = report.using(catch_up="all")(schedule=NINE - 999 * 365 * DAY, repeat=3600)
    task.reschedule(ValueError, ValueError(), None)
    task.refresh_from_db()
    following = run(any_store, task, now=NOW)
    assert following.run_at == NINE - 999 * 365 * DAY + HOUR


def test_chain_that_is_moved_by_hand_goes_on_from_there(any_store):
    task = report.using(catch_up="all")(schedule=NINE, repeat=3600)
    Task.objects.update(run_at=NINE + 3 * HOUR)
    assert run(any_store, task, now=NOW).run_at == NINE + 4 * HOUR


def test_chain_that_is_rescheduled_after_a_retry_goes_on_from_there(any_store):
    task = report.using(catch_up="all")(schedule=NINE, repeat=3600)
    task = run(any_store, task, Retry("x", MINUTE), now=NINE)
    existing = {"action": TaskSchedule.RESCHEDULE_EXISTING, "run_at": NINE + 3 * HOUR}
    assert report(schedule=existing) is None
    assert run(any_store, task, now=NOW).run_at == NINE + 4 * HOUR


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize("repeat", [1, timedelta(seconds=1, microseconds=5), "* * * * *"], ids=str)
def test_ten_years_of_downtime_cost_no_loop(any_store, catch_up, repeat, monkeypatch):
    asked = []
    after = Rule.after

    def counting(self, moment, *, start):
        asked.append(moment)
        return after(self, moment, start=start)

    task = report.using(catch_up=catch_up)(schedule=NINE, repeat=repeat)
    monkeypatch.setattr(Rule, "after", counting)
    now = NINE + 3650 * DAY + timedelta(seconds=30)
    found = run(any_store, task, now=now).run_at
    assert len(asked) < 100
    if catch_up == "all":
        assert NINE < found <= NINE + MINUTE
    else:
        assert abs(found - now) <= MINUTE
        assert (found < now) == (catch_up == "one" and found != now)


def test_last_second_of_the_calendar_ends_the_chain(any_store):
    task = report.using(catch_up="one")(schedule=NINE, repeat=2**63 - 1)
    assert run(any_store, task, now=NOW) is None
    assert CompletedTask.objects.count() == 1


# -- the call -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_options_of_a_chain_take_no_name_from_the_function():
    task = report.using(repeat_count=2)(repeat=3600, repeat_count=7, catch_up="mine")
    assert task.params() == ([], {"repeat_count": 7, "catch_up": "mine"})
    assert json.loads(task.options) == {"runs": 2}


@pytest.mark.django_db
def test_options_of_a_chain_stand_beside_those_of_the_policy():
    first = report.using(repeat=3600, repeat_count=5, catch_up="one", max_attempts=3)
    assert json.loads(first().options) == {"max": 3, "runs": 5, "catch_up": "one"}
    second = first.using(repeat_count=None, catch_up="skip", timeout=5)
    assert json.loads(second().options) == {"max": 3, "timeout": 5.0}
    rows = first.bulk([((), {}), ((1,), {})])
    assert {row.options for row in rows} == {first().options}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"repeat_count": 0, "repeat": 60}, InvalidOptionError, "repeat_count 0 is out of range"),
        ({"repeat_count": 0}, InvalidOptionError, "repeat_count 0 is out of range"),
        ({"repeat_count": "3"}, InvalidOptionTypeError, "use a whole number"),
        ({"catch_up": "most"}, InvalidOptionError, "catch_up 'most' is unknown"),
    ],
)
def test_option_of_a_chain_that_cannot_work_is_refused_at_once(options, error, says):
    with pytest.raises(error, match=says):
        report.using(**options)


@pytest.mark.django_db
@pytest.mark.parametrize("repeat", [None, 0, "0", -60, timedelta(0)], ids=str)
@pytest.mark.parametrize("options", [{"repeat_count": 3}, {"catch_up": "skip"}], ids=str)
def test_option_of_a_chain_is_refused_at_a_call_that_begins_none(options, repeat):
    waiting = report.using(**options)
    with pytest.raises(InvalidOptionError, match="has no effect without repeat"):
        waiting(repeat=repeat)
    with pytest.raises(InvalidOptionError, match="has no effect without repeat"):
        waiting.bulk([((), {})], repeat=repeat)
    assert not Task.objects.exists()
    assert waiting(repeat=60) is not None


@pytest.mark.django_db
def test_chain_that_is_unique_until_its_finish_keeps_count(any_store):
    only = report.using(unique=True, unique_until="finish", repeat_count=2, catch_up="all")
    task = only(schedule=NINE, repeat=3600)
    task = run(any_store, task, now=NOW)
    assert json.loads(task.options) == {"runs": 1, "catch_up": "all", "unique": "finish"}
    assert only(schedule=NINE, repeat=3600) is None
    assert run(any_store, task, now=NOW) is None
