"""Section 8: what one run does, in which order, and how a failed one is rescheduled."""

import sys
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.exceptions import BackgroundTaskError, InvalidTaskError
from background_task.models import CompletedTask, Task
from background_task.tasks import PoolRunner, TaskProxy, bg_runner, tasks
from tests.compat.running import DEADLINE_SECONDS, Recording, SignalLog

pytestmark = pytest.mark.django_db


def reschedule(task, error):
    """Calls ``task.reschedule`` as code that handled ``error`` does."""
    try:
        raise error
    except type(error):
        return task.reschedule(*sys.exc_info())


def test_bg_runner_with_row_runs_it_with_its_own_arguments(recording):
    task = recording.proxy(1, k=2)
    assert bg_runner(recording.proxy, task, "ignored", also="ignored") is None
    assert recording.calls == [((1,), {"k": 2})]
    assert not Task.objects.exists()
    assert CompletedTask.objects.get().attempts == 1


def test_bg_runner_without_row_runs_with_arguments_given(recording):
    bg_runner(recording.proxy, None, 1, k=2)
    assert recording.calls == [((1,), {"k": 2})]
    assert not CompletedTask.objects.exists()


def test_bg_runner_without_row_finishes_a_due_row_with_these_arguments(recording):
    recording.proxy(1, k=2)
    bg_runner(recording.proxy, None, 1, k=2)
    assert recording.calls == [((1,), {"k": 2})]
    assert not Task.objects.exists()
    assert CompletedTask.objects.count() == 1


def test_bg_runner_with_row_that_fails_reschedules_it(failing):
    task = failing()
    bg_runner(failing, task)
    stored = Task.objects.get()
    assert (stored.attempts, stored.locked_by) == (1, None)
    assert "this task always fails" in stored.last_error


def test_bg_runner_with_proxy_without_function_records_the_error():
    proxy = TaskProxy("empty", None, None, None, False, tasks._runner)
    row = Task.objects.new_task("empty")
    row.save()
    tasks._tasks["empty"] = proxy
    bg_runner(proxy, row)
    stored = Task.objects.get()
    assert stored.attempts == 1
    assert BackgroundTaskError.__name__ in stored.last_error


def test_bg_runner_with_row_in_memory_updates_the_database_row(recording):
    """The row is looked up by its key: what the caller's copy says about the lock is not asked."""
    recording.proxy(1)
    bg_runner(recording.proxy, Task.objects.get())
    assert CompletedTask.objects.count() == 1


@pytest.mark.parametrize(("attempts", "delay"), [(0, 6), (1, 21), (2, 86), (3, 261), (4, 630)])
def test_reschedule_with_attempts_left_delays_by_the_old_formula(failing, attempts, delay):
    task = failing()
    task.attempts = attempts
    task.save()
    task = task.lock("somebody")
    before = timezone.now()
    reschedule(task, ValueError("it broke"))
    stored = Task.objects.get()
    assert stored.attempts == attempts + 1
    wait = timedelta(seconds=delay)
    assert before + wait <= stored.run_at <= timezone.now() + wait
    assert (stored.locked_by, stored.locked_at, stored.failed_at) == (None, None, None)
    assert "ValueError: it broke" in stored.last_error
    assert not CompletedTask.objects.exists()


def test_reschedule_with_attempts_left_sends_task_rescheduled(failing):
    task = failing().lock("somebody")
    with SignalLog() as log:
        reschedule(task, ValueError("it broke"))
    sender, kwargs = log.of("task_rescheduled")
    assert (log.names, sender, kwargs["task"]) == (["task_rescheduled"], Task, task)


@pytest.mark.parametrize("error", [ValueError("it broke"), InvalidTaskError("it broke")])
def test_reschedule_without_attempts_left_or_when_invalid_archives_the_row(
    failing, settings, error
):
    settings.MAX_ATTEMPTS = 3 if isinstance(error, InvalidTaskError) else 1
    task = failing(repeat=Task.HOURLY).lock("somebody")
    pk = task.pk
    with SignalLog() as log:
        reschedule(task, error)
    assert not Task.objects.exists()
    done = CompletedTask.objects.get()
    assert done.failed_at is not None
    assert "it broke" in done.last_error
    sender, kwargs = log.of("task_failed")
    assert (log.names, sender) == (["task_failed"], Task)
    assert (kwargs["task_id"], kwargs["completed_task"]) == (pk, done)


@pytest.mark.parametrize("repeat", [Task.NEVER, Task.HOURLY])
def test_run_failed_for_good_ends_the_chain_of_repetitions(failing, runs, settings, repeat):
    settings.MAX_ATTEMPTS = 1
    failing(repeat=repeat)
    assert runs.next()
    assert not Task.objects.exists()
    assert CompletedTask.objects.failed().count() == 1


def test_run_retried_keeps_repeat_on_the_row(failing, runs):
    failing(repeat=Task.HOURLY)
    assert runs.next()
    assert Task.objects.get().repeat == Task.HOURLY


@pytest.mark.django_db(transaction=True)
def test_run_in_either_mode_keeps_error_text_of_last_attempt_in_archive(mode, runs):
    outcomes = iter([ValueError("first"), None])

    @tasks.background(name="flaky")
    def flaky():
        error = next(outcomes)
        if error is not None:
            raise error

    flaky()
    assert runs.next()
    Task.objects.update(run_at=timezone.now() - timedelta(seconds=1))
    assert runs.next()
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at) == (2, None)
    assert "ValueError: first" in done.last_error


def test_pool_runner_gives_proxy_row_and_arguments_to_its_function():
    seen, done = Recording(), threading.Event()

    def runner(*args, **kwargs):
        seen(*args, **kwargs)
        done.set()

    pool = PoolRunner(runner, 1)
    proxy, row = object(), object()
    assert pool.run(proxy, row, 1, k=2) is None
    assert done.wait(DEADLINE_SECONDS)
    done.clear()
    pool(proxy, None, 3)
    assert done.wait(DEADLINE_SECONDS)
    assert seen.calls == [((proxy, row, 1), {"k": 2}), ((proxy, None, 3), {})]


def test_pool_runner_runs_as_many_at_once_as_it_was_told():
    together = threading.Barrier(3)
    pool = PoolRunner(lambda *args, **kwargs: together.wait(DEADLINE_SECONDS), 2)
    pool.run(None)
    pool.run(None)
    together.wait(DEADLINE_SECONDS)
    assert not together.broken
