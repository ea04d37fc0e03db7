"""Every attempt that went wrong leaves its error on the row."""

from datetime import timedelta

import pytest

from background_task import Discard, InvalidTaskError, RetryLater, Snooze, TaskTimeout, fixed
from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.attempt_error import AttemptError, appended, path_of, read_errors
from background_task.models import CompletedTask, Task
from background_task.worker.limit import after_timeout
from background_task.worker.recovery import recover
from background_task.worker.terms import DEFAULT
from tests.store.rows import LEASE, NAMES, add, statements, worker

pytestmark = pytest.mark.django_db


def again(registry):
    """Make what waits due, and run it."""
    task = Task.objects.get()
    Task.objects.update(run_at=task.enqueued_at - timedelta(days=1))
    assert registry.run_next_task()


def only_row():
    (row,) = [*Task.objects.all(), *CompletedTask.objects.all()]
    return row


def history(count):
    text = None
    for number in range(count):
        text = appended(text, AttemptError(number, "a.B", "error", None, "w"))
    return text


def test_each_failed_attempt_is_kept_with_class_traceback_time_and_worker(run, registry):
    errors = iter([ValueError("first"), KeyError("second")])

    def fail():
        raise next(errors)

    task = run(fail, max_attempts=2, backoff=fixed(0))
    (first,) = Task.objects.get().attempt_errors
    assert (first.attempt, first.exception_class_path) == (1, "builtins.ValueError")
    assert first.traceback.endswith("ValueError: first\n")
    assert first.traceback == Task.objects.get().last_error
    assert first.at >= task.enqueued_at
    assert first.worker.count(":") == 2
    again(registry)
    failed = CompletedTask.objects.get()
    kept, second = failed.attempt_errors
    assert kept == first
    assert (second.attempt, second.exception_class_path) == (2, "builtins.KeyError")
    assert second.traceback == failed.last_error


def test_stored_traceback_begins_in_the_task(run):
    """Where a reader looks; what of this library stands above it is the same in all of them."""

    def fail():
        raise ValueError("here")

    run(fail, max_attempts=1)
    told = CompletedTask.objects.get().last_error.splitlines()
    assert told[0] == "Traceback (most recent call last):"
    assert told[1].endswith(", in fail")


def test_errors_stay_when_a_later_attempt_succeeds(run, registry):
    errors = [ValueError("first")]

    def fail_once():
        if errors:
            raise errors.pop()

    run(fail_once, backoff=fixed(0))
    again(registry)
    completed = CompletedTask.objects.get()
    assert [error.attempt for error in completed.attempt_errors] == [1]
    assert completed.status == "succeeded"


def test_run_without_an_error_leaves_the_column_empty(run):
    def work():
        return None

    run(work)
    assert CompletedTask.objects.get().errors is None
    assert CompletedTask.objects.get().attempt_errors == []


@pytest.mark.parametrize("wish", [Snooze(1), RetryLater(1, spend_attempt=False), Discard("old")])
def test_what_is_no_failure_is_no_error(run, wish):
    def ask():
        raise wish

    run(ask)
    assert only_row().errors is None


def test_put_off_attempt_that_is_spent_is_an_error(run):
    def ask():
        raise RetryLater(60, reason="busy")

    run(ask)
    (error,) = Task.objects.get().attempt_errors
    assert error.exception_class_path == "background_task.exceptions.RetryLater"
    assert "busy" in error.traceback


@pytest.mark.parametrize("attempts", [0, 24], ids=["the first", "the last"])
def test_lost_attempt_is_kept(store, attempts):
    now = store.now()
    worker("dead", now=now - 2 * LEASE)
    task = add(store, locked_by="dead", locked_at=now, attempts=attempts)
    assert recover(store) == 1
    row = only_row()
    assert (row.uid, row.failed_at is None) == (task.uid, attempts == 0)
    (error,) = row.attempt_errors
    assert error.exception_class_path == "background_task.exceptions.AttemptLostError"
    assert (error.attempt, error.worker) == (attempts + 1, "dead")
    assert error.traceback.startswith(f"attempt {attempts + 1} was lost")


def test_attempt_that_ran_out_of_time_is_kept(store):
    claim = store.claim_one(add(store).pk, "w")
    store.finish(claim, after_timeout(claim, DEFAULT, seconds=3.0, limit=2.0))
    (error,) = Task.objects.get().attempt_errors
    assert error.exception_class_path == path_of(TaskTimeout())


def test_attempts_of_several_workers_are_kept_in_order(store):
    task = add(store)
    for number in range(1, 13):
        claim = store.claim_one(task.pk, f"w{number}")
        store.finish(claim, Retry(f"error {number}", timedelta(0), exception="a.B"))
    errors = Task.objects.get().attempt_errors
    assert [error.attempt for error in errors] == [1, *range(4, 13)]
    assert [error.worker for error in errors] == ["w1", *(f"w{n}" for n in range(4, 13))]


@pytest.mark.parametrize("reduced", [False, True])
@pytest.mark.parametrize("outcome", [Retry("Grüße 🦆", timedelta(0)), Failed("Grüße 🦆 \\x00")])
def test_error_is_stored_in_ascii_and_comes_back_as_it_was(store, outcome, reduced):
    claim = store.claim_one(add(store).pk, "w")
    store.finish(claim, outcome, reduced=reduced)
    row = only_row()
    assert row.errors.isascii()
    assert [error.traceback for error in row.attempt_errors] == [outcome.error]


@pytest.mark.parametrize("broken", ["not JSON", "[1, 2]", ""])
def test_finish_of_a_row_with_broken_errors_begins_anew(store, broken):
    task = add(store, errors=broken)
    store.finish(store.claim_one(task.pk, "w"), Failed("error"))
    assert [error.traceback for error in CompletedTask.objects.get().attempt_errors] == ["error"]


def test_stale_claim_adds_no_error(store):
    claim = store.claim_one(add(store).pk, "w")
    store.release([claim])
    assert store.finish(claim, Retry("late", timedelta(0))) is None
    assert store.finish(claim, Failed("late")) is None
    assert Task.objects.get().errors is None


@pytest.mark.parametrize("earlier", [0, 5])
def test_retry_takes_one_statement_whatever_went_wrong_before(store, earlier):
    add(store, errors=history(earlier))
    (claim,) = store.claim("w", NAMES)
    now = store.now()
    with statements() as kept:
        store.finish(claim, Retry("error", timedelta(0)), now=now)
    assert len(kept.all) == 1
    assert len(read_errors(Task.objects.get().errors)) == earlier + 1


def test_repetition_begins_without_errors(store):
    task = add(store, repeat=3600, errors=history(2), progress_json="{}")
    store.finish(store.claim_one(task.pk, "w"), Succeeded())
    following = Task.objects.get()
    assert (following.errors, following.progress_json) == (None, None)
    assert len(CompletedTask.objects.get().attempt_errors) == 2


def test_release_is_no_error(store):
    claim = store.claim_one(add(store).pk, "w")
    store.finish(claim, Released("stopping"))
    assert Task.objects.get().errors is None


@pytest.mark.parametrize("kind", [InvalidTaskError, ValueError])
def test_reschedule_by_code_of_the_project_is_kept_too(store, kind):
    task = add(store).lock("somebody")
    try:
        raise kind("no good")
    except kind as error:
        task.reschedule(type(error), error, error.__traceback__)
    (kept,) = only_row().attempt_errors
    assert kept.exception_class_path == path_of(kind())
    assert (kept.attempt, kept.worker) == (1, "somebody")
