"""What a worker says at its start about tasks of ``django.tasks``."""

import logging

import pytest
from django.core.management import call_command

from background_task.management.commands import process_tasks
from background_task.tasks import Tasks
from background_task.worker import Loop

pytestmark = pytest.mark.django_db


@pytest.fixture
def said(monkeypatch, caplog):
    """``said(queue=...)``: the records of a start, by level; nothing is run."""
    monkeypatch.setattr(Loop, "run", lambda self: self.summary)

    def start(**options):
        caplog.clear()
        with caplog.at_level(logging.INFO, "background_task"):
            call_command("process_tasks", **options)
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return start


def test_start_names_the_backends_that_it_serves(settings, said):
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND}}
    assert said()[1][1].endswith("; and what 'default' of TASKS has queued")


def test_start_for_some_backends_promises_no_other_tasks(said):
    (_, second, *_) = said(backend=["any", "default"])
    assert second[1].endswith(
        "one task after another; only what 'default', 'any' of TASKS has queued"
    )


def test_project_that_has_only_such_tasks_is_not_warned(monkeypatch, said):
    monkeypatch.setattr(process_tasks.Command, "_tasks", Tasks())
    assert [level for level, _ in said() if level == "WARNING"] == []


def test_queue_that_tasks_allows_is_known(settings, said):
    settings.TASKS = {"default": {"BACKEND": settings.BACKEND, "QUEUES": ["mail"]}}
    assert [level for level, _ in said(queue="mail") if level == "WARNING"] == []
    assert [level for level, _ in said(queue="mial") if level == "WARNING"] == ["WARNING"]
