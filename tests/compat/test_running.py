"""Section 15: TestTasks, MaxAttemptsTestCase, InvalidTaskTestCase, ArgumentsWithDictTestCase.

Every test here runs twice, in the calling thread and in the thread pool.
"""

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.exceptions import InvalidTaskError
from background_task.models import CompletedTask, Task
from background_task.tasks import tasks
from tests.compat.running import Recording

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("mode")]


def seconds_from_now(moment):
    return (moment - timezone.now()).total_seconds()


def test_run_next_task_without_rows_is_false(runs):
    assert runs.next() is False


def test_run_next_task_with_one_row_runs_it_and_then_is_false(runs, recording):
    recording.proxy("hi", there=1)
    assert runs.next() is True
    assert recording.calls == [(("hi",), {"there": 1})]
    assert runs.next() is False
    assert recording.calls == [(("hi",), {"there": 1})]


def test_run_next_task_with_several_rows_runs_each_once(runs, recording):
    for number in range(4):
        recording.proxy(number)
    assert runs.all() == 4
    assert [args for args, _ in recording.calls] == [(0,), (1,), (2,), (3,)]
    assert not Task.objects.exists()
    assert CompletedTask.objects.count() == 4


def test_run_task_that_succeeds_moves_the_row_to_the_archive_with_one_attempt(runs, recording):
    task = recording.proxy(1, verbose_name="shown", schedule=-60)
    before = timezone.now()
    assert runs.next()
    assert not Task.objects.exists()
    done = CompletedTask.objects.get()
    assert (done.task_name, done.task_params, done.task_hash) == (
        task.task_name,
        task.task_params,
        task.task_hash,
    )
    assert (done.attempts, done.verbose_name) == (1, "shown")
    assert (done.failed_at, done.last_error) == (None, "")
    assert before - timedelta(seconds=5) <= done.run_at


def test_run_task_that_returns_something_ignores_it(runs):
    tasks.background(name="valued")(Recording(result={"some": object()}))()
    assert runs.next()
    assert CompletedTask.objects.succeeded().count() == 1


def test_run_task_that_fails_keeps_the_row_for_a_later_attempt(runs, failing):
    scheduled = failing(1)
    assert runs.next() is True
    task = Task.objects.get()
    assert task.pk == scheduled.pk
    assert "ValueError: this task always fails" in task.last_error
    assert task.last_error.startswith("Traceback")
    assert (task.attempts, task.failed_at) == (1, None)
    assert (task.locked_by, task.locked_at) == (None, None)
    assert task.run_at > scheduled.run_at
    assert not CompletedTask.objects.exists()
    assert runs.next() is False


@pytest.mark.parametrize(
    ("attempts", "delay"), [(0, 6), (1, 21), (2, 86), (3, 261), (4, 630), (9, 10005)]
)
def test_run_task_that_fails_waits_by_the_old_formula(runs, failing, attempts, delay):
    failing()
    Task.objects.update(attempts=attempts)
    before = timezone.now()
    assert runs.next()
    after = timezone.now()
    task = Task.objects.get()
    assert task.attempts == attempts + 1
    wait, clock = timedelta(seconds=delay), timedelta(milliseconds=100)
    assert before + wait - clock <= task.run_at <= after + wait + clock


def test_run_next_task_with_locked_row_leaves_it(runs, recording):
    locked = recording.proxy(1).lock("another worker")
    assert runs.next() is False
    assert recording.calls == []
    stored = Task.objects.get()
    assert (stored.locked_by, stored.locked_at) == ("another worker", locked.locked_at)


def test_run_next_task_with_lock_past_max_run_time_runs_the_row(runs, recording, settings):
    settings.MAX_RUN_TIME = 60
    recording.proxy(1).lock("another worker")
    Task.objects.update(locked_at=timezone.now() - timedelta(seconds=62))
    assert runs.all() >= 1
    assert recording.calls == [((1,), {})]
    assert not Task.objects.exists()
    assert CompletedTask.objects.succeeded().count() == 1


