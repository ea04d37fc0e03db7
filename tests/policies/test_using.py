"""``using``: options of single calls, which the rows carry to whichever worker runs them."""

import json
from datetime import datetime, timedelta, timezone

import pytest

from background_task import exponential
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import CompletedTask, Task
from background_task.tasks import TaskSchedule
from tests.app.models import TextOwner
from tests.policies.running import completed

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def job(bench):
    return bench.task(lambda *args, **kwargs: None, max_attempts=2, queue="usual")


def stored(task):
    """The options of a row as they are in the database."""
    text = Task.objects.get(pk=task.pk).options
    return None if text is None else json.loads(text)


# -- the copy -----------------------------------------------------------------------------------


def test_using_returns_a_copy_and_leaves_the_original(registry, job):
    before = dict(vars(job))
    other = job.using(max_attempts=7, queue="slow", priority=3, schedule=60)
    assert type(other) is type(job)
    assert vars(job) == before
    assert registry._tasks["job"] is job
    assert (other.name, other.now) == (job.name, job.now)
    assert (stored(other()), stored(job())) == ({"max": 7}, None)
    assert (job().queue, job().priority) == ("usual", 0)


def test_using_without_options_changes_nothing(job):
    assert stored(job.using()()) is None


def test_using_after_using_keeps_what_it_does_not_change(job):
    first = job.using(max_attempts=5, timeout=9, queue="a", verbose_name="first")
    second = first.using(timeout=30, queue="b")
    task = second()
    assert stored(task) == {"max": 5, "timeout": 30.0}
    assert (task.queue, task.verbose_name) == ("b", "first")
    assert stored(first()) == {"max": 5, "timeout": 9.0}


def test_using_none_takes_back_what_was_given_before(job):
    assert stored(job.using(max_attempts=5, timeout=9).using(timeout=None)()) == {"max": 5}
    assert stored(job.using(max_attempts=5).using(max_attempts=None)()) is None


@pytest.mark.parametrize(
    ("first", "then", "priority"),
    [
        ({"priority": 5}, {}, 5),
        ({"priority": 5}, {"priority": 1}, 1),
        ({"priority": 5}, {"schedule": {"priority": 9}}, 9),
        ({"schedule": {"priority": 9}}, {"priority": 5}, 5),
        ({"schedule": {"priority": 9}}, {"schedule": 60}, 9),
    ],
)
def test_later_priority_wins_over_an_earlier_one(job, first, then, priority):
    assert job.using(**first)(**then).priority == priority
    assert job.using(**first).using(**then)().priority == priority


# -- the options of a call ----------------------------------------------------------------------


def test_using_takes_the_reserved_keywords_of_a_call(job):
    owner = TextOwner.objects.create(code="owner")
    task = job.using(
        schedule=HOUR, queue="slow", priority=-4, repeat=3600, repeat_until=NOON,
        verbose_name="Report", creator=owner,
    )(1)  # fmt: skip
    row = Task.objects.get(pk=task.pk)
    assert (row.queue, row.priority, row.repeat, row.repeat_until) == ("slow", -4, 3600, NOON)
    assert (row.verbose_name, row.creator) == ("Report", owner)
    assert row.run_at > row.enqueued_at + HOUR / 2
    assert row.params() == ([1], {})


def test_call_wins_over_using_which_wins_over_the_decorator(job):
    slow = job.using(queue="slow", verbose_name="using")
    task = slow(1, queue="called")
    assert (task.queue, task.verbose_name) == ("called", "using")
    assert (slow().queue, job().queue) == ("slow", "usual")
    assert job.using(queue=None)().queue is None


def test_schedule_of_using_counts_from_each_call(job):
    soon = job.using(schedule={"run_at": 3600, "action": TaskSchedule.CHECK_EXISTING})
    task = soon(1)
    assert task.run_at > task.enqueued_at + HOUR / 2
    assert soon(1) is None
    assert soon(1, schedule=0) is None, "the call leaves the action open"
    assert soon(2, schedule=0).run_at < task.run_at


def test_using_remove_existing_tasks_leaves_one(job):
    only = job.using(remove_existing_tasks=True)
    only(1)
    assert only(1) is not None
    assert Task.objects.count() == 1


