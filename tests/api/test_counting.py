"""Counting tasks from code, and the command that shows it."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from background_task import api
from background_task.api import NO_BACKEND, QueueDepth, TaskCounts
from background_task.models import Task
from background_task.store import get_store
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def now(monkeypatch):
    """The database's time, which stands still."""
    now = get_store().now()
    monkeypatch.setattr("background_task.store.base.Store.now", lambda self: now)
    return now


@pytest.fixture
def rows(now):
    add(run_at=now - 3 * MINUTE, enqueued_at=now - 5 * MINUTE, queue="mail")
    add(run_at=now - 3 * MINUTE, enqueued_at=now - MINUTE, queue="mail", backend="mail")
    old = add(run_at=now + MINUTE, due_at=now - 9 * MINUTE, queue="mail")
    Task.objects.filter(pk=old.pk).update(enqueued_at=None)  # a row of 1.x
    add(run_at=now + MINUTE, queue="mail")
    add(run_at=now + MINUTE, due_at=now + MINUTE, queue="mail")
    add(locked_by="w", locked_at=now, queue="mail")
    add(failed_at=now)
    for status in ("succeeded", "failed", "failed", "discarded", "cancelled"):
        archive(status=status, queue="mail")
    archive(status="failed", backend="mail")
    return now


def test_get_pending_task_count_counts_what_is_due(rows):
    assert api.get_pending_task_count() == 2
    assert api.get_pending_task_count(queue="other") == 0
    assert api.get_pending_task_count(queue="mail", backend="mail") == 1
    assert api.get_pending_task_count(backend=NO_BACKEND) == 1


def test_get_task_counts_counts_each_status(rows):
    assert api.get_task_counts() == TaskCounts(
        waiting=5, running=1, succeeded=1, failed=4, discarded=1, cancelled=1
    )
    assert api.get_task_counts(backend="mail") == TaskCounts(waiting=1, failed=1)


def test_get_queue_stats_counts_what_is_yet_to_finish(rows, django_assert_num_queries):
    with django_assert_num_queries(1):
        stats = api.get_queue_stats(queue="mail")
    assert stats == QueueDepth(
        queue="mail",
        pending=2,
        at_limit=1,
        running=1,
        scheduled=2,
        failed=0,
        oldest_waiting_since=rows - 9 * MINUTE,
        newest_waiting_since=rows - MINUTE,
    )


def test_get_queue_stats_of_nothing_is_nothing():
    assert api.get_queue_stats() == QueueDepth(queue=None)


def test_get_queue_depths_has_each_queue(rows):
    unnamed, mail = api.get_queue_depths()
    assert (unnamed.queue, unnamed.failed, unnamed.pending) == (None, 2, 0)
    assert (mail.queue, mail.failed, mail.pending, mail.running) == ("mail", 2, 2, 1)
    assert api.get_queue_depths(backend="other") == []


def depth(*args):
    out = StringIO()
    call_command("queue_depth", *args, stdout=out)
    return out.getvalue()


def test_command_shows_a_line_for_each_queue(rows):
    head, unnamed, mail = (line.split() for line in depth().splitlines())
    assert head[:2] == ["queue", "pending"]
    assert unnamed == ["(unnamed)", "0", "0", "0", "0", "2"]
    assert mail == ["mail", "2", "1", "1", "2", "2", "540", "s"]
    assert depth("--queue", "other") == "No tasks\n"


def test_command_shows_json(rows):
    (mail,) = json.loads(depth("--format", "json", "--queue", "mail"))["queues"]
    assert mail == {
        "queue": "mail",
        "pending": 2,
        "at_limit": 1,
        "running": 1,
        "scheduled": 2,
        "failed": 2,
        "oldest_waiting_since": (rows - 9 * MINUTE).isoformat(),
        "newest_waiting_since": (rows - MINUTE).isoformat(),
        "oldest_waiting_seconds": 540.0,
    }
    assert json.loads(depth("--format", "json", "--no-backend", "--queue", "x")) == {"queues": []}


def test_command_refuses_a_queue_that_cannot_be():
    with pytest.raises(CommandError, match="has 191 characters"):
        depth("--queue", "q" * 191)
