"""Running what is due, and what will be, in a test."""

from datetime import datetime, timedelta, timezone as zones

import pytest
from django.db import DatabaseError, connection
from django.utils import timezone

from background_task import Discard, InvalidTaskError, RetryLater, Snooze, current_task, pause
from background_task.exceptions import (
    InvalidOptionError,
    InvalidOptionTypeError,
    TaskFailedError,
)
from background_task.models import CompletedTask, Task
from background_task.signals import task_successful
from background_task.testing import DrainLimitError, drain, run_due

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def outcomes(runs):
    return [(run.task_name, run.status) for run in runs]


@pytest.fixture
def failing(registry):
    """A task that fails so many times before it succeeds."""

    @registry.background(name="failing")
    def failing(times):
        if current_task().attempt <= times:
            raise LookupError(f"attempt {current_task().attempt}")
        return "done"

    return failing


# -- drain -----------------------------------------------------------------------------------------


def test_drain_runs_what_is_due_in_order_and_says_what(calls):
    calls.proxy("b", priority=1)
    calls.proxy("a", priority=2)
    calls.proxy("later", schedule=60)

    runs = drain()

    assert calls == ["a", "b"]
    assert [(run.task_name, run.params(), run.status, run.attempt) for run in runs] == [
        ("noted", (["a"], {}), "succeeded", 1),
        ("noted", (["b"], {}), "succeeded", 1),
    ]
    assert runs[0].completed.task_name == "noted"
    assert runs[0].result is None
    assert Task.objects.get().params() == (["later"], {})


def test_drain_follows_what_tasks_queue(registry, calls):
    @registry.background(name="begin")
    def begin(left):
        calls.append(left)
        if left:
            begin(left - 1)

    begin(3)
    assert len(drain()) == 4
    assert calls == [3, 2, 1, 0]
    assert drain() == []


def test_drain_sends_signals_and_keeps_results_as_a_worker(registry):
    @registry.background(name="add")
    def add(a, b=1):
        return a + b

    seen = []

    def receive(completed_task, **kwargs):
        seen.append(completed_task.result)

    task_successful.connect(receive)
    try:
        task = add(1, b=2)
        (run,) = drain()
    finally:
        task_successful.disconnect(receive)
    assert [*seen, run.result, task.result] == [3, 3, 3]


def test_drain_runs_only_these_functions_and_queues(registry, calls):
    @registry.background(name="other")
    def other():
        calls.append("other")

    calls.proxy("mail", queue="mail")
    calls.proxy("none")
    other(queue="mail")

    assert outcomes(drain(other)) == [("other", "succeeded")]
    assert len(drain("noted", queue=None)) == 1
    assert len(drain(calls.proxy, "other", queue="mail")) == 1
    assert calls == ["other", "none", "mail"]


def test_drain_leaves_what_is_paused_locked_or_unknown(registry, calls):
    calls.proxy("paused", queue="mail")
    pause(queue="mail")
    locked = calls.proxy("locked")
    locked.lock("somebody")
    Task.objects.new_task("nobody.knows").save()

    assert drain(scheduled=True) == []
    assert Task.objects.count() == 3


def test_drain_of_a_limit_holds_up_nothing(registry, calls):
    @registry.background(name="limited", rate_limit="1/h")
    def limited(number):
        calls.append(number)

    for number in range(3):
        limited(number)
    assert len(drain()) == 3


# -- the clock -------------------------------------------------------------------------------------


def test_drain_scheduled_runs_in_the_order_of_time(calls):
    before = timezone.now()
    calls.proxy("tomorrow", schedule=86_400, priority=9)
    calls.proxy("soon", schedule=60)
    calls.proxy("now")

    runs = drain(scheduled=True)

    assert calls == ["now", "soon", "tomorrow"]
    assert runs[2].at - before >= timedelta(days=1)
    assert CompletedTask.objects.order_by("pk").last().run_at >= runs[2].at


@pytest.mark.parametrize("kind", ["a time", "a length of time"])
def test_drain_until_leaves_what_is_later(calls, kind):
    calls.proxy("in time", schedule=59 * 60)
    calls.proxy("too late", schedule=61 * 60)

    drain(until=HOUR if kind == "a length of time" else timezone.now() + HOUR)

    assert calls == ["in time"]


def test_drain_until_repeats_as_often_as_it_would(calls):
    calls.proxy("tick", schedule=0, repeat=3600)

    drain(until=timedelta(hours=2, minutes=30))

    assert calls == ["tick"] * 3
    assert Task.objects.get().run_at > timezone.now() + timedelta(hours=2, minutes=30)


def test_drain_until_of_atomic_task_moves_its_clock_too(registry, calls):
    @registry.background(name="tick", atomic=True)
    def tick():
        calls.append("tick")

    tick(schedule=0, repeat=3600)
    runs = drain(until=timedelta(minutes=61))

    assert calls == ["tick"] * 2
    assert runs[1].completed.run_at - runs[0].completed.run_at >= timedelta(minutes=59)


def test_drain_of_repeating_task_without_end_says_so(calls):
    calls.proxy("tick", repeat=3600)

    with pytest.raises(DrainLimitError, match=r"run 7 tasks \(noted 7 times\).*give until="):
        drain(scheduled=True, limit=7)
    assert len(calls) == 7


