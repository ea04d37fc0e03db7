"""Trying failed tasks anew."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction

from background_task import api
from background_task.api import NO_BACKEND
from background_task.models import CompletedTask, Task
from background_task.payload import encode
from background_task.retrying import retry_row
from background_task.signals import task_created
from tests.api.conftest import archive
from tests.app.models import Ledger

pytestmark = pytest.mark.django_db


def counts(done):
    return done.found, done.retried, done.held_back


def test_retry_adds_a_row_with_the_same_call():
    creator = Ledger.objects.create(key="a")
    options = {"max": 3, "timeout": 5.0}
    failed = archive(
        "f",
        status="failed",
        task_params=encode([1], {"b": 2}),
        queue="q",
        priority=7,
        verbose_name="v",
        backend="mail",
        creator=creator,
        attempts=25,
        last_error="no",
        options=json.dumps(options),
    )
    done = api.retry_tasks()
    assert counts(done) == (1, 1, 0)
    task = Task.objects.get()
    assert done.uids == (task.uid,)
    same = ("task_name", "task_params", "task_hash", "queue", "priority", "verbose_name")
    same += ("backend", "creator")
    assert [getattr(task, name) for name in same] == [getattr(failed, name) for name in same]
    assert (task.attempts, task.last_error, task.failed_at) == (0, "", None)
    assert json.loads(task.options) == options
    assert task.uid != failed.uid


def test_retry_of_what_has_been_retried_needs_a_wish():
    failed = archive(status="failed")
    (uid,) = api.retry_tasks().uids
    failed.refresh_from_db()
    assert json.loads(failed.options) == {"retried": uid.hex}
    assert failed.status == "failed"
    assert counts(api.retry_tasks()) == (0, 0, 0)
    assert counts(api.retry_tasks(again=True)) == (1, 1, 0)
    assert [task.options for task in Task.objects.all()] == [None, None]


def test_retry_of_a_rival_who_has_read_the_same_row_adds_nothing(registry):
    archive(status="failed")
    one, other = CompletedTask.objects.get(), CompletedTask.objects.get()
    assert retry_row(one, registry={}, sender=object) is not None
    assert retry_row(other, registry={}, sender=object) is None
    assert Task.objects.count() == 1


def test_retry_runs_with_all_its_attempts(flawed, ran):
    flawed("x")
    assert api.process_one_task().status == "failed"
    ran.append("fixed")
    api.retry_tasks(names=["flawed"])
    assert [row.status for row in api.process_tasks()] == ["succeeded"]


def test_retry_takes_failed_ones_only():
    for status in ("succeeded", "discarded", "cancelled"):
        archive(status=status)
    assert counts(api.retry_tasks()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"names": ["a"]}, "a"),
        ({"names": ["a", "b"]}, "ab"),
        ({"queue": "q"}, "b"),
        ({"backend": "mail"}, "c"),
        ({"backend": NO_BACKEND}, "abd"),
        ({"newer_than": "1h"}, "d"),
        ({"older_than": timedelta(hours=1)}, "abc"),
        ({"older_than": timedelta.max}, ""),
        ({"newer_than": timedelta.max}, "abcd"),
    ],
    ids=repr,
)
def test_retry_takes_those_that_are_meant(options, found):
    archive("a", status="failed")
    archive("b", status="failed", queue="q")
    archive("c", status="failed", backend="mail")
    archive("d", status="failed", ago=timedelta(minutes=5))
    assert api.retry_tasks(dry_run=True, **options).found == len(found)
    assert Task.objects.count() == 0
    api.retry_tasks(**options)
    assert sorted(Task.objects.values_list("task_name", flat=True)) == list(found)


def test_retry_of_one_takes_its_uid():
    archive(status="failed")
    failed = archive("mine", status="failed")
    assert counts(api.retry_tasks(uids=[str(failed.uid)])) == (1, 1, 0)
    assert Task.objects.get().task_name == "mine"


def test_retry_of_a_repeating_task_is_one_run_unless_its_chain_is_to_go_on():
    values = {"repeat": 3600, "repeat_rule": None, "repeat_until": None}
    options = '{"max":2,"runs":3,"catch_up":"all","tick":"2026-01-01T00:00:00+00:00"}'
    archive(status="failed", options=options, **values)
    api.retry_tasks()
    task = Task.objects.get()
    assert (task.repeat, json.loads(task.options)) == (0, {"max": 2})
    task.delete()
    api.retry_tasks(again=True, repeats=True)
    task = Task.objects.get()
    assert task.repeat == 3600
    assert json.loads(task.options) == {"max": 2, "runs": 3, "catch_up": "all"}


@pytest.mark.parametrize("until", ["start", "finish"])
def test_retry_of_a_unique_task_waits_for_no_other(registry, until):
    function = registry.background(
        name="only", unique="a", unique_until=until, on_conflict="raise"
    )(lambda a: None)
    for a in (1, 1, 2):
        archive("only", status="failed", task_params=encode([a], {}))
    done = api.retry_tasks()
    assert counts(done) == (3, 2, 1)
    held = CompletedTask.objects.filter(options=None).get()
    assert held.params() == ([1], {})
    api.process_tasks()
    assert counts(api.retry_tasks()) == (1, 1, 0)
    assert Task.objects.get().unique_key
    assert function.using(on_conflict="skip")(1) is None


def test_retry_of_a_limited_task_counts_in_its_limit(registry):
    function = registry.background(name="few", max_concurrency=1)(lambda: None)
    archive("few", status="failed")
    api.retry_tasks()
    assert Task.objects.get().limit_key == function().limit_key is not None


def test_retry_of_what_cannot_be_read_goes_on_with_the_others(registry):
    registry.background(name="only", unique=True)(lambda: None)
    broken = archive("only", status="failed", task_params="{")
    odd = archive(status="failed", options="[")
    archive(status="failed")
    done = api.retry_tasks()
    assert counts(done) == (3, 1, 0)
    assert [uid for uid, _ in done.refused] == [broken.uid, odd.uid]
    assert "cannot be tried anew" in done.refused[1][1]


def test_retry_tells_receivers():
    seen = []

    def receive(sender, task, **kwargs):
        seen.append(task.uid)

    archive(status="failed")
    task_created.connect(receive)
    try:
        assert list(api.retry_tasks().uids) == seen
    finally:
        task_created.disconnect(receive)


@pytest.mark.django_db(transaction=True)
def test_retry_inside_a_transaction_rolls_back_with_it():
    failed = archive(status="failed")
    with transaction.atomic():
        assert counts(api.retry_tasks()) == (1, 1, 0)
        transaction.set_rollback(True)
    failed.refresh_from_db()
    assert (Task.objects.count(), failed.options) == (0, None)


@pytest.mark.parametrize(
    "options", [{"uids": ["7"]}, {"newer_than": "x"}, {"names": "f"}, {"queue": 5}], ids=repr
)
def test_retry_refuses_what_cannot_be(options):
    archive(status="failed")
    with pytest.raises((ValueError, TypeError)):
        api.retry_tasks(**options)
    assert Task.objects.count() == 0


# -- the command -----------------------------------------------------------------------------------


def command(*args, **options):
    out = StringIO()
    call_command("retry_tasks", *args, stdout=out, stderr=out, **options)
    return out.getvalue().splitlines()


def test_command_says_what_it_did(registry):
    registry.background(name="only", unique=True)(lambda: None)
    for _ in range(2):
        archive("only", status="failed")
    assert command("--all", "--dry-run") == ["Would try 2 failed tasks anew"]
    assert command("--function", "only") == [
        "Found 2 failed tasks: 1 tried anew",
        "1 not: the same is in the queue already",
    ]
    assert command("--newer-than", "1d", verbosity=0) == []


def test_command_without_a_choice_is_refused():
    archive(status="failed")
    with pytest.raises(CommandError, match=r"Say which: uids, --function"):
        command()
    assert Task.objects.count() == 0


def test_command_fails_if_one_cannot_be_read():
    archive(status="failed", options="[")
    with pytest.raises(CommandError, match="1 failed tasks cannot be tried anew"):
        command("--all")


def test_command_refuses_what_is_no_uid():
    with pytest.raises(CommandError, match="'7' is no uid"):
        command("7")
