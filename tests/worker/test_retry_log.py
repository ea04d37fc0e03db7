"""Every record about a task has the same extra fields, those of the model's logger too."""

import logging

import pytest

from background_task.models import Task

FIELDS = {"event", "task_id", "task_uid", "task_name", "queue", "priority", "backend", "worker"}
FIELDS |= {"attempt", "seconds", "error_class"}


@pytest.mark.django_db
@pytest.mark.parametrize(("limit", "event"), [(2, "retry"), (1, "failure")])
def test_record_of_a_failed_attempt_has_the_extra_fields(settings, caplog, registry, limit, event):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = limit

    @registry.background(name="fails", queue="q")
    def fails():
        raise ValueError("no")

    task = fails()
    with caplog.at_level(logging.INFO, logger="background_task"):
        assert registry.run_next_task()
    (record,) = (found for found in caplog.records if found.name == "background_task.models")
    assert set(vars(record)) >= FIELDS
    assert (record.event, record.task_id, record.attempt) == (event, task.pk, 1)
    assert (record.task_name, record.queue, record.task_uid) == ("fails", "q", str(task.uid))
    assert record.error_class == "builtins.ValueError"
    assert record.seconds >= 0


@pytest.mark.django_db
def test_record_of_a_task_that_reschedules_itself_has_them_too(caplog):
    task = Task.objects.new_task("fails")
    task.save()
    error = ValueError("no")
    with caplog.at_level(logging.INFO, logger="background_task"):
        task.reschedule(ValueError, error, None)
    (record,) = caplog.records
    assert (record.event, record.task_id, record.attempt) == ("retry", task.pk, 1)
