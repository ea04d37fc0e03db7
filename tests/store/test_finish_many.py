"""Finishing many claims at once: what it leaves is what one finish after the other would leave."""

from datetime import datetime, timedelta, timezone
from itertools import cycle

import pytest
from django.db import transaction

from background_task.attempt import Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task
from background_task.store import Finish
from background_task.store.group import GroupStore
from tests.app.models import TextOwner
from tests.store.rows import NAMES, add, add_as_1x, everything, row

HOUR = timedelta(hours=1)
NOW = datetime(2031, 3, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
LATER = NOW + timedelta(seconds=1.5)
LARGEST = 2**31 - 1

#: Each is one row; the name tells it from the others in what is left.
ROWS = {
    "plain": {},
    "rich": {
        "verbose_name": "Büro 🦆", "queue": "q", "priority": 4, "attempts": 2, "repeat_until": NOW,
        "last_error": "earlier\r\n", "task_params": '[["\\u00e9"], {}]', "unique_key": "k",
    },
    "the unnamed queue": {"queue": ""},
    "raw text": {"task_params": "[['{x} {0} %s %(s)s ;--\\'🦆\"\\], {}]", "verbose_name": "{} %s"},
    "long": {"task_params": "ü" * 200_000, "last_error": "🦆" * 10_000},
    "last attempt": {"attempts": LARGEST},
    "last but one": {"attempts": LARGEST - 1},
    "below zero": {"attempts": -3, "priority": -(2**31)},
    "buried once": {"failed_at": NOW - HOUR, "last_error": "the outcome could not be archived"},
    "claimed often": {"claim_number": 2**40, "started_at": NOW - HOUR},
    "repeats": {"repeat": 3600, "due_in": -5400, "attempts": 3, "last_error": "earlier"},
    "repeats until then": {"repeat": 60, "repeat_until": NOW + HOUR, "queue": "q", "priority": 9},
    "repeated until now": {"repeat": 60, "repeat_until": NOW},
    "repeats for ever": {"repeat": 2**62},
    "repeats backwards": {"repeat": -60},
    "repeats the same": {"repeat": 1, "task_params": '[[{"9": 1, "10": 2}], {}]', "due_in": 0},
}  # fmt: skip
OUTCOMES = [
    Succeeded(),
    Retry("Grüße 🦆 {} %s", HOUR),
    Failed("Grüße 🦆 {} %s"),
    Retry("at once", timedelta(0)),
    Released("stopping"),
]


def scene(store):
    """Rows of every kind, held by several owners under several numbers."""
    Task.objects.all().delete()
    CompletedTask.objects.all().delete()
    creator = TextOwner.objects.get_or_create(code="owner")[0]
    tasks = {
        name: add(store, now=NOW, task_hash=name, creator=creator if values else None, **values)
        for name, values in ROWS.items()
    }
    old = add_as_1x(store, task_hash="1.x", run_at=NOW, locked_by="4242", locked_at=NOW)
    tasks["waits since 1.x"] = add_as_1x(store, task_hash="waits since 1.x", run_at=NOW)
    owners = ["w", "w", "w", "W", 'it\'s %s {} "🦆"']
    claims = [
        store.claim_one(task.pk, owners[number % len(owners)], now=NOW)
        for number, task in enumerate(tasks.values())
    ]
    return [*claims, *store.held_by("4242")], [*tasks, old.task_hash]


def left(claims, names):
    """All rows, without keys and what chance gave."""
    labels = {claim.uid: name for claim, name in zip(claims, names, strict=True)}
    live = {}
    for values in Task.objects.values():
        del values["id"]
        values["uid"] = labels.get(values["uid"], "new")
        if values["uid"] == "new":
            values["enqueued_at"] = values["enqueued_at"] is not None
        elif values["uid"] in ("1.x", "waits since 1.x"):
            assert values["enqueued_at"] is None
        live[values["task_hash"], values["uid"]] = values
    assert len(live) == Task.objects.count()
    archived = {}
    for values in CompletedTask.objects.values():
        del values["id"]
        values["uid"] = labels[values["uid"]]
        archived[values["task_hash"]] = values
    assert len(archived) == CompletedTask.objects.count()
    return live, archived


def comparable(rows):
    """The times of entry are those of two scenes."""
    return {
        key: {**values, "enqueued_at": bool(values["enqueued_at"])} for key, values in rows.items()
    }


@pytest.mark.parametrize(
    "outcomes",
    [
        [Succeeded()],
        OUTCOMES,
        [Succeeded(), *OUTCOMES],
        [Failed("Grüße 🦆 {} %s"), Succeeded()],
        [Succeeded('"{} %s \\u0000 \\ud800 \'"'), Succeeded(), Succeeded("7"), Failed("f")],
    ],
    ids=["all succeed", "mixed", "mixed otherwise", "some fail", "some with results"],
)
def test_finish_many_leaves_what_one_finish_after_the_other_leaves(any_store, outcomes):
    def after(act):
        claims, names = scene(any_store)
        ends = list(zip(claims, cycle(outcomes)))
        finishes = act(ends)
        assert len(finishes) == len(ends)
        assert all(isinstance(finish, Finish) for finish in finishes)
        return [comparable(rows) for rows in left(claims, names)]

    apart = after(
        lambda ends: [any_store.finish(claim, outcome, now=LATER) for claim, outcome in ends]
    )
    together = after(lambda ends: any_store.finish_many(ends, now=LATER))
    assert together == apart
    live, archived = together
    assert archived
    has_succeeded = isinstance(dict(zip(ROWS, cycle(outcomes)))["repeats"], Succeeded)
    assert (("repeats", "new") in live) == has_succeeded


def test_finish_many_keeps_the_time_of_entry_and_all_else(any_store):
    task = add(any_store, now=NOW, **ROWS["rich"])
    claim = any_store.claim_one(task.pk, "w", now=NOW)
    before = row(task.pk)
    (finish,) = any_store.finish_many([(claim, Succeeded())], now=LATER)
    after = CompletedTask.objects.values().get()
    del after["id"]
    for gone in ("id", "claim_number", "unique_key", "limit_key", "due_at", "cancel_requested_at"):
        del before[gone]
    new = {"attempts": 3, "run_at": LATER, "return_value": None}
    assert after == before | new | {"discarded_at": None, "cancelled_at": None}
    assert finish.repetition is None


@pytest.mark.parametrize("rows", [1, 2])
def test_finish_many_by_the_databases_clock(any_store, rows):
    """``now`` is given by tests only."""
    for number in range(rows):
        add(any_store, repeat=3600 * number)
    claims = any_store.claim("w", NAMES, limit=rows)
    before = any_store.now()
    finishes = any_store.finish_many([(claim, Succeeded()) for claim in claims])
    after = any_store.now()
    assert None not in finishes
    for completed in CompletedTask.objects.all():
        assert before <= completed.run_at <= after
    assert [task.run_at for task in Task.objects.all()] == [
        claim.run_at + HOUR for claim in claims[1:]
    ]


def test_finish_many_of_nothing_changes_nothing(any_store):
    add(any_store)
    before = everything()
    assert any_store.finish_many([]) == []
    assert everything() == before


def test_finish_many_gives_each_repetition_a_uid_and_its_own_time(any_store):
    tasks = [
        add(any_store, now=NOW, due_in=-60 - number, repeat=3600, verbose_name=str(number))
        for number in range(20)
    ]
    claims = any_store.claim("w", NAMES, limit=20, now=NOW)
    finishes = any_store.finish_many([(claim, Succeeded()) for claim in claims], now=LATER)
    following = {task.verbose_name: task for task in Task.objects.all()}
    assert len(following) == len(tasks) == len({task.uid for task in following.values()})
    for claim, finish in zip(claims, finishes, strict=True):
        task = following[claim.verbose_name]
        assert task.run_at == claim.run_at + HOUR == finish.repetition.run_at
        assert task.pk != claim.task_id
        assert task.uid not in (None, claim.uid)
        assert finish.repetition.verbose_name == claim.verbose_name


def test_finish_many_of_a_repeating_row_that_does_not_succeed_adds_no_run(any_store):
    for _ in range(4):
        add(any_store, repeat=3600)
    claims = any_store.claim("w", NAMES, limit=4)
    any_store.finish_many(
        list(zip(claims, [Failed("f"), Retry("r", HOUR), Released("x"), Succeeded()], strict=True))
    )
    kept = [claim.task_id for claim in claims[1:3]]
    assert set(kept) < set(Task.objects.values_list("pk", flat=True))
    assert Task.objects.count() == 3
    assert CompletedTask.objects.count() == 2


@pytest.mark.parametrize(("before", "after"), [(0, 3600), (3600, 0), (3600, 60)])
def test_finish_many_repeats_as_the_row_says_by_then(any_store, before, after):
    """Somebody edits the repetition while the task runs."""
    for _ in range(3):
        add(any_store, now=NOW, repeat=before)
    claims = any_store.claim("w", NAMES, limit=3, now=NOW)
    Task.objects.filter(pk=claims[1].task_id).update(repeat=after)
    finishes = any_store.finish_many([(claim, Succeeded()) for claim in claims], now=NOW)
    assert None not in finishes
    expected = sorted(
        claim.run_at + max(1, 60 // repeat) * timedelta(seconds=repeat)
        for claim, repeat in zip(claims, (before, after, before), strict=True)
        if repeat
    )
    assert sorted(Task.objects.values_list("run_at", flat=True)) == expected


@pytest.mark.parametrize("repeating", [0, 100])
def test_finish_many_of_more_rows_than_one_statement_takes(any_store, repeating):
    is_set = isinstance(any_store, GroupStore) and not any_store.in_transaction()
    rows = 1201 if is_set else 120
    now = any_store.now()
    made = [
        Task(task_name="known", run_at=now, repeat=3600 if number < repeating else 0)
        for number in range(rows)
    ]
    for task in made:
        task.uid = None
    Task.objects.bulk_create(made)
    claims = any_store.claim("w", NAMES, limit=rows)
    lost = claims[::300]
    any_store.release(lost)
    finishes = any_store.finish_many([(claim, Succeeded()) for claim in claims])
    assert [finish is None for finish in finishes] == [claim in lost for claim in claims]
    done = {claim.uid for claim in claims} - {claim.uid for claim in lost}
    assert set(CompletedTask.objects.values_list("uid", flat=True)) == done
    assert CompletedTask.objects.count() == rows - len(lost)
    again = min(repeating, 1)  # the first claim was lost, and it repeated
    assert Task.objects.count() == len(lost) + repeating - again


def test_finish_many_rolls_back_with_the_callers_transaction(any_store):
    for number in range(3):
        add(any_store, repeat=number)
    ends = [(claim, Succeeded()) for claim in any_store.claim("w", NAMES, limit=3)]
    before = everything()
    with transaction.atomic():
        assert None not in any_store.finish_many(ends)
        transaction.set_rollback(True)
    assert everything() == before
    assert None not in any_store.finish_many(ends)


def test_find_finish_finds_what_a_group_recorded(any_store):
    for _ in OUTCOMES:
        add(any_store)
    claims = any_store.claim("w", NAMES, limit=len(OUTCOMES))
    ends = list(zip(claims, OUTCOMES, strict=True))
    assert [any_store.find_finish(*end) for end in ends] == [None] * len(ends)
    any_store.finish_many(ends)
    for claim, outcome in ends:
        finish = any_store.find_finish(claim, outcome)
        assert finish is not None
        assert (finish.completed is not None) == isinstance(outcome, Succeeded | Failed)


@pytest.mark.only_on("sqlite", "mariadb")  # PostgreSQL stores no NUL
def test_finish_many_copies_what_only_this_database_stores(any_store):
    task = add(any_store, task_params="nul \0 nul", last_error="\0")
    claim = any_store.claim_one(task.pk, "w")
    assert None not in any_store.finish_many([(claim, Succeeded())])
    completed = CompletedTask.objects.get()
    assert (completed.task_params, completed.last_error) == ("nul \0 nul", "\0")