def test_run_next_task_with_future_row_leaves_it(runs, recording):
    recording.proxy(schedule=60)
    assert runs.next() is False
    assert Task.objects.count() == 1


def test_schedule_of_decorator_sets_time_and_priority(runs):
    recording = Recording()
    proxy = tasks.background(name="s", schedule={"run_at": 60, "priority": 2})(recording)
    task = proxy()
    assert 55 < seconds_from_now(task.run_at) <= 61
    assert task.priority == 2
    assert runs.next() is False


def test_schedule_of_call_overrides_the_decorators_time_exactly(runs):
    recording = Recording()
    proxy = tasks.background(name="s", schedule={"run_at": 60, "priority": 2})(recording)
    moment = timezone.now() - timedelta(seconds=3)
    task = proxy(schedule=moment)
    assert (task.run_at, task.priority) == (moment, 2)
    assert runs.next() is True


def test_run_task_at_its_last_attempt_moves_the_failed_row_to_the_archive(runs, failing, settings):
    failing(1)
    Task.objects.update(attempts=settings.MAX_ATTEMPTS if hasattr(settings, "MAX_ATTEMPTS") else 25)
    before = timezone.now()
    assert runs.next()
    assert not Task.objects.exists()
    done = CompletedTask.objects.get()
    assert done.failed_at >= before - timedelta(seconds=5)
    assert "this task always fails" in done.last_error
    assert runs.next() is False


def test_run_tasks_with_one_attempt_moves_one_failed_row_per_run(runs, failing, settings):
    settings.MAX_ATTEMPTS = 1
    first, second = failing(1), failing(2)
    for task, left in ((first, [second]), (second, [])):
        assert runs.next() is True
        assert list(Task.objects.all()) == left
        done = CompletedTask.objects.order_by("pk").last()
        assert (done.task_name, done.task_params) == (task.task_name, task.task_params)
        assert (done.attempts, done.failed_at is not None) == (1, True)
        assert "this task always fails" in done.last_error
    assert CompletedTask.objects.count() == 2


def test_run_task_with_two_attempts_keeps_the_row_after_the_first(runs, failing, settings):
    settings.MAX_ATTEMPTS = 2
    failing(1)
    failing(2)
    assert runs.next()
    assert Task.objects.count() == 2
    assert not CompletedTask.objects.exists()
    Task.objects.update(run_at=timezone.now())
    assert runs.all() == 2
    assert [done.attempts for done in CompletedTask.objects.failed()] == [2]
    assert [task.attempts for task in Task.objects.all()] == [1]


def test_run_task_that_raises_a_kind_of_invalid_task_error_fails_at_once(runs, settings):
    settings.MAX_ATTEMPTS = 2

    class NotAgainError(InvalidTaskError):
        pass

    @tasks.background(name="invalid")
    def refuse():
        raise NotAgainError("never again")

    refuse(repeat=Task.HOURLY)
    assert runs.next()
    assert not Task.objects.exists()
    done = CompletedTask.objects.get()
    assert (done.attempts, done.failed_at is not None) == (1, True)
    assert "never again" in done.last_error


def test_run_task_with_dict_of_int_keys_arrives_with_string_keys(runs, recording):
    recording.proxy({22222: 2, 11111: 1})
    assert runs.next()
    assert recording.calls == [(({"11111": 1, "22222": 2},), {})]


def test_run_task_that_schedules_another_leaves_it_for_the_next_run(runs, recording):
    @tasks.background(name="parent")
    def parent():
        recording.proxy("child")

    parent()
    assert runs.all() == 2
    assert recording.calls == [(("child",), {})]


def test_call_now_inside_a_task_runs_it_in_place(runs, recording):
    @tasks.background(name="caller")
    def caller():
        recording.proxy.now(1)

    caller()
    assert runs.all() == 1
    assert recording.calls == [((1,), {})]


def test_run_task_uses_another_thread_in_async_mode_only(mode, runs):
    threads = []
    tasks.background(name="where")(lambda: threads.append(threading.current_thread()))()
    assert runs.next()
    assert (threads[0] is not threading.current_thread()) is mode
