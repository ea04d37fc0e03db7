"""What one worker after the other makes of the table of schedules. The clock is a parameter."""

import json
import re

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.test.utils import CaptureQueriesContext

from background_task import periodic
from background_task.models import Task
from background_task.recurrence.zone import instant
from background_task.schedule import TaskSchedule
from background_task.signals import task_created
from tests.periodic.conftest import DAY, HOUR, LEASE, NOON, SECOND, due, hours, read_and_tick, row

pytestmark = pytest.mark.django_db(transaction=True)


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


def test_tick_that_the_options_leave_out_is_taken_and_not_announced(registry, make_ticker, events):
    function = registry.background(name="t")(lambda: None)
    periodic(3600)(function.using(schedule={"action": TaskSchedule.CHECK_EXISTING}))
    ticker = make_ticker()
    ticker.read(NOON - SECOND)
    for number in range(3):
        assert ticker.tick(NOON + number * HOUR) == 1
    assert due() == [NOON]
    assert [told["tick"] for told in events.of("tick")] == [NOON]
    assert events.of("tick_lost") == []


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


@pytest.mark.only_on("postgresql", "mariadb")
def test_workers_that_look_at_the_same_moment_lock_rows_in_the_same_order(hourly, schedules):
    """PostgreSQL found a deadlock, once in hundreds of simulated lives."""
    for act in (
        lambda: schedules.mark_seen(["b", "a"], now=NOON),
        lambda: schedules.forget(before=NOON - DAY * 5000),
    ):
        with CaptureQueriesContext(connection) as kept:
            act()
        locking = [query["sql"] for query in kept if "FOR UPDATE" in query["sql"]]
        assert re.search(r"ORDER BY (1|\S*\bkey\b\S*) ASC\s+FOR UPDATE", locking[0])


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
