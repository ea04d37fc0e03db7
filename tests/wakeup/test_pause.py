"""How long a polling worker pauses, and how often it is woken at most."""

import pytest
from hypothesis import given, strategies as st

from background_task.wakeup import Polling, Wakeup
from background_task.wakeup.base import (
    LEAST_JITTER,
    LONGEST_REST_SECONDS,
    SHORTEST_PAUSE_SECONDS,
    Patience,
    pause_after,
)

IDLE = st.floats(min_value=0, max_value=1e9)
SLEEP = st.floats(min_value=0, max_value=1e6)
JITTER = st.floats(min_value=LEAST_JITTER, max_value=1)


@given(idle=IDLE, sleep=SLEEP, jitter=JITTER)
def test_pause_is_never_above_sleep(idle, sleep, jitter):
    assert 0 <= pause_after(idle, longest=sleep, jitter=jitter) <= sleep


@given(idle=IDLE, jitter=JITTER)
def test_pause_is_a_twentieth_of_the_idle_time_at_most(idle, jitter):
    pause = pause_after(idle, longest=1e12, jitter=jitter)
    assert pause <= max(SHORTEST_PAUSE_SECONDS, idle * 0.0500001)
    assert pause >= LEAST_JITTER * SHORTEST_PAUSE_SECONDS


@given(idle=IDLE, more=IDLE, sleep=SLEEP, jitter=JITTER)
def test_pause_does_not_shrink_while_idle(idle, more, sleep, jitter):
    first = pause_after(idle, longest=sleep, jitter=jitter)
    assert pause_after(idle + more, longest=sleep, jitter=jitter) >= first


@given(st.lists(st.floats(min_value=0.2, max_value=1.0), min_size=200, max_size=200), JITTER)
def test_tasks_some_tenths_apart_are_picked_up_within_60_ms(gaps, jitter):
    latencies = []
    for gap in gaps:
        look = 0.0
        while look < gap:
            look += pause_after(look, longest=5.0, jitter=jitter)
        latencies.append(look - gap)
    assert sorted(latencies)[int(len(gaps) * 0.95)] <= 0.06


@given(st.floats(min_value=0, max_value=5.9), JITTER)
def test_task_after_a_rest_of_some_seconds_is_picked_up_within_300_ms(gap, jitter):
    look = 0.0
    while look < gap:
        look += pause_after(look, longest=5.0, jitter=jitter)
    assert look - gap <= 0.3


@given(JITTER)
def test_idle_worker_looks_less_than_once_in_two_seconds(jitter):
    looks, idle = 0, 60.0
    while idle < 360.0:
        idle += pause_after(idle, longest=5.0, jitter=jitter)
        looks += 1
    assert looks <= 300 / 2


def test_longest_pause_differs_between_workers():
    polling = Polling()
    pauses = {Wakeup("default", polling).longest_pause(1e6, 5.0) for _ in range(100)}
    polling.close()
    assert len(pauses) > 10
    assert all(5.0 * LEAST_JITTER <= pause <= 5.0 for pause in pauses)


def test_first_news_after_silence_is_looked_at_at_once():
    patience = Patience()
    assert patience.rest(100.0) == 0
    patience.count(100.0)
    assert patience.rest(100.0) == 0
    patience.count(101.0)
    assert patience.rest(101.0) == 0


def test_news_in_vain_again_and_again_are_looked_at_ten_times_a_second():
    patience, now, looks = Patience(), 100.0, 0
    while now < 110.0:
        now += 0.001 + patience.rest(now + 0.001)  # the next news comes a millisecond later
        patience.count(now)
        looks += 1
    assert looks <= 110
    assert patience.rest(now) == pytest.approx(LONGEST_REST_SECONDS)


def test_news_after_work_are_looked_at_at_once():
    patience = Patience()
    for number in range(10):
        patience.count(100.0 + number / 100)
    assert patience.rest(100.1) > 0
    patience.reset()
    assert patience.rest(100.1) == 0
