"""What one worker after the other makes of the table of schedules. The clock is a parameter."""

import json
from datetime import timedelta

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from background_task import periodic, telemetry
from background_task.models import Schedule, Task, Worker
from background_task.recurrence.zone import instant
from background_task.signals import task_created
from background_task.store.schedule import resumed
from tests.periodic.conftest import HOUR, LEASE, NOON, read_and_tick
from tests.worker.running import Events

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = timedelta(seconds=1)
DAY = 24 * HOUR


@pytest.fixture
def hourly(registry):
    """A function that ticks each full hour."""

    @periodic(3600)
    @registry.background(name="t", queue="q", priority=7)
    def function(*args, **kwargs):
        pass

    return function


@pytest.fixture
def events():
    kept = Events()
    with telemetry.subscribed(kept):
        yield kept


def due():
    """The times of all tasks that are in the queue."""
    return [instant(task.run_at) for task in Task.objects.order_by("run_at")]


def hours(*numbers):
    return [NOON + number * HOUR for number in numbers]


def row():
    return Schedule.objects.get()


def redeclared(registry, schedule, **written):
    """The functions of another version of the code."""
    registry._tasks.clear()
    periodic(schedule, **written)(registry.background(name="t")(lambda *args: None))


def test_tick_puts_a_task_with_the_options_of_the_function(hourly, make_ticker, events):
    ticker = make_ticker()
    assert read_and_tick(ticker, NOON - SECOND) == 0
    assert due() == []
    assert ticker.tick(NOON + SECOND) == 1
    task = Task.objects.get()
    assert (task.task_name, task.queue, task.priority, task.repeat) == ("t", "q", 7, 0)
    assert instant(task.run_at) == NOON
    assert events.of("tick") == [{"schedule": "t", "tick": NOON}]
    assert ticker.tick(NOON + 2 * SECOND) == 0
    assert (instant(row().last_tick_at), instant(row().next_tick_at)) == (NOON, NOON + HOUR)


def test_first_tick_of_new_schedule_is_later_than_its_declaration(hourly, make_ticker):
    assert read_and_tick(make_ticker(), NOON) == 0
    assert instant(row().next_tick_at) == NOON + HOUR


def test_tick_takes_the_options_of_the_copy(registry, make_ticker):
    function = registry.background(name="t", queue="q")(lambda number: None)
    periodic(3600, args=[5])(function.using(queue="other", max_attempts=2, repeat=60))
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    ticker.tick(NOON)
    task = Task.objects.get()
    assert (task.queue, task.repeat, task.params()) == ("other", 0, ([5], {}))
    assert json.loads(task.options) == {"max": 2}


def test_tick_sends_task_created(hourly, make_ticker):
    seen = []

    def receive(sender, task, **kwargs):
        seen.append(task)

    task_created.connect(receive)
    try:
        ticker = make_ticker()
        ticker.read(NOON - SECOND)
        ticker.tick(NOON)
    finally:
        task_created.disconnect(receive)
    assert [task.pk for task in seen] == [Task.objects.get().pk]


def test_tick_by_another_worker_is_noticed_and_not_repeated(hourly, make_ticker):
    one, other = make_ticker(), make_ticker()
    one.read(NOON - SECOND)
    other.read(NOON - SECOND)
    assert one.tick(NOON) == 1
    assert other.tick(NOON) == 0
    assert other.seconds_until_due() == 0.0  # what it knows is old: it reads the table again
    assert other.look(NOON) == 0
    assert due() == [NOON]
    assert other.look(NOON + HOUR) == 1


def test_failed_run_does_not_end_the_schedule(registry, make_ticker):
    @periodic(3600)
    @registry.background(name="t", max_attempts=1)
    def fail():
        raise RuntimeError("on purpose")

    ticker = make_ticker()
    ticker.read(NOON - 4 * 365 * DAY)  # a time that has passed when the test is run
    now = instant(row().next_tick_at)
    for number in range(3):
        assert ticker.tick(now + number * HOUR) == 1
    assert len(due()) == 3


# -- how often the database is asked ---------------------------------------------------------------


def queries(act):
    with CaptureQueriesContext(connection) as kept:
        act()
    return [query["sql"].split()[0] for query in kept]


def test_worker_without_schedules_asks_nothing(registry, make_ticker):
    ticker = make_ticker()
    assert ticker.seconds_until_due() == float("inf")
    assert queries(ticker.run_if_due) == []


def test_idle_look_asks_nothing_and_a_read_asks_once(hourly, make_ticker):
    ticker = make_ticker()
    ticker.run_if_due()
    assert 0 < ticker.seconds_until_due() <= LEASE.total_seconds() / 4
    assert queries(ticker.run_if_due) == []
    assert queries(lambda: ticker.tick(NOON - DAY * 5000)) == []
    assert queries(lambda: ticker.read(NOON - DAY * 5000)) == ["SELECT"]


