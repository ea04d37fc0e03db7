"""Section 7; TestSchedulingTasks, TestTaskRunner and NamedQueueTestCase of section 15."""

from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.tasks import DBTaskRunner, TaskSchedule, tasks
from tests.compat.running import Recording, SignalLog

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("mode")]


@pytest.fixture
def runner():
    return DBTaskRunner()


def schedule(action=TaskSchedule.SCHEDULE, seconds=0, **options):
    """Schedules ``recorded(1)`` through the runner, as the proxy does."""
    run_at = timezone.now() + timedelta(seconds=seconds)
    return tasks._runner.schedule("recorded", (1,), {}, run_at, 0, action, **options)


def test_call_proxy_creates_one_row_with_name_and_parameters(recording):
    recording.proxy(1)
    task = Task.objects.get()
    assert task.task_name == "recorded"
    assert task.task_params == "[[1], {}]"


def test_schedule_with_positional_arguments_fills_the_row(runner, django_user_model):
    creator = django_user_model.objects.create(username="creator")
    run_at = timezone.now() + timedelta(hours=2)
    task = runner.schedule(
        "n", (1,), {"k": 2}, run_at, 3, TaskSchedule.SCHEDULE, "q", "v", creator, 60, run_at, False
    )
    task.refresh_from_db()
    assert (task.task_name, task.params()) == ("n", ([1], {"k": 2}))
    assert (task.run_at, task.priority, task.queue) == (run_at, 3, "q")
    assert (task.verbose_name, task.creator) == ("v", creator)
    assert (task.repeat, task.repeat_until) == (60, run_at)
    assert (task.attempts, task.locked_by, task.locked_at) == (0, None, None)
    assert (task.failed_at, task.last_error) == (None, "")


def test_schedule_with_defaults_is_due_now_without_queue(runner):
    task = runner.schedule("n", (), {})
    assert abs((task.run_at - timezone.now()).total_seconds()) < 5
    assert (task.priority, task.queue, task.repeat) == (0, None, Task.NEVER)


def test_reschedule_existing_leaves_one_row_at_the_new_time_and_priority(recording):
    first = recording.proxy(1, schedule=60)
    later = timezone.now() + timedelta(hours=1)
    how = {"run_at": later, "priority": 7, "action": TaskSchedule.RESCHEDULE_EXISTING}
    with SignalLog() as log:
        assert recording.proxy(1, schedule=how) is None
    task = Task.objects.get()
    assert (task.pk, task.run_at, task.priority) == (first.pk, later, 7)
    assert log.names == []


def test_reschedule_existing_with_several_rows_moves_them_all(recording):
    schedule(), schedule()
    later = timezone.now() + timedelta(hours=1)
    how = {"run_at": later, "action": TaskSchedule.RESCHEDULE_EXISTING}
    assert recording.proxy(1, schedule=how) is None
    assert [task.run_at for task in Task.objects.all()] == [later, later]


def test_check_existing_keeps_the_first_row_and_its_time(recording):
    first = recording.proxy(1, schedule=60, priority=2)
    how = {"run_at": 3600, "priority": 7, "action": TaskSchedule.CHECK_EXISTING}
    with SignalLog() as log:
        assert recording.proxy(1, schedule=how) is None
    task = Task.objects.get()
    assert (task.pk, task.run_at, task.priority) == (first.pk, first.run_at, 2)
    assert log.names == []


@pytest.mark.parametrize("action", [TaskSchedule.RESCHEDULE_EXISTING, TaskSchedule.CHECK_EXISTING])
def test_look_for_existing_without_any_creates_and_returns_a_row(action):
    with SignalLog() as log:
        task = schedule(action)
    assert Task.objects.get() == task
    assert log.names == ["task_created"]


@pytest.mark.parametrize("action", [TaskSchedule.RESCHEDULE_EXISTING, TaskSchedule.CHECK_EXISTING])
def test_look_for_existing_with_other_arguments_creates_a_row(action, recording):
    recording.proxy(2)
    assert schedule(action) is not None
    assert Task.objects.count() == 2


@pytest.mark.parametrize("action", [TaskSchedule.RESCHEDULE_EXISTING, TaskSchedule.CHECK_EXISTING])
def test_look_for_existing_does_not_count_a_running_row(action):
    running = schedule().lock("somebody")
    added = schedule(action, seconds=60)
    assert added is not None
    running_now = Task.objects.get(pk=running.pk)
    assert (running_now.run_at, running_now.locked_by) == (running.run_at, "somebody")


