"""Fixtures of the tests of the backend of ``django.tasks``."""

import pytest
from asgiref.sync import async_to_sync

from background_task.task_framework import (
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from tests.backends import tasks

SIGNALS = {
    "task_enqueued": task_enqueued,
    "task_started": task_started,
    "task_finished": task_finished,
}


@pytest.fixture(autouse=True)
def calls():
    """What the tasks of a test have been called with."""
    tasks.calls.clear()
    return tasks.calls


@pytest.fixture
def told():
    """The signals of the framework, as they come: the name, the sender, the status, the result."""
    log = []
    receivers = {}
    for name, signal in SIGNALS.items():

        def note(sender, task_result, name=name, **kwargs):
            log.append((name, sender, str(task_result.status), task_result))

        receivers[name] = note
        signal.connect(note)
    yield log
    for name, signal in SIGNALS.items():
        signal.disconnect(receivers[name])


class Plain:
    """The verbs of a task as they are."""

    @staticmethod
    def enqueue(task, *args, **kwargs):
        return task.enqueue(*args, **kwargs)

    @staticmethod
    def get_result(source, result_id):
        return source.get_result(result_id)

    @staticmethod
    def refresh(result):
        return result.refresh()


class Twin:
    """The verbs for coroutines."""

    @staticmethod
    def enqueue(task, *args, **kwargs):
        return async_to_sync(task.aenqueue)(*args, **kwargs)

    @staticmethod
    def get_result(source, result_id):
        return async_to_sync(source.aget_result)(result_id)

    @staticmethod
    def refresh(result):
        return async_to_sync(result.arefresh)()


@pytest.fixture(params=[Plain, Twin], ids=["sync", "async"])
def verbs(request):
    return request.param


@pytest.fixture
def backend():
    return task_backends["default"]