def test_drain_up_to_the_limit_raises_nothing(calls):
    for number in range(3):
        calls.proxy(number)
    assert len(drain(limit=3)) == 3


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limit": 0}, InvalidOptionError),
        ({"limit": "many"}, InvalidOptionTypeError),
        ({"until": 60}, InvalidOptionTypeError),
        ({"until": datetime(2030, 1, 1)}, InvalidOptionError),
        ({"queue": 7}, InvalidOptionTypeError),
    ],
)
def test_drain_with_what_cannot_work_is_refused(options, error):
    with pytest.raises(error, match=r"; (use|give)"):
        drain(**options)


def test_drain_of_something_else_is_refused():
    with pytest.raises(InvalidOptionTypeError, match="is no task function"):
        drain(len)


@pytest.mark.only_on("sqlite")  # connections to others have been opened with time zones
def test_drain_without_time_zones(calls, settings):
    settings.USE_TZ = False
    calls.proxy("soon", schedule=60)

    drain(until=datetime.now(zones.utc) + HOUR)
    calls.proxy("later", schedule=60)
    drain(until=HOUR)

    assert calls == ["soon", "later"]


# -- errors ----------------------------------------------------------------------------------------


def test_drain_raises_what_a_task_raises_once_it_is_recorded(failing, calls):
    failing(1)
    calls.proxy("after", priority=-1)

    with pytest.raises(LookupError, match="attempt 1"):
        drain()

    assert Task.objects.get(task_name="failing").attempts == 1
    assert not calls


def test_drain_without_raising_records_and_goes_on(failing, calls):
    failing(1)
    calls.proxy("after", priority=-1)

    runs = drain(raise_errors=False, scheduled=True)

    assert outcomes(runs) == [("failing", "retry"), ("noted", "succeeded")]
    assert str(runs[0].exception) == "attempt 1"
    assert Task.objects.get().attempts == 1


def test_drain_retries_moves_the_clock_to_them(failing, calls):
    failing(3)
    calls.proxy("later", schedule=60)

    runs = drain(retries=True)

    assert outcomes(runs) == [("failing", "retry")] * 3 + [("failing", "succeeded")]
    assert runs[-1].at > runs[0].at + timedelta(seconds=3)
    assert not calls


def test_drain_retries_raises_the_last_error(failing):
    failing.using(max_attempts=2)(9)

    with pytest.raises(LookupError, match="attempt 2"):
        drain(retries=True)
    assert CompletedTask.objects.failed().get().attempts == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Discard("unwanted"), "discarded"),
        (Snooze(60), "put_off"),
        (RetryLater(60), "put_off"),
    ],
)
def test_drain_does_not_raise_what_is_no_failure(registry, error, status):
    @registry.background(name="other")
    def other():
        raise error

    other()
    (run,) = drain()

    assert (run.status, run.exception) == (status, None)


def test_drain_raises_invalid_task_for_good(registry):
    @registry.background(name="other")
    def other():
        raise InvalidTaskError("never")

    other()
    with pytest.raises(InvalidTaskError, match="never"):
        drain(retries=True)
    assert CompletedTask.objects.failed().exists()


def test_drain_of_task_without_attempts_left_raises(registry, calls):
    @registry.background(name="other", max_attempts=1)
    def other():
        calls.append("run")

    task = other()
    Task.objects.filter(pk=task.pk).update(attempts=1)
    with pytest.raises(TaskFailedError, match="had no attempt left"):
        drain()
    assert not calls


def test_drain_of_task_that_is_gone_meanwhile_goes_on(registry, calls):
    @registry.background(name="tidy")
    def tidy():
        Task.objects.filter(task_name="noted").delete()

    tidy(priority=1)
    calls.proxy("gone")
    assert outcomes(run_due()) == [("tidy", "succeeded")]


def test_drain_inside_a_test_case_survives_a_database_error(registry):
    @registry.background(name="broken")
    def broken():
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere_at_all")

    broken()
    (run,) = drain(raise_errors=False)
    assert isinstance(run.exception, DatabaseError)
    assert Task.objects.get().attempts == 1


# -- run_due ---------------------------------------------------------------------------------------


def test_run_due_follows_nothing(registry, calls):
    @registry.background(name="begin")
    def begin():
        calls.proxy("queued meanwhile")

    begin()
    assert outcomes(run_due()) == [("begin", "succeeded")]
    assert not calls
    assert len(run_due()) == 1


@pytest.mark.parametrize("now", [HOUR, "a time"])
def test_run_due_at_another_time_is_as_if_it_were_then(registry, calls, now):
    expiring = registry.background(name="expiring", expires=60)(lambda: calls.append("ran"))
    expiring()
    calls.proxy("scheduled", schedule=60 * 59)

    runs = run_due(now=now if now is HOUR else timezone.now() + HOUR)

    assert outcomes(runs) == [("expiring", "discarded"), ("noted", "succeeded")]


def test_run_due_raises_or_records(failing):
    failing(9)
    (run,) = run_due(raise_errors=False)
    assert run.status == "retry"
    assert not run_due()
    with pytest.raises(LookupError, match="attempt 2"):
        run_due(now=HOUR)


# -- in real transactions --------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_drain_outside_a_transaction(registry, calls, failing):
    calls.proxy("now")
    calls.proxy("later", schedule=60)
    failing(1)

    runs = drain(scheduled=True, retries=True)

    assert calls == ["now", "later"]
    assert sorted(run.status for run in runs) == ["retry", *["succeeded"] * 3]
    assert not Task.objects.exists()