def test_parameters_named_like_options_are_the_functions_own(bench):
    seen = []

    def job(timeout, max_attempts=None, *, expires, backoff="x"):
        seen.append((timeout, max_attempts, expires, backoff))

    proxy = bench.task(job, max_attempts=3)
    task = proxy.using(timeout=9)(1, max_attempts=2, expires="never", backoff=[5])
    proxy(timeout=4, expires=None)
    assert stored(task) == {"timeout": 9.0}
    bench.work(2)
    assert sorted(seen) == [(1, 2, "never", [5]), (4, None, None, "x")]


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"max_attempts": 0}, InvalidOptionError, "max_attempts 0"),
        ({"timeout": "30"}, InvalidOptionTypeError, "timeout '30'"),
        ({"backoff": lambda attempt, error: 5}, InvalidOptionTypeError, "cannot be stored"),
        ({"priority": 2**31}, InvalidOptionError, "priority 2147483648"),
        ({"priority": ""}, InvalidOptionTypeError, "priority ''"),
        ({"queue": "q" * 191}, InvalidOptionError, "queue"),
        ({"creator": TextOwner}, InvalidOptionTypeError, "creator"),
        ({"schedule": "soon"}, InvalidOptionTypeError, "schedule 'soon'"),
        ({"max_attemps": 3}, InvalidOptionTypeError, "using has no option max_attemps; it takes"),
        ({"keep_result": 1}, InvalidOptionTypeError, "keep_result 1 is of type int; use True"),
        ({"name": "other"}, InvalidOptionTypeError, "using has no option name"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_options_are_refused_at_once(job, options, error, says):
    with pytest.raises(error, match=says):
        job.using(**options)
    assert not Task.objects.exists()


# -- the row ------------------------------------------------------------------------------------


def test_plain_call_stores_no_options(job):
    assert stored(job()) is None
    assert job.bulk([((1,), {})])[0].options is None
    assert not Task.objects.exclude(options=None).exists()


def test_row_is_run_as_it_says_by_a_worker_whose_decorator_says_otherwise(any_bench):
    job = any_bench.raising(*[ValueError()] * 9, max_attempts=1, retry_on=(), backoff=3600)
    own = job.using(max_attempts=2, retry_on=ValueError, backoff=0)()
    assert any_bench.work_off() == 2
    other = job()
    assert any_bench.work_off() == 1
    attempts = dict(CompletedTask.objects.values_list("uid", "attempts"))
    assert attempts == {own.uid: 2, other.uid: 1}
    assert json.loads(CompletedTask.objects.get(uid=own.uid).options) == {
        "max": 2, "retry": ["builtins.ValueError"], "backoff": 0,
    }  # fmt: skip


def test_exceptions_of_a_row_are_known_by_name_with_their_subclasses(any_bench):
    job = any_bench.raising(ConnectionResetError("gone"))
    job.using(discard_on=[ConnectionError, KeyError])()
    any_bench.work()
    assert completed().discarded_at is not None
    assert completed().last_error == "ConnectionResetError is in discard_on"


def test_backoff_of_a_row_is_followed(bench):
    task = bench.raising(ValueError(), backoff=1).using(backoff=exponential(3600, jitter=0))()
    bench.work()
    row = Task.objects.get(pk=task.pk)
    assert row.run_at > row.started_at + HOUR / 2


def test_bulk_of_using_stores_the_options_with_each_row(job):
    rows = job.using(max_attempts=5, queue="slow").bulk([((n,), {}) for n in range(3)], priority=2)
    assert [stored(row) for row in rows] == [{"max": 5}] * 3
    assert {(row.queue, row.priority) for row in Task.objects.all()} == {("slow", 2)}


def test_repetition_has_the_options_of_the_first_run(any_bench):
    text = any_bench.task(lambda: None).using(max_attempts=5, timeout=9)(repeat=3600).options
    any_bench.work()
    assert completed().options == Task.objects.get().options == text == '{"max":5,"timeout":9.0}'


def test_failed_attempt_leaves_the_options_alone(any_bench):
    task = any_bench.raising(ValueError()).using(max_attempts=5)()
    any_bench.work()
    assert stored(task) == {"max": 5}
