"""Taking back what was claimed long ago: never from the living, unless by force."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from background_task import api
from background_task.api import Requeued
from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task, Worker
from background_task.store import Fleet, get_store
from tests.api.conftest import LONG_AGO, add

pytestmark = pytest.mark.django_db

#: A task that is tried more than once.
RETRYING = "tests.backends.tasks.fail_at_first"
LEASE = timedelta(seconds=60)


def claimed(owner, *, name="other", ago=LONG_AGO, **values):
    """A row that this owner claimed so long ago."""
    return add(name, locked_by=owner, locked_at=get_store().now() - ago, claim_number=1, **values)


def living(name="alive"):
    Fleet("default").register(name, queues="", capacity=1, lease=LEASE)
    return name


def gone(name="gone"):
    """A worker that has said goodbye, or was declared dead."""
    Fleet("default").register(name, queues="", capacity=1, lease=LEASE)
    Fleet("default").retire(name)
    return name


def silent(name="silent"):
    """A worker whose lease has run out, and nobody has noticed."""
    now = get_store().now() - LONG_AGO
    Fleet("default").register(name, queues="", capacity=1, lease=LEASE, now=now)
    return name


def requeue(older_than="1h", **options):
    return api.requeue_stale_tasks(older_than, watch_seconds=0.0, **options)


def test_requeue_takes_from_the_gone_and_spends_the_attempt():
    task = claimed(gone())
    assert requeue() == Requeued(found=1, requeued=1)
    task.refresh_from_db()
    assert (task.locked_by, task.attempts, task.failed_at) == (None, 1, None)
    assert task.attempt_errors[0].exception_class_path.endswith("AttemptLostError")


def test_requeue_leaves_to_the_living_what_is_theirs():
    task = claimed(living())
    assert requeue() == Requeued(found=1, spared=1)
    task.refresh_from_db()
    assert (task.locked_by, task.attempts) == ("alive", 0)


def test_requeue_by_force_takes_from_the_living_and_their_outcome_is_dropped():
    task = claimed(living())
    store = get_store()
    (claim,) = store.held_by("alive")
    assert requeue(force=True) == Requeued(found=1, requeued=1, forced=1)
    assert store.finish(claim, Succeeded()) is None
    task.refresh_from_db()
    assert (task.attempts, CompletedTask.objects.count()) == (1, 0)
    assert "taken by force from alive" in task.last_error


def test_requeue_leaves_what_was_claimed_lately():
    claimed(gone(), ago=timedelta(minutes=59))
    assert requeue() == Requeued()


def test_requeue_leaves_an_owner_without_a_heartbeat_its_time(settings):
    claimed("4711", ago=timedelta(minutes=30))
    assert requeue("10m") == Requeued(found=1, spared=1)
    settings.MAX_RUN_TIME = 60
    assert requeue("10m") == Requeued(found=1, requeued=1)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, "waiting"),
        ({"max_attempts": 0}, "waiting"),
        ({"max_attempts": 3}, "waiting"),
        ({"max_attempts": 2}, "failed"),
        ({"mark_failed": True}, "failed"),
    ],
    ids=repr,
)
def test_requeue_ends_tasks_after_as_many_attempts_as_are_asked_for(options, status):
    task = claimed(gone(), attempts=1)
    done = requeue(**options)
    assert (done.requeued, done.failed) == ((1, 0) if status == "waiting" else (0, 1))
    assert task.status == status


def test_requeue_counts_by_the_rules_of_the_function(flawed):
    task = claimed(gone(), name="flawed")
    assert requeue() == Requeued(found=1, failed=1)
    assert task.status == "failed"


def test_requeue_of_a_cancelled_task_archives_it():
    task = claimed(gone(), cancel_requested_at=get_store().now())
    assert requeue() == Requeued(found=1, cancelled=1)
    assert task.status == "cancelled"


def test_requeue_of_a_queue_and_a_backend_leaves_the_others():
    claimed(gone(), name=RETRYING, queue="a", backend="retrying")
    claimed("gone", queue="a")
    claimed("gone", name=RETRYING, queue="b", backend="retrying")
    assert requeue(queue="a", backend="retrying") == Requeued(found=1, requeued=1)
    assert Task.objects.filter(locked_by="gone").count() == 2


def test_requeue_reads_in_batches():
    gone()
    for _ in range(5):
        claimed("gone")
    assert requeue(batch_size=2) == Requeued(found=5, requeued=5)


def test_requeue_dry_run_changes_nothing():
    claimed(gone()), claimed(living()), claimed(silent())
    before = list(Task.objects.order_by("pk").values())
    assert requeue(dry_run=True) == Requeued(found=3, requeued=2, spared=1)
    assert requeue(dry_run=True, force=True) == Requeued(found=3, requeued=3, forced=1)
    assert list(Task.objects.order_by("pk").values()) == before
    assert Worker.objects.filter(stopped_at=None).count() == 2


@pytest.mark.django_db(transaction=True)
def test_requeue_declares_the_silent_dead_and_takes_what_they_have():
    task = claimed(silent())
    assert requeue() == Requeued(found=1, requeued=1)
    assert task.status == "waiting"
    assert Worker.objects.get(name="silent").stopped_at is not None


@pytest.mark.django_db(transaction=True)
def test_requeue_spares_who_comes_back_while_it_watches(monkeypatch):
    """After an outage all leases look expired; the rival is the heartbeat."""
    claimed(silent())
    watched = []

    def pause(seconds):
        watched.append(seconds)
        assert Fleet("default").renew("silent", lease=LEASE)

    monkeypatch.setattr("background_task.worker.stale.time.sleep", pause)
    assert api.requeue_stale_tasks("1h") == Requeued(found=1, spared=1)
    assert watched == [5.0]


@pytest.mark.django_db(transaction=True)
def test_requeue_with_all_alive_watches_nobody(monkeypatch):
    claimed(living())
    monkeypatch.setattr("background_task.worker.stale.time.sleep", pytest.fail)
    assert api.requeue_stale_tasks("1h") == Requeued(found=1, spared=1)


@pytest.mark.parametrize(
    ("older_than", "options"),
    [("1x", {}), (-1, {}), (None, {}), ("1h", {"batch_size": 0}), ("1h", {"max_attempts": -1})],
    ids=repr,
)
def test_requeue_refuses_what_cannot_be(older_than, options):
    claimed(gone())
    with pytest.raises((ValueError, TypeError)):
        requeue(older_than, **options)
    assert Task.objects.get().locked_by == "gone"


# -- the command -----------------------------------------------------------------------------------


SPARED = (
    "1 left to workers that are alive; one that was killed counts as alive until its lease is over"
)


def command(*args, **options):
    out = StringIO()
    call_command("requeue_stale_tasks", *args, stdout=out, **options)
    return out.getvalue().splitlines()


def test_command_says_what_it_did():
    claimed(gone()), claimed(living())
    assert command("--older-than", "1h", "--dry-run") == [
        "Would take back 1 of 2 tasks",
        SPARED,
    ]
    assert command("--older-than", "1h") == [
        "Found 2 tasks: 1 requeued, 0 failed, 0 cancelled",
        SPARED,
    ]
    assert command("--older-than", "1h", "--force", "--mark-failed") == [
        "Found 1 tasks: 0 requeued, 1 failed, 0 cancelled",
        "1 of them from workers that are alive",
    ]
    assert command("--older-than", "1h", verbosity=0) == []


def test_command_refuses_a_time_that_is_none():
    with pytest.raises(CommandError, match=r"older_than 'soon' is no length of time; use"):
        command("--older-than", "soon")
