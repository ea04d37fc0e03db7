"""Downtime, deployments and pauses: what is put by the workers that come after them."""

import pytest

from background_task import periodic
from background_task.models import Schedule, Task, Worker
from background_task.recurrence.zone import instant
from tests.periodic.conftest import (
    DAY,
    HOUR,
    LEASE,
    NOON,
    SECOND,
    due,
    hours,
    read_and_tick,
    redeclared,
    row,
)

pytestmark = pytest.mark.django_db(transaction=True)

# -- downtime --------------------------------------------------------------------------------------

AFTER_DOWNTIME = {
    "skip": [*hours(0), *hours(51)],
    "one": [*hours(0), *hours(50), *hours(51)],
    "all": [*hours(0), *hours(*range(1, 51)), *hours(51)],
}


@pytest.mark.parametrize("catch_up", AFTER_DOWNTIME)
def test_restart_after_downtime_does_what_catch_up_says(registry, make_ticker, catch_up):
    periodic(3600, catch_up=catch_up)(registry.background(name="t")(lambda: None))
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    ticker.tick(NOON)
    restarted = make_ticker()
    read_and_tick(restarted, NOON + 50 * HOUR + 10 * LEASE)
    restarted.tick(NOON + 51 * HOUR)
    assert due() == AFTER_DOWNTIME[catch_up]


def test_restart_within_a_lease_misses_nothing(hourly, make_ticker):
    make_ticker().read(NOON - SECOND)
    assert read_and_tick(make_ticker(), NOON + LEASE) == 1
    assert due() == [NOON]


@pytest.mark.parametrize(
    ("began", "ended", "is_put"),
    [
        (-DAY, None, True),
        (-DAY, 2 * HOUR, True),
        (-DAY, -SECOND, False),
        (SECOND, None, False),
    ],
    ids=["alive and busy", "alive then", "had stopped", "came later"],
)
def test_tick_that_is_late_is_put_if_a_worker_was_alive(
    hourly, make_ticker, began, ended, is_put, settings
):
    make_ticker().read(NOON - SECOND)
    Worker.objects.create(
        name="w",
        host="h",
        pid=1,
        started_at=NOON + began,
        heartbeat_at=NOON + 2 * HOUR,
        expires_at=NOON + 2 * HOUR,
        stopped_at=None if ended is None else NOON + ended,
    )
    assert read_and_tick(make_ticker(), NOON + HOUR - SECOND) == is_put


def test_catching_up_all_is_done_in_parts(registry, make_ticker):
    periodic(60, catch_up="all")(registry.background(name="t")(lambda: None))
    make_ticker().read(NOON)
    ticker = make_ticker()
    assert read_and_tick(ticker, NOON + 150 * LEASE) == 100
    assert ticker.seconds_until_due() == 0.0
    assert ticker.tick(NOON + 150 * LEASE) == 50
    assert len(set(due())) == 150


# -- other code ------------------------------------------------------------------------------------


def test_changed_rule_begins_anew(hourly, registry, make_ticker):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    ticker.tick(NOON)
    redeclared(registry, 1800)
    read_and_tick(make_ticker(), NOON + SECOND)
    assert instant(row().next_tick_at) == NOON + HOUR / 2
    assert due() == [NOON]


def test_changed_arguments_keep_the_rhythm(hourly, registry, make_ticker):
    make_ticker().read(NOON - SECOND)
    redeclared(registry, 3600, args=[5])
    assert read_and_tick(make_ticker(), NOON + LEASE / 2) == 1
    assert Task.objects.get().params() == ([5], {})


def test_workers_with_old_code_leave_a_changed_schedule_to_those_with_new(
    hourly, registry, make_ticker
):
    old = make_ticker()
    old.read(NOON - HOUR)
    redeclared(registry, 3600, args=["new"])
    new = make_ticker()
    new.read(NOON - LEASE)
    for number in range(5):
        now = NOON + number * HOUR
        for beat in range(-3, 0):
            new.read(now + beat * LEASE / 4)
            old.read(now + beat * LEASE / 4)
        assert old.tick(now) == 0
        assert new.tick(now) == 1
    assert {task.params()[0][0] for task in Task.objects.all()} == {"new"}
    assert len(set(due())) == 5


