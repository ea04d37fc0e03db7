"""Cancelling many tasks at once."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from background_task import api, cancellation
from background_task.api import NO_BACKEND, CancelledTasks
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.api.conftest import add

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows():
    add("a")
    add("a", queue="q", locked_by="w", locked_at=get_store().now())
    add("b", queue="q", backend="mail")
    add("a", failed_at=get_store().now())  # where it stands; nothing is to be cancelled


def ended():
    return sorted(CompletedTask.objects.values_list("task_name", flat=True))


def test_cancel_tasks_ends_those_that_wait_and_asks_those_that_run(rows):
    assert api.cancel_tasks(names=["a"]) == CancelledTasks(found=2, cancelled=1, requested=1)
    assert ended() == ["a"]
    assert CompletedTask.objects.get().status == "cancelled"
    assert Task.objects.filter(cancel_requested_at__isnull=False).count() == 1


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({}, (3, 2, 1)),
        ({"queue": "q"}, (2, 1, 1)),
        ({"backend": "mail"}, (1, 1, 0)),
        ({"backend": NO_BACKEND}, (2, 1, 1)),
        ({"names": ["none"]}, (0, 0, 0)),
    ],
    ids=repr,
)
def test_cancel_tasks_takes_those_that_are_meant(rows, options, found):
    expected = CancelledTasks(*found)
    assert api.cancel_tasks(dry_run=True, **options) == expected
    assert ended() == []
    assert api.cancel_tasks(**options) == expected
    assert len(ended()) == expected.cancelled


def test_cancel_tasks_goes_on_batch_after_batch(monkeypatch):
    monkeypatch.setattr(cancellation, "BATCH_SIZE", 2)
    for _ in range(5):
        add()
    assert api.cancel_tasks() == CancelledTasks(found=5, cancelled=5)


def test_cancel_tasks_counts_what_has_gone_meanwhile(monkeypatch):
    add()
    monkeypatch.setattr("background_task.store.base.Store.cancel", lambda self, which: "gone")
    assert api.cancel_tasks() == CancelledTasks(found=1, late=1)


def command(*args, **options):
    out = StringIO()
    call_command("cancel_tasks", *args, stdout=out, **options)
    return out.getvalue().splitlines()


def test_command_says_what_it_did(rows):
    assert command("--all", "--dry-run") == ["Would cancel 3 tasks: 2 that wait, and 1 that run"]
    assert command("--function", "a", "--function", "b") == [
        "Found 3 tasks: 2 cancelled, 1 run and have been asked to end, 0 had finished already"
    ]
    assert command("--queue", "other", verbosity=0) == []


def test_command_without_a_choice_is_refused(rows):
    with pytest.raises(CommandError, match="Say which: --function"):
        command()
    assert ended() == []
