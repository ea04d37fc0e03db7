"""Which tick is put and which is next: pure arithmetic, ``now`` is a parameter."""

from datetime import datetime, timedelta, timezone

import pytest

from background_task import periodic
from background_task.tasks import Tasks
from tests.periodic.conftest import HOUR, LEASE, NOON, SECOND


def step(catch_up, *, late, schedule=3600, was_watched=False, due_at=NOON):
    @periodic(schedule, catch_up=catch_up)
    @Tasks().background(name="t")
    def function():
        pass

    return function.schedules[0].step(
        due_at, now=due_at + late, grace=LEASE, was_watched=lambda moment: was_watched
    )


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize("late", [timedelta(0), SECOND, LEASE])
def test_step_in_time_puts_the_tick_itself(catch_up, late):
    assert step(catch_up, late=late) == (NOON, NOON + HOUR)


def test_step_after_downtime_skips_what_was_missed():
    assert step("skip", late=LEASE + SECOND) == (None, NOON + HOUR)
    assert step("skip", late=5 * HOUR + 2 * LEASE) == (None, NOON + 6 * HOUR)


def test_step_after_downtime_puts_the_latest_once():
    late = 5 * HOUR + 2 * LEASE
    assert step("one", late=LEASE + SECOND) == (NOON, NOON + HOUR)
    assert step("one", late=late) == (NOON + 5 * HOUR, NOON + 6 * HOUR)


def test_step_after_downtime_puts_each():
    assert step("all", late=5 * HOUR + 2 * LEASE) == (NOON, NOON + HOUR)


def test_step_of_worker_that_was_busy_puts_the_latest():
    late = 5 * HOUR + 2 * LEASE
    assert step("skip", late=late, was_watched=True) == (NOON + 5 * HOUR, NOON + 6 * HOUR)


def test_step_asks_who_was_there_only_before_it_drops_a_tick():
    asked = []

    @periodic(3600)
    @Tasks().background(name="t")
    def function():
        pass

    (declaration,) = function.schedules
    for late in (SECOND, 5 * HOUR + SECOND, 5 * HOUR + 2 * LEASE):
        declaration.step(NOON, now=NOON + late, grace=LEASE, was_watched=asked.append)
    assert asked == [NOON + 5 * HOUR]


@pytest.mark.parametrize("catch_up", ["skip", "one"])
def test_step_of_secondly_goes_on_within_the_last_lease(catch_up):
    """However long the downtime was, no more than a lease's worth of ticks is put."""
    assert step(catch_up, late=100 * HOUR, schedule=1) == (
        NOON + 100 * HOUR - LEASE,
        NOON + 100 * HOUR - LEASE + SECOND,
    )


def test_step_of_rule_that_ends_has_no_next():
    last = datetime(2030, 5, 14, 12, tzinfo=timezone.utc)
    rule = "DTSTART:20300501T120000Z RRULE:FREQ=DAILY;UNTIL=20300514T120000Z"
    assert step("skip", late=SECOND, schedule=rule, due_at=last) == (last, None)
    assert step("one", late=HOUR, schedule=rule, due_at=last) == (last, None)
    assert step("skip", late=HOUR, schedule=rule, due_at=last) == (None, None)


@pytest.mark.parametrize("catch_up", ["skip", "one", "all"])
@pytest.mark.parametrize("late", [SECOND, 10 * LEASE, 30 * HOUR])
def test_steps_are_finite_and_each_later_than_the_one_before(catch_up, late):
    @periodic(timedelta(minutes=7), catch_up=catch_up)
    @Tasks().background(name="t")
    def function():
        pass

    (declaration,) = function.schedules
    due_at = declaration.after(NOON)
    now = due_at + late
    put = []
    while due_at <= now:
        tick, due_at = declaration.step(due_at, now=now, grace=LEASE, was_watched=lambda m: True)
        put.append(tick)
    assert put == sorted(set(put))
    assert due_at == declaration.after(now)
