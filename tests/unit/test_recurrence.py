"""The next run of a repeating task, against the loop that the old library used."""

from datetime import datetime, timedelta, timezone

from hypothesis import given, strategies as st

from background_task.recurrence import next_run_at

UTC = timezone.utc
NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
moments = st.datetimes(
    min_value=datetime(2024, 4, 30), max_value=datetime(2024, 5, 2), timezones=st.just(UTC)
)


def by_counting(run_at, repeat, now):
    following = run_at + timedelta(seconds=repeat)
    while following < now:
        following += timedelta(seconds=repeat)
    return following


@given(run_at=moments, repeat=st.integers(60, 200_000))
def test_next_run_equals_counting_up(run_at, repeat):
    found = next_run_at(run_at, repeat=repeat, repeat_until=None, now=NOW)
    assert found == by_counting(run_at, repeat, NOW)


@given(run_at=moments, repeat=st.integers(1, 10**9), now=moments)
def test_next_run_keeps_the_phase_and_is_the_first_not_in_the_past(run_at, repeat, now):
    period = timedelta(seconds=repeat)
    found = next_run_at(run_at, repeat=repeat, repeat_until=None, now=now)
    assert (found - run_at) % period == timedelta(0)
    assert found > run_at
    assert found >= now or found - run_at == period
    assert found - period < now or found - run_at == period


@given(run_at=moments, repeat=st.integers(1, 10**6), until=moments)
def test_next_run_is_never_after_the_end(run_at, repeat, until):
    found = next_run_at(run_at, repeat=repeat, repeat_until=until, now=NOW)
    endless = next_run_at(run_at, repeat=repeat, repeat_until=None, now=NOW)
    assert found == (endless if endless <= until else None)


@given(run_at=moments, repeat=st.integers(max_value=0))
def test_repeat_of_nothing_is_no_repetition(run_at, repeat):
    assert next_run_at(run_at, repeat=repeat, repeat_until=None, now=NOW) is None


@given(repeat=st.integers(min_value=10**12))
def test_next_run_beyond_all_years_does_not_exist(repeat):
    assert next_run_at(NOW, repeat=repeat, repeat_until=None, now=NOW) is None


def test_long_downtime_costs_no_loop():
    ancient = datetime(1, 1, 1, tzinfo=UTC)
    found = next_run_at(ancient, repeat=1, repeat_until=None, now=NOW)
    assert found == NOW