@pytest.mark.parametrize("action", [TaskSchedule.RESCHEDULE_EXISTING, TaskSchedule.CHECK_EXISTING])
def test_look_for_existing_in_named_queue_ignores_other_queues(action):
    elsewhere = schedule(seconds=60, queue="a")
    assert schedule(action, queue="b") is not None
    assert schedule(action, queue="b", seconds=90) is None
    assert Task.objects.filter(queue="b").count() == 1
    assert Task.objects.get(queue="a").run_at == elsewhere.run_at


def test_look_for_existing_without_queue_finds_rows_of_every_queue():
    schedule(queue="a")
    assert schedule(TaskSchedule.CHECK_EXISTING) is None
    assert Task.objects.count() == 1


def test_remove_existing_replaces_the_waiting_row(recording):
    schedule()
    new = schedule(seconds=60, remove_existing_tasks=True)
    assert list(Task.objects.all()) == [new]


def test_remove_existing_leaves_running_rows_and_other_arguments(recording):
    running, other = schedule().lock("somebody"), recording.proxy(2)
    new = schedule(remove_existing_tasks=True)
    assert set(Task.objects.all()) == {running, other, new}


def test_get_task_to_run_without_rows_gives_nothing(runner):
    assert not runner.get_task_to_run(tasks)


def test_get_task_to_run_locks_the_row_in_the_runners_name(runner, recording):
    scheduled = recording.proxy(1)
    task = runner.get_task_to_run(tasks)
    assert task == scheduled
    stored = Task.objects.get()
    assert task.locked_by == stored.locked_by == runner.worker_name
    assert 0 < len(runner.worker_name) <= 64
    assert abs((stored.locked_at - timezone.now()).total_seconds()) < 30
    assert not runner.get_task_to_run(tasks)


def test_get_task_to_run_accepts_row_with_bare_argument(runner, recording):
    task = Task.objects.new_task("recorded", (1), {})
    task.save()
    assert task.task_params == "[1, {}]"
    assert runner.get_task_to_run(tasks) == task


def test_get_task_to_run_leaves_unregistered_names_for_another_worker(runner, recording):
    unknown = Task.objects.new_task("nobody registered this", priority=99)
    unknown.save()
    known = recording.proxy(1)
    assert runner.get_task_to_run(tasks) == known
    unknown.refresh_from_db()
    assert (unknown.locked_by, unknown.attempts, unknown.last_error) == (None, 0, "")


def test_run_next_task_with_only_unregistered_names_runs_nothing(runner):
    Task.objects.new_task("nobody registered this").save()
    assert runner.run_next_task(tasks) is False
    assert Task.objects.filter(locked_by=None).count() == 1


def test_run_next_task_says_whether_one_was_run(runner, runs, recording):
    assert runner.run_next_task(tasks) is False
    recording.proxy(1)
    with runs.expecting(1):
        assert runner.run_next_task(tasks) is True
    assert recording.calls == [((1,), {})]
    assert runner.run_next_task(tasks) is False


def test_run_next_task_that_fails_is_true(runner, runs, failing):
    failing()
    with runs.expecting(1):
        assert runner.run_next_task(tasks) is True
    assert runner.run_next_task(tasks) is False


def test_run_task_of_runner_logs_and_runs_the_locked_row(runner, runs, recording, records_of):
    records = records_of("background_task.tasks")
    recording.proxy(1, verbose_name="shown name")
    task = runner.get_task_to_run(tasks)
    with runs.expecting(1):
        runner.run_task(tasks, task)
    assert recording.calls == [((1,), {})]
    assert any("shown name" in message for message in records.messages("INFO"))
    assert CompletedTask.objects.count() == 1


@pytest.mark.parametrize(
    ("worker_queue", "ran"),
    [("named", True), (None, True), ("", True), ("another", False)],
)
def test_run_next_task_of_named_queue_takes_only_its_queue(runs, worker_queue, ran):
    recording = Recording()
    tasks.background(name="queued", queue="named")(recording)(1)
    assert runs.next(worker_queue) is ran
    assert len(recording.calls) == ran
    assert Task.objects.exists() is not ran


@pytest.mark.parametrize(("worker_queue", "ran"), [("named", False), (None, True), ("", True)])
def test_run_next_task_of_unnamed_queue_needs_a_worker_for_all(runs, recording, worker_queue, ran):
    recording.proxy(1)
    assert runs.next(worker_queue) is ran


def test_get_task_to_run_among_many_rows_of_others_is_found(runner, recording):
    for _ in range(30):
        Task.objects.new_task("nobody registered this", priority=5).save()
    known = recording.proxy(1)
    assert runner.get_task_to_run(tasks) == known
