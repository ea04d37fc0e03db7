"""Section 6, and TestTaskSchedule of section 15."""

from datetime import datetime, timedelta, timezone as dt_timezone

import pytest
from django.utils import timezone

from background_task.tasks import TaskSchedule

MOMENT = datetime(2031, 5, 6, 7, 8, 9, tzinfo=dt_timezone.utc)


def close_to(moment, seconds=0.0):
    """Whether a moment is that many seconds from now, give or take five."""
    return abs((moment - timezone.now()).total_seconds() - seconds) < 5


def test_read_action_constants_have_old_values():
    assert TaskSchedule.SCHEDULE == 0
    assert TaskSchedule.RESCHEDULE_EXISTING == 1
    assert TaskSchedule.CHECK_EXISTING == 2


def test_read_empty_schedule_is_now_with_priority_and_action_zero():
    schedule = TaskSchedule()
    assert close_to(schedule.run_at)
    assert schedule.priority == 0
    assert schedule.action == TaskSchedule.SCHEDULE


def test_read_priority_and_action_given_are_kept():
    schedule = TaskSchedule(priority=-7, action=TaskSchedule.CHECK_EXISTING)
    assert schedule.priority == -7
    assert schedule.action == TaskSchedule.CHECK_EXISTING


@pytest.mark.parametrize("value", [None, 0, timedelta(0)])
def test_read_run_at_of_nothing_is_now(value):
    assert close_to(TaskSchedule(run_at=value).run_at)


@pytest.mark.parametrize("value", [600, timedelta(minutes=10)])
def test_read_run_at_of_delay_counts_from_now(value):
    assert close_to(TaskSchedule(run_at=value).run_at, 600)


def test_read_run_at_of_moment_is_that_moment():
    assert TaskSchedule(run_at=MOMENT).run_at == MOMENT


def test_read_run_at_of_naive_moment_is_passed_through_unchanged():
    naive = datetime(2031, 5, 6, 7, 8, 9)
    assert TaskSchedule(run_at=naive).run_at is naive


def test_read_run_at_twice_measures_from_each_reading():
    schedule = TaskSchedule(run_at=600)
    first = schedule.run_at
    while schedule.run_at == first:
        pass
    assert schedule.run_at > first


def test_create_from_schedule_returns_the_same_object():
    schedule = TaskSchedule(run_at=10, priority=2)
    assert TaskSchedule.create(schedule) is schedule


@pytest.mark.parametrize("value", [None, {}])
def test_create_from_nothing_gives_empty_schedule(value):
    assert TaskSchedule.create(value) == TaskSchedule()


def test_create_from_zero_runs_now():
    schedule = TaskSchedule.create(0)
    assert close_to(schedule.run_at)
    assert (schedule.priority, schedule.action) == (0, TaskSchedule.SCHEDULE)


@pytest.mark.parametrize("value", [10, timedelta(seconds=10), MOMENT])
def test_create_from_time_is_its_run_at(value):
    assert TaskSchedule.create(value) == TaskSchedule(run_at=value)


def test_create_from_true_is_one_second():
    assert close_to(TaskSchedule.create(True).run_at, 1)


def test_create_from_mapping_takes_its_three_keys():
    given = {"run_at": 10, "priority": 2, "action": TaskSchedule.RESCHEDULE_EXISTING}
    assert TaskSchedule.create(given) == TaskSchedule(
        run_at=10, priority=2, action=TaskSchedule.RESCHEDULE_EXISTING
    )


def test_create_from_partial_mapping_leaves_the_rest_empty():
    assert TaskSchedule.create({"priority": 2}) == TaskSchedule(priority=2)
    assert TaskSchedule.create({"run_at": MOMENT}) == TaskSchedule(run_at=MOMENT)


def test_merge_takes_own_values_first_and_fills_from_the_other():
    merged = TaskSchedule(run_at=10).merge(TaskSchedule(run_at=20, priority=2, action=1))
    assert merged == TaskSchedule(run_at=10, priority=2, action=1)


def test_merge_own_zero_priority_wins():
    merged = TaskSchedule(priority=0).merge(TaskSchedule(run_at=20, priority=2))
    assert merged == TaskSchedule(run_at=20, priority=0)


def test_merge_own_zero_action_wins():
    merged = TaskSchedule(action=TaskSchedule.SCHEDULE).merge(TaskSchedule(action=2))
    assert merged.action == TaskSchedule.SCHEDULE


def test_merge_changes_neither_side():
    ours, theirs = TaskSchedule(priority=1), TaskSchedule(run_at=5)
    merged = ours.merge(theirs)
    assert merged is not ours
    assert merged is not theirs
    assert ours == TaskSchedule(priority=1)
    assert theirs == TaskSchedule(run_at=5)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (TaskSchedule(run_at=10, priority=0), "TaskSchedule(run_at=10, priority=0)"),
        (TaskSchedule(), "TaskSchedule(run_at=None, priority=None)"),
        (TaskSchedule(run_at=1, priority=2, action=1), "TaskSchedule(run_at=1, priority=2)"),
    ],
)
def test_repr_shows_raw_time_and_priority(schedule, text):
    assert repr(schedule) == text


@pytest.mark.parametrize(
    "other", [TaskSchedule(run_at=11), TaskSchedule(priority=0), TaskSchedule(run_at=10, action=0)]
)
def test_compare_schedules_that_differ_in_a_raw_value_are_unequal(other):
    assert TaskSchedule(run_at=10) != other


def test_compare_schedules_with_equal_raw_values_are_equal():
    assert TaskSchedule(10, 2, 1) == TaskSchedule(run_at=10, priority=2, action=1)
