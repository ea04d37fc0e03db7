"""Schedules: every kind of value, and that merging never invents anything."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from django.utils import timezone as django_timezone
from hypothesis import given, strategies as st

from background_task.schedule import TaskSchedule

MOMENT = datetime(2030, 1, 1, tzinfo=timezone.utc)

run_ats = (
    st.none()
    | st.integers(-(10**6), 10**6)
    | st.floats(-1e6, 1e6)
    | st.timedeltas(timedelta(days=-9), timedelta(days=9))
    | st.just(MOMENT)
)
schedules = st.builds(
    TaskSchedule,
    run_at=run_ats,
    priority=st.none() | st.integers(-9, 9),
    action=st.none() | st.integers(0, 2),
)


@given(run_ats)
def test_time_is_now_plus_the_delay(value):
    before = django_timezone.now()
    found = TaskSchedule.create(value).run_at
    after = django_timezone.now()
    if isinstance(value, datetime):
        assert found == value
        return
    delay = value if isinstance(value, timedelta) else timedelta(seconds=value or 0)
    assert before + delay <= found <= after + delay


@given(schedules, schedules)
def test_merge_takes_each_part_from_the_first_that_has_it(first, second):
    merged = first.merge(second)
    for part in ("_run_at", "_priority", "_action"):
        own, other = getattr(first, part), getattr(second, part)
        assert getattr(merged, part) == (other if own is None else own)


@given(schedules)
def test_merge_with_nothing_changes_nothing(schedule):
    assert schedule.merge(TaskSchedule()) == schedule
    assert TaskSchedule().merge(schedule) == schedule


@given(schedules, schedules, schedules)
def test_merge_is_associative(a, b, c):
    assert a.merge(b).merge(c) == a.merge(b.merge(c))


@given(st.integers() | st.floats() | st.timedeltas())
def test_any_delay_is_a_time_or_is_refused(value):
    if is_a_time(value):
        assert isinstance(TaskSchedule.create(value).run_at, datetime)
    else:
        with pytest.raises(ValueError, match=re.escape(repr(value))):
            TaskSchedule.create(value)


def is_a_time(delay):
    try:
        if not isinstance(delay, timedelta):
            delay = timedelta(seconds=delay)
        return bool(django_timezone.now() + delay)
    except (ValueError, OverflowError):  # NaN, infinity, beyond the year 9999
        return False


@pytest.mark.parametrize("value", ["now", b"", object(), [1], {1}])
def test_what_is_no_schedule_is_refused(value):
    with pytest.raises(TypeError, match="use seconds, a timedelta"):
        TaskSchedule.create(value)


@pytest.mark.parametrize("value", [{"when": 1}, {"run_at": 1, "prio": 2}, {1: 2}])
def test_mapping_with_unknown_keys_is_refused(value):
    with pytest.raises(ValueError, match="takes run_at, priority and action"):
        TaskSchedule.create(value)


@given(st.integers().filter(lambda number: number not in (0, 1, 2)))
def test_unknown_action_is_refused(action):
    with pytest.raises(ValueError, match="RESCHEDULE_EXISTING"):
        TaskSchedule.create({"action": action})
