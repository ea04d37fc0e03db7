"""The test kit with tasks of ``django.tasks``."""

from datetime import timedelta

import pytest
from django.test import TestCase, override_settings
from django.utils import timezone

from background_task.exceptions import AttemptLostError, BackgroundTaskError, InvalidOptionTypeError
from background_task.models import Task
from background_task.task_framework import (
    BaseTaskBackend,
    task_enqueued,
    task_finished,
    task_started,
)
from background_task.testing import (
    assert_enqueued,
    assert_enqueues,
    assert_enqueues_nothing,
    drain,
    eager,
    killed_at_each_commit,
    lost_lease,
    run_due,
    run_twice,
)
from tests.app.tasks import record
from tests.backends import tasks

OURS = "background_task.backends.DatabaseBackend"
DUMMY = f"{BaseTaskBackend.__module__.rpartition('.')[0]}.dummy.DummyBackend"
transactional = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def queued():
    """What the tasks of a test have been called with."""
    tasks.calls.clear()
    return tasks.calls


# -- drain, and what is queued --------------------------------------------------------------------


@pytest.mark.parametrize(
    "database",
    [pytest.param("db", id="inside"), pytest.param("transactional_db", id="outside")],
)
def test_drain_runs_tasks_of_both_kinds(request, database):
    request.getfixturevalue(database)
    record("a")
    result = tasks.add.enqueue(1, second=2)
    tasks.context.using(priority=-1).enqueue("b")
    assert [ran.status for ran in run_due(tasks.add)] == ["succeeded"]
    runs = drain()
    assert {ran.task_name: ran.status for ran in runs} == {
        "tests.app.tasks.record": "succeeded",
        "tests.backends.tasks.context": "succeeded",
    }
    assert runs[-1].result == f"{runs[-1].uid} 1 b"
    result.refresh()
    assert (result.status, result.return_value) == ("SUCCESSFUL", 3)


@pytest.mark.django_db
def test_drain_moves_the_clock_to_what_is_to_run_after():
    result = tasks.add.using(run_after=timezone.now() + HOUR).enqueue(1)
    assert drain(until=HOUR / 2) == []
    (ran,) = drain(tasks.add, until=2 * HOUR)
    assert ran.params() == ([1], {})
    result.refresh()
    assert result.is_finished


@pytest.mark.django_db
def test_drain_raises_what_a_task_has_raised():
    failed, retried = tasks.fail.enqueue("on purpose"), tasks.fail_at_first.enqueue(2)
    with pytest.raises(ValueError, match="on purpose"):
        drain()
    tasks.calls.clear()
    runs = drain(retries=True, raise_errors=False)
    assert [ran.status for ran in runs] == ["retry", "retry", "succeeded"]
    for result, status in ((failed, "FAILED"), (retried, "SUCCESSFUL")):
        result.refresh()
        assert result.status == status


@pytest.mark.django_db
def test_assert_enqueued_finds_what_enqueue_has_stored():
    with assert_enqueues(tasks.add, args=[(1, 2)], kwargs={"second": 3}, queue="other") as found:
        result = tasks.add.using(queue_name="other").enqueue((1, 2), second=3)
    assert str(found[0].uid) == result.id
    moment = timezone.now() + HOUR
    tasks.add.using(run_after=moment).enqueue(4)
    assert_enqueued(tasks.add, args=[4], run_at=moment, queue="default", count=1)
    assert_enqueued(tasks.add, run_at=HOUR, within=600, count=1)
    with assert_enqueues_nothing(tasks.add):
        tasks.elsewhere.enqueue()
    with pytest.raises(
        AssertionError, match=r"1\. tests\.backends\.tasks\.add\(\[1, 2\], second=3"
    ):
        assert_enqueued(tasks.add, args=[5])


# -- eager mode ------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["add", "aadd"])
def test_eager_enqueue_returns_the_final_result_after_all_was_told_in_order(name):
    told = []

    def note(signal, task_result, **kwargs):
        told.append((signal, str(task_result.status)))

    signals = (task_enqueued, task_started, task_finished)
    for signal in signals:
        signal.connect(note)
    try:
        with eager():
            result = getattr(tasks, name).enqueue(1, second=2)
    finally:
        for signal in signals:
            signal.disconnect(note)
    assert (result.status, result.return_value, result.attempts) == ("SUCCESSFUL", 3, 1)
    assert told == list(zip(signals, ("READY", "RUNNING", "SUCCESSFUL"), strict=True))


