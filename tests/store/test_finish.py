"""Finishing: what each outcome leaves behind."""

from datetime import timedelta

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import Error
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.attempt_error import AttemptError, read_errors
from background_task.models import CompletedTask, Task
from background_task.payload import storable
from background_task.store import Finish
from tests.app.models import TextOwner
from tests.store.rows import NAMES, add, add_as_1x, everything, row

HOUR = timedelta(hours=1)


def claimed(store, **values):
    task = add(store, **values)
    claim = store.claim_one(task.pk, "w")
    return task, claim


def archived():
    return CompletedTask.objects.values().get()


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_succeeded_moves_the_whole_row_to_the_archive(store, reduced):
    owner = TextOwner.objects.create(code="owner")
    now = store.now()
    task, claim = claimed(
        store, verbose_name="Büro 🦆", queue="q", priority=4, attempts=2, repeat_until=now,
        last_error="earlier", task_params='[["\\u00e9"], {}]', creator=owner,
    )  # fmt: skip
    before = row(task.pk)
    finish = store.finish(claim, Succeeded(), now=now + HOUR, reduced=reduced)
    assert finish.repetition is None
    after = archived()
    assert finish.completed.pk == after.pop("id")
    for gone in ("id", "claim_number", "unique_key", "limit_key", "due_at", "cancel_requested_at"):
        del before[gone]
    new = {"attempts": 3, "run_at": now + HOUR, "return_value": None}
    assert after == before | new | {"discarded_at": None, "cancelled_at": None}
    assert after["creator_content_type_id"] == ContentType.objects.get_for_model(TextOwner).pk
    assert after["uid"] == claim.uid == task.uid
    assert not Task.objects.exists()


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_failed_archives_the_error_and_the_time(store, reduced):
    now = store.now()
    task, claim = claimed(store, repeat=3600)
    finish = store.finish(claim, Failed("Grüße"), now=now, reduced=reduced)
    assert finish.repetition is None
    after = archived()
    assert (after["failed_at"], after["run_at"], after["attempts"]) == (now, now, 1)
    assert after["last_error"] == ("Gr\\xfc\\xdfe" if reduced else "Grüße")
    assert not Task.objects.filter(pk=task.pk).exists()


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_retry_spends_an_attempt_and_unlocks(store, reduced):
    now = store.now()
    task, claim = claimed(store, attempts=1)
    before = row(task.pk)
    finish = store.finish(claim, Retry("Grüße", HOUR), now=now, reduced=reduced)
    assert finish == Finish()
    after = row(task.pk)
    assert read_errors(after.pop("errors")) == [
        AttemptError(2, "", "Grüße", now, "w", claim.locked_at)
    ]
    assert after | {"errors": None} == before | {
        "attempts": 2,
        "last_error": "Gr\\xfc\\xdfe" if reduced else "Grüße",
        "run_at": now + HOUR,
        "locked_by": None,
        "locked_at": None,
    }


def test_finish_retry_without_delay_keeps_the_place_in_the_queue(store):
    task, claim = claimed(store, due_in=-600)
    store.finish(claim, Retry("lost", timedelta(0)))
    assert row(task.pk)["run_at"] == claim.run_at
    scheduled, claim = claimed(store, due_in=3600)
    store.finish(claim, Retry("lost", timedelta(0)))
    assert row(scheduled.pk)["run_at"] == claim.run_at


def test_finish_released_hands_the_row_back_unchanged(store):
    task, claim = claimed(store, attempts=1, last_error="earlier")
    before = row(task.pk)
    assert store.finish(claim, Released("stopping")) == Finish()
    assert row(task.pk) == before | {"locked_by": None, "locked_at": None}


@pytest.mark.parametrize("reduced", [False, True])
def test_finish_of_a_repeating_task_adds_the_next_run(store, reduced):
    now = store.now()
    task, claim = claimed(
        store, repeat=3600, repeat_until=now + 5 * HOUR, run_at=now - timedelta(minutes=90),
        queue="q", priority=3, verbose_name="v", attempts=4, last_error="earlier",
        task_params='[[{"9": 1, "10": 2}], {}]', task_hash="0" * 40,
        creator=TextOwner.objects.create(code="owner"),
    )  # fmt: skip
    before = row(task.pk)
    finish = store.finish(claim, Succeeded(), now=now, reduced=reduced)
    after = Task.objects.values().get()
    assert finish.repetition.pk == after["id"] != before["id"]
    assert after["uid"] not in (None, before["uid"])
    assert after.pop("enqueued_at") is not None
    kept = (
        "task_name", "task_params", "task_hash", "verbose_name", "priority", "repeat",
        "repeat_until", "queue", "creator_content_type_id", "creator_object_id",
    )  # fmt: skip
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    fresh = {
        "attempts": 0, "failed_at": None, "last_error": "", "locked_by": None, "locked_at": None,
        "started_at": None, "claim_number": None, "unique_key": None,
        "run_at": before["run_at"] + 2 * HOUR,
    }  # fmt: skip
    assert {name: after[name] for name in fresh} == fresh
    assert CompletedTask.objects.get().uid == before["uid"]