def test_old_worker_that_knows_no_better_at_the_very_tick_changes_nothing(
    hourly, registry, make_ticker
):
    old = make_ticker()
    old.read(NOON - LEASE)
    redeclared(registry, 3600, args=["new"])
    new = make_ticker()
    new.read(NOON - SECOND)
    assert old.tick(NOON) == 0
    assert old.look(NOON) == 0
    assert new.tick(NOON) == 1


def test_worker_takes_over_what_nobody_declares_any_more(hourly, registry, make_ticker):
    """A worker with other code was started last, and has gone; this one runs on."""
    steady = make_ticker()
    steady.read(NOON - HOUR)
    redeclared(registry, 3600, args=["other"])
    make_ticker().read(NOON - HOUR / 2)
    steady.read(NOON - HOUR / 2 + 2 * LEASE)
    assert steady.tick(NOON) == 0
    steady.read(NOON - HOUR / 2 + 2 * LEASE + SECOND)
    assert steady.tick(NOON) == 1
    assert Task.objects.get().params() == ([], {})


def test_row_of_removed_declaration_is_left_alone_and_then_deleted(hourly, registry, make_ticker):
    make_ticker().read(NOON - SECOND)
    registry._tasks.clear()
    periodic(60, name="other")(registry.background(name="o")(lambda: None))
    for days, names in ((1, {"t", "other"}), (29, {"t", "other"}), (31, {"other"})):
        read_and_tick(make_ticker(), NOON + days * DAY)
        assert set(Schedule.objects.values_list("name", flat=True)) == names
    assert not Task.objects.filter(task_name="t").exists()


def test_deleted_row_comes_back(hourly, make_ticker):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    Schedule.objects.all().delete()
    assert ticker.tick(NOON) == 0
    assert ticker.look(NOON) == 0
    assert ticker.tick(NOON + HOUR) == 1


def test_tick_of_row_that_was_deleted_and_came_back_is_not_put_again(hourly, make_ticker):
    stale, quick = make_ticker(), make_ticker()
    stale.read(NOON - SECOND)
    read_and_tick(quick, NOON - SECOND)
    assert quick.tick(NOON) == 1
    Schedule.objects.all().delete()
    make_ticker().read(NOON + SECOND)
    assert stale.tick(NOON + SECOND) == 0
    assert due() == [NOON]


def test_names_that_a_database_may_take_for_one_are_two(registry, make_ticker):
    function = registry.background(name="t")(lambda number: None)
    for number, name in enumerate(("Été", "été", "ete", "ete ", "ETE")):
        periodic(3600, args=[number], name=name)(function)
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    assert ticker.tick(NOON) == 5
    assert sorted(task.params()[0][0] for task in Task.objects.all()) == [0, 1, 2, 3, 4]


# -- pause -----------------------------------------------------------------------------------------


def test_paused_schedule_does_not_tick_even_where_it_is_not_known_yet(
    hourly, make_ticker, schedules
):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    assert schedules.pause(ticker.due(NOON)[0][1].key)
    assert ticker.tick(NOON) == 0
    assert ticker.look(NOON) == 0
    assert due() == []


def test_resumed_schedule_drops_what_it_missed(registry, make_ticker, schedules):
    periodic(3600, catch_up="all")(registry.background(name="t")(lambda: None))
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    (paused,) = schedules.read().values()
    schedules.pause(paused.key)
    (paused,) = schedules.read().values()
    assert schedules.resume(paused, now=NOON + 5 * HOUR + SECOND)
    assert read_and_tick(ticker, NOON + 6 * HOUR) == 1
    assert due() == hours(6)


def test_pause_outlives_a_change_of_the_declaration(hourly, registry, make_ticker, schedules):
    make_ticker().read(NOON - SECOND)
    schedules.pause(row().key)
    redeclared(registry, 60)
    assert read_and_tick(make_ticker(), NOON + HOUR) == 0
    assert row().is_paused