@pytest.mark.django_db
def test_eager_error_is_raised_or_only_recorded():
    with eager(), pytest.raises(ValueError, match="on purpose"):
        tasks.fail.enqueue("on purpose")
    with eager(raise_errors=False):
        result = tasks.fail.enqueue()
        (error,) = result.errors
        assert (result.status, error.exception_class) == ("FAILED", ValueError)
        assert tasks.fail_at_first.enqueue(30).status == "READY"
    with eager():
        result = tasks.at_once.enqueue(0)  # which never raises where it is queued
        assert (result.status, result.attempts) == ("FAILED", 1)


@pytest.mark.django_db
def test_eager_leaves_what_is_to_run_after():
    with eager():
        result = tasks.add.using(run_after=timezone.now() + HOUR).enqueue(1)
    assert result.status == "READY"
    assert tasks.calls == []
    assert len(drain(scheduled=True)) == 1


# -- other settings --------------------------------------------------------------------------------


class OtherSettingsTests(TestCase):
    @override_settings(TASKS={"default": {"BACKEND": OURS, "OPTIONS": {"max_attempts": 2}}})
    def test_drain_goes_by_the_settings_of_the_test(self):
        tasks.fail.enqueue()
        runs = drain(retries=True, raise_errors=False)
        assert [ran.status for ran in runs] == ["retry", "failed"]

    def test_tasks_of_another_backend_are_not_in_the_queue(self):
        with override_settings(TASKS={"default": {"BACKEND": DUMMY}}), assert_enqueues_nothing():
            tasks.add.enqueue(1)
            with pytest.raises(
                BackgroundTaskError, match="is no DatabaseBackend of background_task"
            ):
                run_twice(tasks.add, 1)


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_run_twice_runs_a_task_of_two_attempts_twice(queued):
    fault = run_twice(tasks.add.using(max_attempts=2), 1, second=lambda: 5)
    assert (fault.status, [ran.attempt for ran in fault.runs]) == ("succeeded", [2])
    assert queued == [("add", (1, 5))] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            tasks.add,
            r"tests\.backends\.tasks\.add is tried once, as nobody has asked .*max_attempts=2",
        ),
        (tasks.add.using(max_attempts=1), "has one attempt, so it was not run a second time"),
        (tasks.at_once, r"is run by TASKS\['immediate'\] when it is queued, and no worker can die"),
    ],
)
def test_run_twice_of_what_would_not_be_run_again_is_refused(task, message):
    with pytest.raises(BackgroundTaskError, match=message):
        run_twice(task, 1)


def test_fault_of_what_is_no_task_is_refused():
    with pytest.raises(InvalidOptionTypeError, match="give what @background or @task returned"):
        run_twice(tasks.not_a_task)


@transactional
def test_killed_and_lost_tasks_are_run_again(queued):
    more = tasks.fail_at_first.using(max_attempts=2)
    seen = {}
    for make in (killed_at_each_commit, lost_lease):
        for fault in make(more, 0):
            place = fault.what.partition(" (")[0]
            seen[place] = (fault.status, len(queued), [ran.attempt for ran in fault.runs])
            queued.clear()
    assert seen == {
        "undisturbed": ("succeeded", 1, [1]),
        "killed before commit 1": ("succeeded", 2, [2]),
        "killed after commit 1": ("succeeded", 1, []),
        "lost before it began": ("succeeded", 2, [2, 1]),
    }
    assert not Task.objects.exists()


@transactional
def test_killed_task_for_which_one_attempt_was_asked_has_failed():
    faults = list(killed_at_each_commit(tasks.add.using(max_attempts=1), 1))
    assert [fault.status for fault in faults] == ["succeeded", "failed", "succeeded"]
    result = tasks.add.get_result(str(faults[1].uid))
    assert [error.exception_class for error in result.errors] == [AttemptLostError]