def test_finish_at_the_end_of_a_chain_adds_no_run(store):
    now = store.now()
    _, claim = claimed(store, repeat=3600, repeat_until=now + timedelta(minutes=30))
    assert store.finish(claim, Succeeded(), now=now).repetition is None
    assert not Task.objects.exists()


def test_finish_of_a_row_locked_by_1x_archives_it_with_a_uid(store):
    task = add_as_1x(store, locked_by="4242", locked_at=store.now())
    (claim,) = store.held_by("4242")
    assert claim.number == 0
    assert claim.uid == row(task.pk)["uid"] is not None
    assert store.finish(claim, Succeeded()).completed.uid == claim.uid
    assert archived()["locked_by"] == "4242"


def test_finish_reduced_sends_no_signals_of_the_models(store):
    """The ordinary write may have been refused because of a receiver."""
    _, claim = claimed(store, repeat=3600)

    def refuse(**kwargs):
        raise RuntimeError("a receiver of the project")

    signals = (pre_save, post_save, pre_delete, post_delete)
    for signal in signals:
        signal.connect(refuse)
    try:
        before = everything()
        with pytest.raises(RuntimeError, match="a receiver of the project"):
            store.finish(claim, Succeeded())
        assert everything() == before
        finish = store.finish(claim, Succeeded(), reduced=True)
    finally:
        for signal in signals:
            signal.disconnect(refuse)
    assert Task.objects.get() == finish.repetition
    assert CompletedTask.objects.get() == finish.completed


# -- what was recorded, when the reply was lost --------------------------------------------------


@pytest.mark.parametrize(
    "outcome", [Succeeded(), Failed("f"), Retry("r", HOUR), Retry("r", timedelta(0)), Released("x")]
)
def test_find_finish_finds_what_was_recorded_and_only_that(store, outcome):
    _, claim = claimed(store)
    assert store.find_finish(claim, outcome) is None
    assert store.finish(claim, outcome) is not None
    found = store.find_finish(claim, outcome)
    assert found is not None
    assert found.completed == CompletedTask.objects.first()
    assert store.finish(claim, outcome) is None, "a repeated finish must find the claim gone"


@pytest.mark.parametrize("outcome", [Retry("r", HOUR), Released("x")])
def test_find_finish_does_not_take_the_other_outcome_for_this_one(store, outcome):
    _, claim = claimed(store)
    other = Released("x") if isinstance(outcome, Retry) else Retry("r", HOUR)
    store.finish(claim, other)
    assert store.find_finish(claim, outcome) is None


# -- bury ----------------------------------------------------------------------------------------


def test_bury_leaves_the_row_in_place_and_nobody_runs_it(store):
    task, claim = claimed(store, repeat=3600, attempts=1)
    before = row(task.pk)
    assert store.bury(claim, Failed("Grüße\0")) == Finish()
    after = row(task.pk)
    assert after["failed_at"] is not None
    assert "could not be archived" in after["last_error"]
    assert "Gr\\xfc\\xdfe\\x00" in after["last_error"]
    changed = {"attempts", "failed_at", "last_error", "locked_by", "locked_at"}
    assert {name for name in after if after[name] != before[name]} == changed
    assert after["attempts"] == 2
    assert store.claim("w", NAMES, limit=10) == []
    assert store.left_behind() == []


def test_bury_of_a_succeeded_task_says_that_the_archive_refused(store):
    task, claim = claimed(store)
    store.bury(claim, Succeeded())
    assert "could not be archived" in row(task.pk)["last_error"]


# -- errors of any text --------------------------------------------------------------------------

HOSTILE = "Grüße 🦆 nul \0 half \ud800 " + "x" * 200_000


@pytest.mark.parametrize("outcome", [Failed(HOSTILE), Retry(HOSTILE, HOUR)])
def test_finish_reduced_stores_any_error(store, outcome):
    task, claim = claimed(store)
    assert store.finish(claim, outcome, reduced=True)
    rows = CompletedTask.objects if isinstance(outcome, Failed) else Task.objects.filter(pk=task.pk)
    stored = rows.get().last_error
    assert stored.isascii()
    assert stored.startswith("Gr\\xfc\\xdfe \\U0001f986 nul \\x00 half \\ud800 xxx")
    assert len(stored) < 101_000


@pytest.mark.parametrize("outcome", [Failed, lambda text: Retry(text, HOUR)], ids=["fail", "retry"])
def test_finish_stores_what_the_worker_made_storable_as_it_is(store, outcome):
    text = storable(HOSTILE)
    task, claim = claimed(store)
    finish = store.finish(claim, outcome(text))
    stored = finish.completed or Task.objects.get(pk=task.pk)
    stored.refresh_from_db()
    assert stored.last_error == text
    assert "Grüße 🦆 nul \\x00 half \\ud800" in text


def test_finish_refused_by_the_database_changes_nothing(transactional_db, store):
    _, claim = claimed(store)
    before = everything()
    for outcome in (Failed("half \ud800"), Retry("half \ud800", HOUR)):
        with pytest.raises((UnicodeError, Error)):
            store.finish(claim, outcome)
        assert everything() == before
    assert store.finish(claim, Failed("half \ud800"), reduced=True)
