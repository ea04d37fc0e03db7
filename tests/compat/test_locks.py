"""Section 13: a lock is one conditional update, and decides in the database."""

import os
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from background_task.models import CompletedTask, Task
from background_task.tasks import DBTaskRunner, tasks
from tests.compat.running import DEADLINE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


def race(count, function):
    """Runs ``function(number)`` in threads that start together, and returns what they returned."""
    start, results = threading.Barrier(count), {}

    def run(number):
        try:
            start.wait(DEADLINE_SECONDS)
            results[number] = function(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_SECONDS)
    assert len(results) == count
    return [results[number] for number in range(count)]


def test_lock_by_many_at_once_is_given_to_exactly_one():
    task = Task.objects.new_task("n")
    task.save()
    locked = race(4, lambda number: Task.objects.get(pk=task.pk).lock(f"worker {number}"))
    (winner,) = [row for row in locked if row is not None]
    assert Task.objects.get().locked_by == winner.locked_by


def test_get_task_to_run_by_many_at_once_gives_each_row_once(recording):
    rows = {recording.proxy(number).pk for number in range(3)}
    given = race(3, lambda number: DBTaskRunner().get_task_to_run(tasks))
    taken = [task.pk for task in given if task is not None]
    assert len(taken) == len(set(taken))
    assert taken
    assert set(taken) <= rows
    assert Task.objects.exclude(locked_by=None).count() == len(taken)


def test_lock_with_any_text_is_respected_by_workers(recording, runs):
    recording.proxy(1).lock("maintenance window, do not touch")
    assert runs.next() is False
    assert Task.objects.get().locked_by == "maintenance window, do not touch"


def test_lock_of_own_process_is_a_lock_like_any_other(recording, runs):
    recording.proxy(1).lock(str(os.getpid()))
    assert runs.next() is False


@pytest.mark.parametrize(("age", "is_due"), [(59, False), (62, True)])
def test_find_available_with_lock_around_max_run_time(recording, settings, age, is_due):
    settings.MAX_RUN_TIME = 60
    recording.proxy(1).lock("somebody")
    Task.objects.update(locked_at=timezone.now() - timedelta(seconds=age))
    assert Task.objects.find_available().exists() is is_due
    assert (DBTaskRunner().get_task_to_run(tasks) is not None) is is_due


def test_run_locked_task_holds_the_lock_while_the_function_runs(mode, runs):
    seen = []

    @tasks.background(name="looking")
    def looking():
        seen.append(Task.objects.values_list("locked_by", "locked_at", "attempts").get())

    looking()
    assert runs.next()
    ((locked_by, locked_at, attempts),) = seen
    assert locked_by
    assert len(locked_by) <= 64
    assert locked_at is not None
    assert attempts == 0
    assert CompletedTask.objects.get().attempts == 1
