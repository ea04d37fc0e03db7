"""Running tasks from code."""

import threading
from uuid import uuid4

import pytest

import background_task
from background_task import api
from background_task.api import NO_BACKEND
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.api.conftest import add
from tests.backends import tasks

pytestmark = pytest.mark.django_db


def test_names_of_the_package_call_the_functions(note, ran):
    note(1)
    assert background_task.get_pending_task_count() == 1
    assert background_task.process_one_task().status == "succeeded"
    assert ran == [1]
    names = set(api.__all__) & set(background_task.__all__)
    assert names == {name for name in api.__all__ if name.islower()}


def test_process_one_task_runs_the_first_and_returns_its_record(note, ran):
    note(1, priority=1), note(2, priority=2)
    row = api.process_one_task()
    assert isinstance(row, CompletedTask)
    assert (row.status, row.params(), ran) == ("succeeded", ([2], {}), [2])


def test_process_one_task_with_nothing_due_returns_none(note):
    note(1, schedule=60)
    assert api.process_one_task() is None


def test_process_one_task_of_a_queue_leaves_the_others(note, ran):
    note(1, queue="a"), note(2, queue="b")
    assert api.process_one_task(queue="b").queue == "b"
    assert api.process_one_task(queue="b") is None
    assert ran == [2]


def test_process_one_task_that_is_to_be_tried_again_returns_the_live_row(registry):
    @registry.background(name="broken")
    def broken():
        raise ValueError("no")

    broken()
    row = api.process_one_task(worker_id="me")
    assert isinstance(row, Task)
    assert (row.status, row.attempts) == ("waiting", 1)
    assert row.attempt_errors[0].worker == "me"


@pytest.mark.parametrize("worker_id", ["", "w" * 65, 5, "a\0b"], ids=repr)
def test_process_one_task_with_a_name_that_cannot_be_is_refused(note, worker_id):
    note(1)
    with pytest.raises((ValueError, TypeError), match="worker_id"):
        api.process_one_task(worker_id=worker_id)
    assert Task.objects.get().locked_by is None


def test_process_one_task_of_no_backend_runs_those_of_the_decorator(note, ran):
    note(1)
    assert api.process_one_task(backend=NO_BACKEND).params() == ([1], {})


def test_process_one_task_does_not_wait_for_a_limit(registry, ran):
    limited = registry.background(name="limited", max_concurrency=1)(ran.append)
    limited(1), limited(2)
    assert [row.status for row in api.process_tasks()] == ["succeeded"] * 2
    assert ran == [1, 2]


def test_process_tasks_runs_all_that_is_due(note, ran):
    for number in range(3):
        note(number, priority=-number)
    note(9, schedule=60)
    assert [row.params() for row in api.process_tasks()] == [([0], {}), ([1], {}), ([2], {})]
    assert ran == [0, 1, 2]


def test_process_tasks_stops_at_its_limit_and_at_the_event(note, ran):
    stop = threading.Event()
    for number in range(3):
        note(number)
    assert len(api.process_tasks(max_tasks=1)) == 1
    stop.set()
    assert api.process_tasks(stop_event=stop) == []
    assert len(ran) == 1


def test_process_tasks_with_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="max_tasks -1 is out of range"):
        api.process_tasks(max_tasks=-1)


def test_run_task_by_id_runs_what_is_not_due(note, ran):
    task = note(1, schedule=3600)
    assert api.run_task_by_id(str(task.uid)).uid == task.uid
    assert ran == [1]


def test_run_task_by_id_of_a_backend_row_returns_its_result():
    result = tasks.add.enqueue(1, second=2)
    done = api.run_task_by_id(result.id)
    assert (done.id, done.status, done.return_value) == (result.id, "SUCCESSFUL", 3)


def test_run_task_by_id_of_a_path_that_leads_nowhere_returns_the_row():
    row = api.run_task_by_id(add("shop.gone", backend="any").uid)
    assert (row.status, row.backend) == ("failed", "any")


def test_run_task_by_id_of_what_runs_or_has_finished_returns_none(note, ran):
    task = note(1)
    assert task.lock("somebody")
    assert api.run_task_by_id(task.uid) is None
    Task.objects.update(locked_by=None)
    assert api.run_task_by_id(task.uid) is not None
    assert api.run_task_by_id(task.uid, allow_retry=True) is None
    assert ran == [1]


def test_run_task_by_id_of_nothing_raises():
    with pytest.raises(Task.DoesNotExist, match="there is no task"):
        api.run_task_by_id(uuid4())
    with pytest.raises(ValueError, match="'7' is no uid"):
        api.run_task_by_id("7")


def test_run_task_by_id_tries_a_failed_one_anew_if_that_is_allowed(flawed, ran):
    task = flawed("b")
    assert api.process_one_task().status == "failed"
    assert api.run_task_by_id(task.uid) is None
    ran.append("fixed")
    row = api.run_task_by_id(task.uid, allow_retry=True)
    assert (row.status, row.params(), ran[-1]) == ("succeeded", (["b"], {}), "b")
    assert row.uid != task.uid
    assert task.status == "failed"


def test_fetch_task_shows_the_next_one_and_leaves_it(note):
    note(1, queue="a"), note(2, queue="a", priority=5)
    row = api.fetch_task(queue="a")
    assert row.params() == ([2], {})
    assert get_store().tasks.filter(locked_by=None).count() == 2
    assert api.fetch_task(queue="b") is None
