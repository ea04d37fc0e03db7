"""Waits: of a failed task, and of a worker whose database is away."""

from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from background_task.backoff import delay_after
from background_task.worker.control import Backoff


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 6), (2, 21), (3, 86), (4, 261), (5, 630), (24, 331_781)]
)
def test_delay_is_the_old_one(attempts, seconds):
    assert delay_after(attempts) == timedelta(seconds=seconds)


@given(st.integers(1, 10**9))
def test_delay_never_shrinks_and_always_fits_a_date(attempts):
    assert timedelta(0) < delay_after(attempts) <= delay_after(attempts + 1) < timedelta(days=4000)


@given(longest=st.floats(0.1, 60), failures=st.integers(1, 100))
def test_first_try_again_is_at_once_and_later_ones_wait_within_the_cap(longest, failures):
    backoff = Backoff(longest=longest)
    waits = [backoff.next() for _ in range(failures)]
    assert waits[0] == 0
    assert all(0 < wait <= longest for wait in waits[1:])
    assert backoff.reset() == (failures > 1)
    assert backoff.reset() is False
    assert backoff.next() == 0


def test_waits_grow_and_are_not_all_alike():
    backoffs = [Backoff(longest=5.0) for _ in range(20)]
    rounds = [[backoff.next() for backoff in backoffs] for _ in range(12)]
    assert len(set(rounds[-1])) > 1
    assert max(rounds[2]) < min(rounds[8])
