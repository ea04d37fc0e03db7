"""``Store.cancel``, and what becomes of the rows for which it has asked."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import transaction

from background_task import telemetry
from background_task.attempt import NOT_BEGUN, Cancelled, Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.store.rows import NAMES, add, add_as_1x, everything, row
from tests.worker.running import Events

MINUTE = timedelta(minutes=1)


def archived():
    return CompletedTask.objects.values().get()


def asked(store, **values):
    """A claim of a row for whose end somebody has asked."""
    task = add(store, **values)
    claim = store.claim_one(task.pk, "w")
    assert store.cancel(task.uid) == "requested"
    return claim


def test_cancel_a_waiting_task_archives_it(any_store):
    task = add(any_store, attempts=2, repeat=60)
    now = any_store.now()
    assert any_store.cancel(task.uid, now=now) == "cancelled"
    assert not Task.objects.exists()
    values = archived()
    assert (values["cancelled_at"], values["run_at"], values["uid"]) == (now, now, task.uid)
    assert (values["failed_at"], values["discarded_at"]) == (None, None)
    assert (values["attempts"], values["last_error"]) == (2, f"cancelled: {NOT_BEGUN}")


def test_cancel_a_task_that_is_not_due_archives_it(store):
    assert store.cancel(add(store, due_in=3600).uid) == "cancelled"
    assert not Task.objects.exists()


def test_cancel_a_running_task_changes_one_column(any_store):
    task = add(any_store)
    any_store.claim_one(task.pk, "w")
    before, now = row(task.pk), any_store.now()
    assert any_store.cancel(task.uid, now=now) == "requested"
    assert row(task.pk) == before | {"cancel_requested_at": now}


def test_cancel_a_running_task_again_keeps_the_first_time(store):
    claim, now = asked(store), store.now()
    before = everything()
    assert store.cancel(claim.uid, now=now + MINUTE) == "requested"
    assert everything() == before


def test_cancel_a_finished_task_changes_nothing(store):
    task = add(store)
    store.finish(store.claim_one(task.pk, "w"), Succeeded())
    before = everything()
    assert store.cancel(task.uid) == "finished"
    assert store.cancel(task.pk) == "gone"  # a key is of one table only
    assert everything() == before


def test_cancel_a_task_that_failed_where_it_stands_changes_nothing(store):
    task = add(store, failed_at=store.now())
    before = everything()
    assert store.cancel(task.uid) == "finished"
    assert everything() == before


def test_cancel_what_never_was_changes_nothing(store):
    add(store)
    before = everything()
    assert store.cancel(uuid4()) == "gone"
    assert everything() == before


def test_cancel_a_row_of_1x_finds_it_by_its_key(store):
    task = add_as_1x(store)
    assert store.cancel(task.pk) == "cancelled"
    assert archived()["uid"] is not None


@pytest.mark.django_db(transaction=True)
def test_cancel_in_a_transaction_that_is_rolled_back_changes_nothing():
    store = get_store()
    task = add(store)
    before, events = everything(), Events()
    with telemetry.subscribed(events), transaction.atomic():
        assert store.cancel(task.uid) == "cancelled"
        transaction.set_rollback(True)
    assert everything() == before
    assert events.all == []


@pytest.mark.parametrize(
    ("outcome", "reason", "attempts"),
    [
        (Failed("Traceback\nValueError: no\n"), "ValueError: no", 1),
        (Retry("Traceback\nValueError: no\n", MINUTE), "ValueError: no", 1),
        (Retry("", MINUTE, is_wish=True), "it asked to be run again", 1),
        (Released("stopping"), "stopping", 0),
        (Cancelled(NOT_BEGUN, has_begun=False), NOT_BEGUN, 0),
    ],
    ids=["failed", "retry", "snooze", "released", "cancelled"],
)
def test_finish_after_a_cancel_archives_it_as_cancelled(any_store, outcome, reason, attempts):
    claim = asked(any_store, repeat=60)
    finish = any_store.finish(claim, outcome)
    assert (finish.cancelled.reason, finish.repetition) == (reason, None)
    assert not Task.objects.exists()
    completed = CompletedTask.objects.get()
    assert (completed.cancelled_at is None, completed.failed_at) == (False, None)
    assert (completed.attempts, completed.last_error) == (attempts, f"cancelled: {reason}")
    errors = [error.traceback for error in completed.attempt_errors]
    assert errors == ([outcome.error] if getattr(outcome, "error", "") else [])


@pytest.mark.parametrize("outcome", [Failed("x\n"), Retry("x\n", MINUTE)], ids=["failed", "retry"])
def test_finish_after_a_cancel_in_plain_form_is_cancelled_too(store, outcome):
    store.finish(asked(store), outcome, reduced=True)
    assert archived()["last_error"] == "cancelled: x"


def test_finish_with_a_success_after_a_cancel_stays_one_and_ends_the_chain(any_store):
    claim = asked(any_store, repeat=60)
    (finish,) = any_store.finish_many([(claim, Succeeded("1"))])
    assert finish.cancelled is None
    assert not Task.objects.exists()
    values = archived()
    assert (values["return_value"], values["cancelled_at"]) == ("1", None)


def test_find_finish_of_a_retry_that_became_a_cancel_finds_it(store):
    claim = asked(store)
    store.finish(claim, Retry("x\n", MINUTE))
    assert store.find_finish(claim, Retry("x\n", MINUTE)).cancelled.reason == "x"


def test_release_ends_those_that_were_cancelled(any_store):
    add(any_store)
    add(any_store)
    claims = any_store.claim("w", NAMES, limit=2)
    any_store.cancel(claims[1].uid)
    assert any_store.release(claims) == 1
    assert row(claims[0].task_id)["locked_by"] is None
    assert (archived()["uid"], archived()["attempts"]) == (claims[1].uid, 0)


def test_release_of_a_claim_that_was_lost_leaves_the_cancelled_row_alone(store):
    claim = asked(store)
    Task.objects.update(claim_number=7)
    before = everything()
    assert store.release([claim]) == 0
    assert store.finish(claim, Retry("x", MINUTE)) is None
    assert everything() == before


def test_cancel_requests_are_those_of_the_owner(store):
    claim = asked(store)
    add(store)
    store.claim("w", NAMES)
    other = store.claim_one(add(store).pk, "other")
    store.cancel(other.uid)
    assert store.cancel_requests("w") == [(claim.task_id, claim.number)]


def test_claim_of_a_row_that_came_back_by_other_code_says_that_it_was_cancelled(any_store):
    asked(any_store)
    Task.objects.update(locked_by=None, locked_at=None)
    moment = Task.objects.values_list("cancel_requested_at", flat=True).get()
    for (claim,) in (any_store.claim("w", NAMES), any_store.held_by("w")):
        assert claim.cancel_requested_at == moment is not None
