"""Claims of rows that backends have queued, in every store."""

from datetime import timedelta
from uuid import UUID

from django.forms.models import model_to_dict

from background_task.attempt import Cancelled, Discarded, Failed, Released, Retry, Succeeded
from background_task.models import CompletedTask, Task as Row
from background_task.policy_option import overrides
from background_task.store.find import find
from tests.store.conftest import any_store
from tests.store.rows import add

__all__ = ["any_store"]  # a fixture

PATH = "tests.backends.tasks.add"


def queue(store, backend="default", **values):
    return add(store, task_name=values.pop("task_name", PATH), backend=backend, **values)


def claimed(store, names=(), **options):
    options = {"limit": 10, "backends": {"default": True}, **options}
    return store.claim("w", list(names), **options)


def test_a_claim_says_who_queued_the_row(any_store):
    row = queue(any_store)
    (claim,) = claimed(any_store)
    assert (claim.task_id, claim.uid, claim.backend) == (row.pk, row.uid, "default")
    assert claim.enqueued_at is not None
    assert claim.started_at == claim.locked_at is not None
    assert any_store.held_by("w") == [claim]


def test_each_kind_is_claimed_by_who_can_run_it(any_store):
    other, plain, mine = queue(any_store, "other"), add(any_store), queue(any_store)
    strange = add(any_store, task_name=PATH)  # of that name, but from @background
    assert [claim.task_id for claim in claimed(any_store)] == [mine.pk]
    assert [claim.task_id for claim in claimed(any_store, ["known"], backends={})] == [plain.pk]
    assert claimed(any_store, ["known", "nothing"]) == []
    left = any_store.claim("w", [PATH], backends={"other": False, "more": True}, limit=9)
    assert {claim.task_id for claim in left} == {other.pk, strange.pk}


def test_both_kinds_are_one_order(any_store):
    rows = [
        queue(any_store, priority=priority) if priority % 2 else add(any_store, priority=priority)
        for priority in (-3, 2, 0, 1, -1, 3)
    ]
    claims = claimed(any_store, ["known"], limit=4)
    claims += claimed(any_store, ["known"])
    order = sorted(rows, key=lambda row: -row.priority)
    assert [claim.task_id for claim in claims] == [row.pk for row in order]


def test_the_letters_of_an_alias_and_a_path_count(any_store):
    for alias in ("Default", "default ", "défault", "defaul"):
        queue(any_store, alias)
    assert claimed(any_store) == []
    assert len(any_store.unknown_names([], backends={"default": True})) == 1
    row = queue(any_store, "défault", priority=1)
    (claim, *_) = claimed(any_store, backends={"défault": True}, limit=1)
    assert claim.task_id == row.pk


def test_nothing_is_claimed_ahead_whose_last_attempt_that_could_cost(any_store):
    for values, may_wait in (
        ({}, True),
        ({"attempts": 1}, False),
        ({"limit_key": "key"}, False),
        ({"options": overrides({"max_attempts": 1})}, False),
        ({"options": overrides({"max_attempts": 3, "timeout": 5})}, True),
    ):
        queue(any_store, **values)
        assert claimed(any_store, limit=0, ahead=9, backends={"default": False}) == [], values
        assert len(claimed(any_store, limit=0, ahead=9)) == may_wait, values
        assert len(claimed(any_store, limit=1)) == (not may_wait), values


def test_who_looks_sees_what_can_be_run_and_what_is_for_others(any_store):
    queue(any_store)
    due = any_store.look([], backends={"default": True})
    assert (due.is_ready, due.is_unknown) == (True, False)
    for backends in ({}, {"other": True}):
        due = any_store.look([PATH], backends=backends)
        assert (due.is_ready, due.is_unknown) == (False, True)
        assert any_store.unknown_names([PATH], backends=backends) == [PATH]
    row = queue(any_store, due_in=3600)
    Row.objects.exclude(pk=row.pk).delete()
    assert any_store.look([], backends={"default": True}).next_at == row.run_at


def test_the_archive_keeps_who_queued_the_row(any_store):
    outcomes = [
        Succeeded("[1]"),
        Succeeded(),
        Failed("no\n", exception="builtins.ValueError"),
        Discarded("too late"),
        Cancelled("it had not begun", has_begun=False),
    ]
    rows = [queue(any_store, alias) for alias in ("default", "other") for _ in outcomes]
    claims = claimed(any_store, backends={"default": True, "other": True})
    assert all(any_store.finish_many(list(zip(claims, outcomes * 2, strict=True))))
    kept = dict(CompletedTask.objects.values_list("uid", "backend"))
    assert kept == {row.uid: row.backend for row in rows}
    for row in rows:
        found = find(any_store.using, row.uid)
        assert type(found) is CompletedTask
        assert model_to_dict(found) == model_to_dict(CompletedTask.objects.get(uid=row.uid))


def test_what_goes_back_is_the_backends_still(any_store):
    for outcome in (Released("later"), Retry("no\n", timedelta(hours=1))):
        row = queue(any_store)
        (claim,) = claimed(any_store)
        assert any_store.finish(claim, outcome)
        found = find(any_store.using, row.uid)
        assert (type(found), found.backend, found.locked_by) == (Row, "default", None)
        Row.objects.all().delete()


def test_what_was_not_queued_by_a_backend_is_not_found(any_store):
    row = add(any_store)
    assert find(any_store.using, row.uid) is None
    assert find(any_store.using, UUID(int=0)) is None
