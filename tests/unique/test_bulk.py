"""Many calls at once whose keys others have, or have among themselves."""

import pytest
from django.db import connection, transaction

from background_task import AlreadyScheduledError
from background_task.models import Task
from background_task.producer import TaskSpec, enqueue_many
from background_task.signals import task_created
from tests.store.rows import everything, statements
from tests.unique.rows import LATER, NAMES, SOON, keys, unique

pytestmark = pytest.mark.django_db(transaction=True)
UNTIL = pytest.mark.parametrize("until", ["start", "finish"])


@pytest.fixture(params=["own", "in a transaction"], autouse=True)
def around(request):
    """Callers are in a transaction of their own, or not."""
    if request.param == "own":
        yield
    else:
        with transaction.atomic():
            yield


def calls(*users, kind="all"):
    return [((user, kind), {}) for user in users]


def rule(**options):
    return unique(**{"unique": "user_id", **options})


def params(tasks):
    return [task.params()[0] for task in tasks]


def stored():
    return params(Task.objects.order_by("pk"))


@UNTIL
def test_skip_leaves_out_what_is_there_and_what_comes_twice(until):
    call = rule(unique_until=until)
    call(2, "old", schedule=SOON)
    tasks = call.bulk([*calls(1, 2, 3), *calls(3, 1, 4, kind="again")])
    assert params(tasks) == [[1, "all"], [3, "all"], [4, "again"]]
    assert stored() == [[2, "old"], *params(tasks)]
    assert len(keys()) == 4
    assert [task.pk for task in tasks] == list(
        Task.objects.exclude(run_at=SOON).order_by("pk").values_list("pk", flat=True)
    )
    assert call.bulk(calls(1, 2, 3, 4)) == []


@UNTIL
def test_raise_stores_none_of_them(until):
    call = rule(unique_until=until, on_conflict="raise")
    old = call(2)
    before = everything()
    with pytest.raises(AlreadyScheduledError) as caught, transaction.atomic():
        call.bulk(calls(1, 2, 3))
    assert caught.value.uid == old.uid
    with pytest.raises(AlreadyScheduledError), transaction.atomic():
        call.bulk(calls(1, 1))
    assert everything() == before
    assert len(call.bulk(calls(1, 3))) == 2


@UNTIL
def test_replace_keeps_the_last_of_each(until):
    call = rule(unique_until=until, on_conflict="replace")
    old = call(2, "old")
    tasks = call.bulk([*calls(1, 2), *calls(3, 1, kind="again")])
    assert params(tasks) == [[2, "all"], [3, "again"], [1, "again"]]
    assert set(Task.objects.all()) == set(tasks)
    assert not Task.objects.filter(pk=old.pk).exists()


@UNTIL
def test_extend_keeps_the_first_row_of_each_with_the_last_arguments(until):
    call = rule(unique_until=until, on_conflict="extend")
    old = call(2, "old", schedule=SOON)
    tasks = call.bulk([*calls(1, 2), *calls(1, kind="again")], schedule=LATER)
    assert [task.params()[0][0] for task in tasks] == [1]
    assert stored() == [[2, "all"], [1, "again"]]
    assert Task.objects.get(pk=old.pk).run_at == LATER


def test_keys_of_running_tasks_count_until_their_finish(store):
    for until, expected in (("finish", []), ("start", [[7, "all"]])):
        call = rule(unique_until=until, schedule=-60)
        call(7)
        store.claim("w", NAMES, limit=1)
        assert params(call.bulk(calls(7))) == expected
        Task.objects.all().delete()


def test_key_without_right_is_taken_from_its_row():
    call = rule()
    task = call(7)
    Task.objects.filter(pk=task.pk).update(locked_by="4711", locked_at=SOON)
    assert params(call.bulk(calls(6, 7, 8))) == [[6, "all"], [7, "all"], [8, "all"]]


def test_items_with_and_without_keys_may_come_together():
    function = rule(unique_until="finish")
    key = function.uniqueness.key(function._parameters, (1,), {})
    specs = [TaskSpec("known", (n,), unique=key if n % 2 else None) for n in range(5)]
    tasks = enqueue_many(specs, sender=Task)
    assert params(tasks) == [[0], [1], [2], [4]]
    assert [task.options is not None for task in tasks] == [False, True, False, False]
    assert [task.unique_key is not None for task in tasks] == [False, True, False, False]


def test_what_was_added_is_what_signals_tell():
    created = []
    receive = lambda sender, task, **kwargs: created.append(task)  # noqa: E731
    task_created.connect(receive)
    try:
        added = rule().bulk(calls(1, 2, 1))
        added += rule(on_conflict="replace").bulk(calls(2, 2))
    finally:
        task_created.disconnect(receive)
    assert created == added


def test_key_that_cannot_be_made_is_named_by_its_item():
    call = unique(unique=lambda user_id, kind: None if user_id == 2 else user_id)
    with pytest.raises(TypeError, match=r"^item 1: unique of known returned a value of type None"):
        call.bulk(calls(1, 2))
    assert stored() == []


@pytest.mark.parametrize("rows", [10, 400])
def test_batch_takes_few_statements_however_many_rows(rows):
    call = rule()
    call(0)
    with statements() as kept:
        tasks = call.bulk(calls(*range(rows)))
    assert len(tasks) == rows - 1
    # Who has the keys, the rows, their primary keys; SQLite writes first, and MariaDB takes turns.
    expected = {"postgresql": 2, "sqlite": 4, "mysql": 4}
    assert len(kept.all) <= expected[connection.vendor]


def test_batches_see_each_other():
    call = rule()
    key = call.uniqueness.key
    specs = [
        TaskSpec("known", (n % 50,), unique=key(call._parameters, (n % 50,), {}))
        for n in range(200)
    ]
    assert params(enqueue_many(specs, sender=Task, batch_size=30)) == [[n] for n in range(50)]


def test_more_keys_than_a_statement_takes():
    call = rule()
    call.bulk(calls(*range(0, 1200, 2)))
    assert len(call.bulk(calls(*range(1200)))) == 600
    assert call.bulk(calls(*range(1200))) == []