def test_sign_of_life_is_written_twice_in_a_lease_by_all_workers_together(hourly, make_ticker):
    workers = [make_ticker() for _ in range(4)]
    for worker in workers:
        worker.read(NOON)
    written = sum(
        queries(lambda worker=worker, number=number: worker.read(NOON + number * LEASE / 4)).count(
            "UPDATE"
        )
        for number in range(17)
        for worker in workers
    )
    assert 5 <= written <= 8


def test_tick_takes_one_update_and_one_insert(hourly, make_ticker):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    kept = queries(lambda: ticker.tick(NOON))
    assert [name for name in kept if name in ("SELECT", "UPDATE", "INSERT")] == ["UPDATE", "INSERT"]


def test_lost_race_takes_one_update(hourly, make_ticker):
    one, other = make_ticker(), make_ticker()
    one.read(NOON - SECOND)
    other.read(NOON - SECOND)
    one.tick(NOON)
    kept = queries(lambda: other.tick(NOON))
    assert [name for name in kept if name in ("SELECT", "UPDATE", "INSERT")] == ["UPDATE"]


def test_seconds_until_due_ends_at_the_next_tick(hourly, make_ticker):
    ticker = make_ticker()
    read_and_tick(ticker, NOON - SECOND)
    assert 0 < ticker.seconds_until_due() <= 1


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
    assert schedules.change(paused, **resumed(paused, now=NOON + 5 * HOUR + SECOND))
    assert read_and_tick(ticker, NOON + 6 * HOUR) == 1
    assert due() == hours(6)


def test_pause_outlives_a_change_of_the_declaration(hourly, registry, make_ticker, schedules):
    make_ticker().read(NOON - SECOND)
    schedules.pause(row().key)
    redeclared(registry, 60)
    assert read_and_tick(make_ticker(), NOON + HOUR) == 0
    assert row().is_paused


# -- what goes wrong -------------------------------------------------------------------------------


def test_arguments_that_cannot_be_made_cost_only_that_tick(registry, make_ticker, events):
    answers = [[1], RuntimeError("no number"), "no list", [{1}], [5, 6], SystemExit(3), [7]]

    def args():
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    function = registry.background(name="t")(lambda number: None)
    periodic(3600, args=args)(function)
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    for number in range(7):
        ticker.tick(NOON + number * HOUR)
    assert [task.params()[0] for task in Task.objects.order_by("run_at")] == [[1], [7]]
    assert [type(lost["exception"]).__name__ for lost in events.of("tick_lost")] == [
        *("RuntimeError", "InvalidOptionTypeError", "InvalidOptionTypeError"),
        *("InvalidOptionTypeError", "SystemExit"),
    ]
    assert [lost["tick"] for lost in events.of("tick_lost")] == hours(1, 2, 3, 4, 5)


def test_receiver_that_raises_costs_only_that_tick(hourly, make_ticker, events):
    def refuse(sender, **kwargs):
        raise RuntimeError("no")

    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    task_created.connect(refuse)
    try:
        assert ticker.tick(NOON) == 1
    finally:
        task_created.disconnect(refuse)
    assert len(events.of("tick_lost")) == 1
    assert due() == []
    ticker.tick(NOON + HOUR)
    assert due() == hours(1)


def test_outage_costs_no_tick(hourly, make_ticker):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)

    def fail(execute, sql, *args):
        if sql.startswith("INSERT"):
            raise OperationalError("gone")
        return execute(sql, *args)

    with connection.execute_wrapper(fail), pytest.raises(OperationalError):
        ticker.tick(NOON)
    assert due() == []
    assert ticker.tick(NOON + SECOND) == 1
    assert due() == [NOON]


def test_refused_insert_costs_only_that_tick(hourly, make_ticker, events):
    ticker = make_ticker()
    ticker.read(NOON - SECOND)

    def fail(execute, sql, *args):
        if sql.startswith("INSERT"):
            raise DatabaseError("refused")
        return execute(sql, *args)

    with connection.execute_wrapper(fail):
        ticker.tick(NOON)
    assert len(events.of("tick_lost")) == 1
    assert ticker.tick(NOON + HOUR) == 1
    assert due() == hours(1)


def test_rule_that_fails_leaves_the_other_schedules_alone(registry, make_ticker, events):
    function = registry.background(name="t")(lambda: None)
    periodic(3600, name="good")(function)
    periodic(3600, name="bad")(function)
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    for declaration, _ in ticker.due(NOON):
        if declaration.name == "bad":
            object.__setattr__(declaration, "rule", None)
    assert ticker.tick(NOON) == 1
    assert [lost["schedule"] for lost in events.of("tick_lost")] == ["bad"]
    assert ticker.tick(NOON + HOUR) == 1
