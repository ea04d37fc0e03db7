"""Asking for a result, and waiting for it."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import transaction

from background_task import (
    BackgroundTaskError,
    Discard,
    InvalidOptionError,
    InvalidOptionTypeError,
    InvalidTaskError,
    NotFinishedError,
    TaskDiscardedError,
    TaskFailedError,
    TaskGoneError,
    WaitTimeoutError,
)
from background_task.attempt import Failed, Succeeded
from background_task.models import CompletedTask, Task, result
from tests.store.rows import add, add_as_1x, statements

pytestmark = pytest.mark.django_db


class Sleeper:
    """Stands in for ``time.sleep``: something happens meanwhile."""

    def __init__(self):
        self.pauses = []
        self.now = 0.0
        self.meanwhile = lambda: None

    def sleep(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds
        self.meanwhile()

    def monotonic(self):
        return self.now


@pytest.fixture
def sleeper(monkeypatch):
    sleeper = Sleeper()
    monkeypatch.setattr(result, "time", sleeper)
    return sleeper


def give(value):
    return value


@pytest.fixture
def task(registry):
    return registry.background(name="results.give")(give)([1, 2])


def finish(store, outcome):
    task = add(store)
    store.finish(store.claim_one(task.pk, "w"), outcome)
    return task


def test_task_goes_from_waiting_to_running_to_succeeded(store):
    task = add(store)
    assert task.status == "waiting"
    claim = store.claim_one(task.pk, "w")
    assert task.status == "running"
    with pytest.raises(NotFinishedError, match="running"):
        _ = task.result
    store.finish(claim, Succeeded("[1, 2]"))
    assert (task.status, task.result) == ("succeeded", [1, 2])
    completed = CompletedTask.objects.get()
    assert (completed.status, completed.result, completed.wait()) == ("succeeded", [1, 2], [1, 2])


def test_result_of_a_waiting_task_says_so(task):
    with pytest.raises(NotFinishedError, match="is waiting; use wait"):
        _ = task.result


def test_result_of_a_failed_task_raises_its_last_error(run):
    def fail():
        raise InvalidTaskError("no such card")

    task = run(fail)
    assert task.status == "failed"
    with pytest.raises(TaskFailedError, match="InvalidTaskError: no such card") as caught:
        _ = task.result
    assert [error.attempt for error in caught.value.errors] == [1]


def test_result_of_a_discarded_task_says_why(run):
    def drop():
        raise Discard("the order was cancelled")

    task = run(drop)
    assert task.status == "discarded"
    with pytest.raises(TaskDiscardedError, match="the order was cancelled"):
        _ = task.result


def test_result_of_a_deleted_task_says_so(task):
    Task.objects.all().delete()
    assert task.status == "gone"
    with pytest.raises(TaskGoneError, match="was deleted"):
        _ = task.result


def test_result_of_a_task_that_was_never_stored_says_so(db):
    task = Task.objects.new_task("known")
    assert task.status == "gone"
    with pytest.raises(TaskGoneError):
        task.wait()


def test_result_of_a_task_buried_where_it_stands_is_its_failure(store):
    task = add(store)
    store.bury(store.claim_one(task.pk, "w"), Failed("error"))
    assert task.status == "failed"
    with pytest.raises(TaskFailedError):
        _ = task.result


def test_result_of_a_row_of_1x_is_found_once_it_has_a_uid(store):
    task = add_as_1x(store)
    assert (task.uid, task.status) == (None, "waiting")
    claim = store.claim_one(task.pk, "w")
    assert task.status == "running"
    fresh = Task.objects.get()
    store.finish(claim, Succeeded("7"))
    assert fresh.result == 7
    assert task.status == "gone"  # this copy has nothing to look for


def test_status_takes_one_statement_while_live_and_two_when_archived(store):
    task = add(store)
    with statements() as live:
        _ = task.status
    store.finish(store.claim_one(task.pk, "w"), Succeeded())
    with statements() as archived:
        _ = task.status
    with statements() as none:
        _ = CompletedTask.objects.get().status
    assert (len(live.all), len(archived.all), len(none.all)) == (1, 2, 1)


def test_wait_for_a_finished_task_does_not_pause(store, sleeper):
    assert finish(store, Succeeded("7")).wait() == 7
    assert sleeper.pauses == []


@pytest.mark.django_db(transaction=True)
def test_wait_looks_again_until_the_task_has_finished(task, registry, sleeper):
    def meanwhile():
        if len(sleeper.pauses) == 4:
            assert registry.run_next_task()

    sleeper.meanwhile = meanwhile
    assert task.wait(60) == [1, 2]
    assert len(sleeper.pauses) == 4
    assert sleeper.pauses == sorted(sleeper.pauses)
    assert sleeper.pauses[0] < 0.05


@pytest.mark.django_db(transaction=True)
def test_wait_pauses_grow_to_a_second_and_keep_the_time(task, sleeper):
    with pytest.raises(WaitTimeoutError, match="within 60"):
        task.wait(60)
    assert sum(sleeper.pauses) == pytest.approx(60)
    assert max(sleeper.pauses) == 1.0
    assert len(sleeper.pauses) < 75


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("poll", [5, timedelta(seconds=5)])
def test_wait_with_a_pause_of_ones_own_keeps_to_it(task, sleeper, poll):
    with pytest.raises(TimeoutError):
        task.wait(timedelta(seconds=12), poll=poll)
    assert sleeper.pauses == [5, 5, 2]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("timeout", [0, -1])
def test_wait_without_time_looks_once(task, sleeper, timeout):
    with pytest.raises(WaitTimeoutError):
        task.wait(timeout)
    assert sleeper.pauses == []


@pytest.mark.django_db(transaction=True)
def test_wait_for_a_task_that_fails_meanwhile_raises_its_error(registry, sleeper):
    @registry.background(name="results.fail", max_attempts=1)
    def fail():
        raise ValueError("no")

    task = fail()
    sleeper.meanwhile = registry.run_next_task
    with pytest.raises(TaskFailedError, match="ValueError: no"):
        task.wait()


WAYS = {"plain": lambda task: task.wait(), "async": lambda task: async_to_sync(task.await_result)()}


@pytest.mark.parametrize("wait", WAYS.values(), ids=list(WAYS))
def test_wait_inside_a_transaction_is_refused(task, sleeper, wait):
    with transaction.atomic(), pytest.raises(BackgroundTaskError, match="inside a transaction"):
        wait(task)
    assert sleeper.pauses == []


def test_wait_inside_a_transaction_gives_what_there_is(store, sleeper):
    task = finish(store, Succeeded("7"))
    with transaction.atomic():
        assert task.wait() == 7


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"timeout": "5"}, InvalidOptionTypeError),
        ({"timeout": float("nan")}, InvalidOptionError),
        ({"poll": 0}, InvalidOptionError),
        ({"poll": "1"}, InvalidOptionTypeError),
    ],
)
def test_wait_with_wrong_options_is_refused(task, options, error):
    with pytest.raises(error):
        task.wait(**options)


def test_aresult_gives_the_same_in_a_coroutine(store):
    task = finish(store, Succeeded("7"))
    assert async_to_sync(task.aresult)() == 7


@pytest.mark.django_db(transaction=True)
def test_await_result_waits_without_holding_up_others(task, registry, monkeypatch):
    others = []

    async def work():
        async def pause(seconds):
            others.append(seconds)
            await sync_to_async(registry.run_next_task)()

        monkeypatch.setattr(result, "asyncio", SimpleNamespace(sleep=pause))
        return await task.await_result(60)

    assert async_to_sync(work)() == [1, 2]
    assert others
