"""The framework's own signals: who is told what, in which order, in which state."""

import gc
import logging
import sys

import pytest
from asgiref.sync import async_to_sync
from django import VERSION

from background_task import api
from background_task.backends import DatabaseBackend
from background_task.cancellation import cancel
from background_task.exceptions import TaskCancelledError
from background_task.models import CompletedTask, Task as Row
from background_task.task_framework import task_enqueued, task_finished, task_started
from tests.backends import tasks
from tests.backends.running import finished, make_due, work

pytestmark = pytest.mark.django_db

LOGGER = "django.tasks" if VERSION >= (6, 0) else "django_tasks"


class Child(DatabaseBackend):
    """One of a project's own."""


def test_a_task_that_succeeds_is_told_of_three_times(verbs, told):
    result = verbs.enqueue(tasks.add, 1)
    ((name, sender, status, seen),) = told
    assert (name, sender, status) == ("task_enqueued", DatabaseBackend, "READY")
    assert seen == result
    work()
    assert [each[:3] for each in told[1:]] == [
        ("task_started", DatabaseBackend, "RUNNING"),
        ("task_finished", DatabaseBackend, "SUCCESSFUL"),
    ]
    started, ended = (each[3] for each in told[1:])
    assert {started.id, ended.id} == {result.id}
    assert started.started_at is not None
    assert len(started.worker_ids) == 1
    assert (started.finished_at, started.attempts) == (None, 1)
    assert ended.return_value == 2
    assert ended.finished_at >= ended.started_at
    assert ended.task == result.task


def test_a_failure_is_told_as_one(told):
    result = finished(tasks.fail.enqueue())
    assert [each[0] for each in told] == ["task_enqueued", "task_started", "task_finished"]
    assert told[-1][3] == result


def test_a_result_that_is_told_of_alone_is_that_which_is_read_later(told):
    ended = finished(tasks.add.enqueue(1))
    seen = told[-1][3]
    assert seen.worker_ids == ended.worker_ids
    assert (seen.started_at, seen.last_attempted_at) == (ended.started_at, ended.started_at)
    assert seen.return_value == ended.return_value


def test_the_exception_is_there_while_a_failure_is_told():
    seen = []

    def look(sender, task_result, **kwargs):
        seen.append(sys.exc_info()[1])

    task_finished.connect(look)
    try:
        tasks.fail.enqueue("look at me")
        tasks.add.enqueue(1)
        work()
    finally:
        task_finished.disconnect(look)
    assert sorted(map(str, seen)) == ["None", "look at me"]


def test_what_a_failed_task_held_is_free_once_that_is_told(told):
    tasks.fail_loaded.enqueue()
    gc.disable()
    logging.disable()  # pytest keeps the records, and they the frames
    try:
        api.process_tasks()
        assert told[-1][2] == "FAILED"
        assert [load() for load in tasks.loads] == [None]
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()
        tasks.loads.clear()


def test_the_framework_logs_each_step(caplog):
    with caplog.at_level(logging.DEBUG, logger=LOGGER):
        result, failing = tasks.add.enqueue(1), tasks.fail.using(priority=-1).enqueue()
        work()
    lines = [each for each in caplog.records if each.name == LOGGER]
    assert [
        (each.levelname, each.getMessage()) for each in lines if result.id in each.msg % each.args
    ] == [
        ("DEBUG", f"Task id={result.id} path=tests.backends.tasks.add enqueued backend=default"),
        ("INFO", f"Task id={result.id} path=tests.backends.tasks.add state=RUNNING"),
        ("INFO", f"Task id={result.id} path=tests.backends.tasks.add state=SUCCESSFUL"),
    ]
    assert (lines[-1].levelname, lines[-1].exc_info[0]) == ("ERROR", ValueError)
    assert failing.id in lines[-1].getMessage()


def test_the_sender_is_the_class_of_the_backend(settings, told):
    settings.TASKS = {"default": {"BACKEND": f"{__name__}.Child"}}
    finished(tasks.add.enqueue(1))
    assert [each[1] for each in told] == [Child] * 3


def test_a_receiver_that_raises_stops_the_call_and_no_worker(verbs):
    def refuse(sender, task_result, **kwargs):
        raise LookupError("not today")

    result = verbs.enqueue(tasks.add, 1)
    for signal in (task_enqueued, task_started, task_finished):
        signal.connect(refuse)
    try:
        with pytest.raises(LookupError, match="not today"):
            verbs.enqueue(tasks.add, 1)
        work()
    finally:
        for signal in (task_enqueued, task_started, task_finished):
            signal.disconnect(refuse)
    verbs.refresh(result)
    assert result.return_value == 2


@pytest.mark.skipif(VERSION < (5, 0), reason="older signals take no coroutines")
def test_receivers_that_are_coroutines_are_awaited():
    seen = []

    async def note(sender, task_result, **kwargs):
        seen.append(task_result.id)

    task_enqueued.connect(note)
    try:
        result = async_to_sync(tasks.add.aenqueue)(1)
    finally:
        task_enqueued.disconnect(note)
    assert seen == [result.id]


def test_nobody_is_told_where_signals_are_off(verbs, settings, told):
    settings.TASKS = {"default": {**settings.TASKS["default"], "OPTIONS": {"signals": False}}}
    result = verbs.enqueue(tasks.add, 1)
    work()
    verbs.refresh(result)
    assert result.return_value == 2
    assert told == []


def test_an_attempt_that_is_not_the_last_does_not_finish_the_task(told):
    tasks.fail_at_first.enqueue(1)
    work()
    make_due()
    work()
    assert [each[0] for each in told] == [
        *("task_enqueued", "task_started", "task_started", "task_finished")
    ]
    assert told[-1][2] == "SUCCESSFUL"


def test_a_task_that_cannot_be_found_is_not_told_of(told):
    tasks.add.enqueue(1)
    del told[:]
    Row.objects.update(task_name="tests.backends.tasks.gone")
    worker = work()
    assert told == []
    assert worker.events.of("untold")
    assert CompletedTask.objects.get().failed_at


def test_a_cancelled_task_is_told_of_when_that_is_committed(
    told, django_capture_on_commit_callbacks
):
    result = tasks.add.enqueue(1)
    with django_capture_on_commit_callbacks(execute=True):
        assert cancel(result.id) == "cancelled"
        assert len(told) == 1
    result.refresh()
    assert [each[:3] for each in told[1:]] == [("task_finished", DatabaseBackend, "FAILED")]
    assert told[1][3] == result
    (error,) = result.errors
    assert error.exception_class is TaskCancelledError
    assert (result.attempts, result.started_at) == (0, None)
