"""Adding: what is stored, refused, moved or kept, and in whose transaction."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.signals import post_delete

from background_task.attempt import Succeeded
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.signals import task_created
from tests.app.models import Ledger, TextOwner, UUIDOwner
from tests.store.rows import NAMES, add, add_as_1x, everything, row, statements

CHECK = {"action": TaskSchedule.CHECK_EXISTING}
MOVE = {"action": TaskSchedule.RESCHEDULE_EXISTING}
REMOVE = {"remove_existing_tasks": True}
ALONE = pytest.mark.parametrize("option", [CHECK, MOVE, REMOVE], ids=["check", "move", "remove"])


def put(name="known", *args, **options):
    return enqueue(TaskSpec(name, args, **options), sender=TaskSpec)


def test_enqueue_stores_what_was_asked_for(store):
    now = store.now()
    task = put(
        "known", "é", 1, run_at=now, priority=-7, queue="q 🦆", verbose_name="Büro", repeat=60,
        repeat_until=now + timedelta(days=1), creator=TextOwner.objects.create(code="x"),
    )  # fmt: skip
    stored = row(task.pk)
    assert stored["task_params"] == '[["\\u00e9", 1], {}]'
    assert (stored["queue"], stored["verbose_name"], stored["priority"]) == ("q 🦆", "Büro", -7)
    assert (stored["run_at"], stored["repeat"]) == (now, 60)
    assert stored["repeat_until"] == now + timedelta(days=1)
    assert stored["uid"] is not None
    assert stored["enqueued_at"] is not None
    for name in ("claim_number", "unique_key", "started_at", "locked_by", "failed_at"):
        assert stored[name] is None
    assert Task.objects.get().creator == TextOwner.objects.get()


def test_uids_of_rows_added_later_are_greater_and_name_the_version(store):
    first, second = put(), put()
    assert first.uid != second.uid
    assert first.uid.version == second.uid.version == 7
    assert first.uid.int >> 80 <= second.uid.int >> 80


@pytest.mark.parametrize("kind", ["int", "text", "uuid"])
def test_creators_of_any_key_are_found_again(store, kind, django_user_model):
    make = {
        "int": lambda: django_user_model.objects.create(username="u"),
        "text": lambda: TextOwner.objects.create(code="007"),
        "uuid": UUIDOwner.objects.create,
    }
    creator = make[kind]()
    put(creator=creator)
    put()
    task = Task.objects.created_by(creator).get()
    assert task.creator == creator
    claim = store.claim_one(task.pk, "w")
    store.finish(claim, Succeeded())
    assert CompletedTask.objects.created_by(creator).get().creator == creator


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"task_name": "nul\0"}, InvalidOptionError),
        ({"task_name": "half \ud800"}, InvalidOptionError),
        ({"task_name": ""}, InvalidOptionError),
        ({"task_name": "n" * 191}, InvalidOptionError),
        ({"task_name": 5}, InvalidOptionTypeError),
        ({"queue": "nul\0"}, InvalidOptionError),
        ({"queue": "half \udfff"}, InvalidOptionError),
        ({"queue": "q" * 191}, InvalidOptionError),
        ({"queue": b"bytes"}, InvalidOptionTypeError),
        ({"verbose_name": "nul\0"}, InvalidOptionError),
        ({"verbose_name": "half \ud912"}, InvalidOptionError),
        ({"verbose_name": "v" * 256}, InvalidOptionError),
        ({"priority": 2**31}, InvalidOptionError),
        ({"priority": -(2**31) - 1}, InvalidOptionError),
        ({"priority": 1.5}, InvalidOptionTypeError),
        ({"repeat": 2**63}, InvalidOptionError),
        ({"run_at": "tomorrow"}, InvalidOptionTypeError),
        ({"repeat_until": 5}, InvalidOptionTypeError),
        ({"creator": "me"}, InvalidOptionTypeError),
        ({"creator": TextOwner(code=None)}, InvalidOptionError),
        ({"args": (object(),)}, InvalidOptionTypeError),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value.__name__,
)
def test_what_cannot_be_stored_is_refused_before_the_callers_transaction_is_harmed(
    store, options, error
):
    with transaction.atomic():
        with pytest.raises(error) as caught:
            enqueue(TaskSpec(**{"task_name": "known", **options}), sender=TaskSpec)
        Ledger.objects.create(key="the transaction goes on")
    assert isinstance(caught.value, ValueError | TypeError)
    assert str(caught.value)
    assert not Task.objects.exists()
    assert Ledger.objects.exists()


@pytest.mark.parametrize("value", ["nul \0", "half \ud800", "🦆", "'; DROP TABLE", "%s %%"])
def test_arguments_of_any_text_round_trip_through_row_and_claim(store, value):
    task = put("known", value)
    (claim,) = store.claim("w", NAMES)
    assert claim.task_params == task.task_params
    assert Task.objects.get().params() == ([value], {})


@pytest.mark.parametrize("name", ["ü" * 190, "🦆" * 190])
def test_names_at_the_limit_are_stored_whole(store, name):
    task = put(name, queue=name, verbose_name=name)
    assert row(task.pk)["task_name"] == row(task.pk)["queue"] == name
    assert [claim.task_id for claim in store.claim("w", [name], queues=[name])] == [task.pk]


# -- only one may wait ---------------------------------------------------------------------------


def test_plain_calls_are_all_kept(store):
    assert len({put().pk for _ in range(3)}) == 3


@ALONE
def test_the_first_of_its_kind_is_stored(store, option):
    task = put(**option)
    assert Task.objects.get() == task


def test_check_existing_keeps_the_first_as_it_is(store):
    add(store, priority=3, due_in=3600)
    before = everything()
    assert put(run_at=store.now(), priority=9, **CHECK) is None
    assert everything() == before


def test_reschedule_existing_moves_the_first(store):
    task = add(store, priority=3, due_in=3600)
    before, moved = row(task.pk), store.now() + timedelta(hours=5)
    assert put(run_at=moved, priority=9, **MOVE) is None
    assert row(task.pk) == before | {"run_at": moved, "priority": 9}
    assert Task.objects.count() == 1


def test_remove_existing_replaces_it(store):
    old = add(store, due_in=3600)
    new = put(**REMOVE)
    assert Task.objects.get() == new != old


@ALONE
def test_calls_with_other_arguments_or_names_are_not_touched(store, option):
    others = [put("known", 1), put("also_known")]
    before = everything()[0]
    task = put(**option)
    assert everything()[0][:2] == before
    assert Task.objects.count() == len(others) + 1
    assert Task.objects.latest("pk") == task


@ALONE
def test_a_named_queue_narrows_it(store, option):
    put(queue="other")
    task = put(queue="mine", **option)
    assert task is not None
    assert Task.objects.count() == 2
    put(queue="mine", **option)
    assert sorted(Task.objects.values_list("queue", flat=True)) == ["mine", "other"]


@ALONE
@pytest.mark.parametrize("make", [add, add_as_1x])
def test_a_running_one_does_not_count(store, option, make):
    task = make(store)
    claim = store.claim_one(task.pk, "w")
    before = row(task.pk)
    following = put(**option)
    assert following is not None
    assert row(task.pk) == before
    assert store.is_held(claim)


@ALONE
def test_a_call_made_alone_may_be_made_again_while_it_runs(store, option):
    first = put(**option)
    store.claim_one(first.pk, "w")
    second = put(**option)
    assert second.pk not in (None, first.pk)
    assert Task.objects.count() == 2


@ALONE
def test_a_row_that_1x_locked_without_knowing_its_key_does_not_stand_in_the_way(store, option):
    """During a rolling upgrade a 1.x worker locks a row and leaves the unique key on it."""
    first = put(**option)
    Task.objects.filter(pk=first.pk).update(locked_by="4242", locked_at=store.now())
    second = put(**option)
    assert second.pk not in (None, first.pk)
    assert row(first.pk)["locked_by"] == "4242"
    assert Task.objects.count() == 2


@ALONE
def test_a_row_that_failed_for_good_is_neither_kept_for_it_nor_removed(store, option):
    """Such a row never runs; it waits for a person to look at it."""
    failed = add(store, failed_at=store.now())
    before = row(failed.pk)
    task = put(**option)
    assert task is not None
    assert row(failed.pk) == before
    assert Task.objects.count() == 2


def test_remove_existing_takes_the_rows_locks_before_receivers_of_signals_see_them(store):
    add(store, due_in=3600)
    held = []
    receive = lambda instance, **kwargs: held.append(instance.pk)  # noqa: E731
    post_delete.connect(receive, sender=Task)
    try:
        with statements() as kept:
            assert put(**REMOVE)
    finally:
        post_delete.disconnect(receive, sender=Task)
    assert len(held) == 1
    delete = next(n for n, sql in enumerate(kept.all) if sql.startswith("DELETE"))
    assert any(sql.startswith("UPDATE") or sql.endswith("FOR UPDATE") for sql in kept.all[:delete])


@ALONE
def test_task_created_is_sent_only_for_a_new_row(store, option):
    seen = []
    receive = lambda task, **kwargs: seen.append(task)  # noqa: E731
    task_created.connect(receive)
    try:
        first = put(**option)
        second = put(**option)
    finally:
        task_created.disconnect(receive)
    assert seen == [task for task in (first, second) if task is not None]


# -- I9 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [{}, CHECK, MOVE, REMOVE], ids=str)
def test_enqueue_commits_or_rolls_back_with_the_caller(transactional_db, store, option):
    add(store, due_in=3600)
    before = everything()
    with transaction.atomic():
        put(run_at=store.now() + timedelta(hours=9), **option)
        transaction.set_rollback(True)
    assert everything() == before
    with transaction.atomic():
        put(run_at=store.now() + timedelta(hours=9), **option)
    assert Task.objects.count() == (2 if option == {} else 1)
