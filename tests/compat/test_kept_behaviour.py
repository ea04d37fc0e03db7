"""Section 17: what users rely on and nobody may repair, where no other module asserts it."""

from datetime import datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import transaction
from django.test import TestCase
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.tasks import TaskSchedule, tasks
from tests.compat.running import Recording


@pytest.mark.django_db(transaction=True)
def test_schedule_inside_a_transaction_rolls_back_with_it(recording, signal_log):
    with transaction.atomic():
        recording.proxy(1)
        assert Task.objects.count() == 1
        assert signal_log.names == ["task_created"]
        transaction.set_rollback(True)
    assert not Task.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_schedule_inside_a_transaction_is_there_once_it_commits(recording):
    with transaction.atomic():
        task = recording.proxy(1)
        assert task.pk is not None
    assert Task.objects.get() == task


@pytest.mark.django_db(transaction=True)
def test_fail_to_schedule_inside_a_transaction_leaves_the_callers_transaction_usable(recording):
    with transaction.atomic():
        kept = recording.proxy(1)
        with pytest.raises(TypeError):
            recording.proxy(object())
        assert Task.objects.count() == 1
    assert Task.objects.get() == kept


@pytest.mark.django_db
def test_run_failure_and_success_both_go_to_the_archive(runs, recording, failing, settings):
    settings.MAX_ATTEMPTS = 1
    recording.proxy(1)
    failing()
    assert runs.all() == 2
    assert not Task.objects.exists()
    assert CompletedTask.objects.succeeded().get().task_name == "recorded"
    assert CompletedTask.objects.failed().get().task_name == "failing"


@pytest.mark.django_db
def test_read_run_at_of_archived_row_is_the_time_of_completion(runs, recording):
    recording.proxy(1, schedule=timezone.now() - timedelta(days=3))
    assert runs.next()
    age = timezone.now() - CompletedTask.objects.get().run_at
    assert abs(age.total_seconds()) < 30


@pytest.mark.django_db
def test_schedule_with_repeat_in_seconds_stores_the_number(recording):
    assert recording.proxy(repeat=12345).repeat == 12345


def test_read_naive_moment_of_a_schedule_is_what_was_given():
    naive = datetime(2031, 5, 6, 7, 8, 9)
    proxy = tasks.background(name="naive", schedule=naive)(Recording())
    assert proxy.schedule.run_at is naive
    assert TaskSchedule.create({"run_at": naive}).run_at is naive


@pytest.mark.django_db
def test_run_tasks_with_equal_priority_in_order_of_their_time(runs):
    recording = Recording()
    proxy = tasks.background(name="ordered")(recording)
    now = timezone.now()
    for age in (1, 3, 2):
        proxy(age, schedule=now - timedelta(minutes=age))
    assert runs.all() == 3
    assert [args[0] for args, _ in recording.calls] == [3, 2, 1]


@pytest.mark.django_db
def test_run_niceness_ordering_takes_low_numbers_first(runs, settings):
    settings.BACKGROUND_TASK_PRIORITY_ORDERING = "ASC"
    recording = Recording()
    proxy = tasks.background(name="ordered")(recording)
    for priority in (5, -5, 0):
        proxy(priority, priority=priority)
    assert runs.all() == 3
    assert [args[0] for args, _ in recording.calls] == [-5, 0, 5]


class InsideTestCase(TestCase):
    """Users drain their queue inside a ``TestCase``, which is one transaction never committed."""

    def setUp(self):
        before = dict(tasks._tasks)
        self.addCleanup(lambda: (tasks._tasks.clear(), tasks._tasks.update(before)))
        self.recording = Recording()
        self.proxy = tasks.background(name="in a test case")(self.recording)

    def test_run_next_task_runs_what_was_scheduled(self):
        self.proxy(1)
        assert tasks.run_next_task()
        assert self.recording.calls == [((1,), {})]
        assert not tasks.run_next_task()
        assert CompletedTask.objects.count() == 1

    def test_run_task_that_fails_leaves_the_transaction_usable(self):
        @tasks.background(name="fails in a test case")
        def fail():
            raise ValueError("this task always fails")

        fail()
        assert tasks.run_next_task()
        assert Task.objects.get().attempts == 1
        self.proxy(2)
        assert tasks.run_next_task()
        assert CompletedTask.objects.count() == 1

    def test_run_task_that_breaks_its_own_transaction_leaves_the_outer_one_usable(self):
        @tasks.background(name="rolls back")
        def roll_back():
            with transaction.atomic():
                self.proxy("rolled back")
                raise ValueError("undo")

        roll_back()
        assert tasks.run_next_task()
        assert Task.objects.get().task_name == "rolls back"

    def test_run_next_task_in_async_mode_runs_in_place(self):
        """Threads of a pool could not see the rows of an open transaction."""
        self.proxy(1)
        with self.settings(BACKGROUND_TASK_RUN_ASYNC=True):
            assert tasks.run_next_task()
        assert self.recording.calls == [((1,), {})]
        assert CompletedTask.objects.count() == 1

    @pytest.mark.usefixtures("end_without_work")
    def test_call_command_process_tasks_drains_the_queue(self):
        self.proxy(1)
        self.proxy(2)
        call_command("process_tasks", duration=60, sleep=0.05, verbosity=0)
        assert self.recording.calls == [((1,), {}), ((2,), {})]
        assert not Task.objects.exists()
        assert CompletedTask.objects.count() == 2

    def test_open_transaction_of_the_test_survives_a_task_that_fails_in_the_database(self):
        @tasks.background(name="breaks the transaction")
        def break_it():
            Task.objects.create(task_name="no time", run_at=None)

        break_it()
        assert tasks.run_next_task()
        assert Task.objects.get().attempts == 1
        assert "IntegrityError" in Task.objects.get().last_error
