"""Adding many at once: all or none, with few statements."""

from collections.abc import Iterator

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, connection, transaction

from background_task import producer
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import Task
from background_task.payload import encode, task_hash
from background_task.producer import TaskSpec, enqueue, enqueue_many
from background_task.signals import task_created
from background_task.store import insert
from tests.app.models import Ledger, TextOwner
from tests.store.rows import everything, statements


def put_many(specs, **options):
    return enqueue_many(specs, sender=TaskSpec, **options)


def numbered(count, **options):
    return [TaskSpec("known", (number,), **options) for number in range(count)]


@pytest.fixture
def hears():
    """The tasks that ``task_created`` told of, so far."""
    heard = []
    receive = lambda task, **kwargs: heard.append(task)  # noqa: E731
    task_created.connect(receive)
    yield heard
    task_created.disconnect(receive)


# -- few statements ------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "size", "batches"), [(10_000, 1000, 10), (7, 3, 3), (1, 5, 1)])
def test_each_batch_takes_one_insert(transactional_db, store, settings, count, size, batches):
    with statements() as kept:
        tasks = put_many(iter(numbered(count)), batch_size=size)
    assert len(tasks) == Task.objects.count() == count
    assert len([sql for sql in kept.all if "INSERT" in sql]) == batches
    asked = 0 if settings.DATABASE == "postgresql" else batches  # for the keys of its ends
    assert len(kept.all) == batches + asked


def test_all_is_one_transaction(transactional_db, store):
    control = []

    def keep(execute, sql, params, many, context):
        control.append((connection.in_atomic_block, sql.lstrip()[:6]))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(keep):
        put_many(numbered(4), batch_size=2)
    assert {inside for inside, sql in control if sql == "INSERT"} == {True}
    assert not [sql for _, sql in control if sql.startswith(("SAVEPO", "RELEAS"))]


def test_creators_take_no_statement_for_each_row(store):
    owner = TextOwner.objects.create(code="x")
    ContentType.objects.get_for_model(owner)
    with statements() as few:
        put_many(numbered(2, creator=owner))
    with statements() as many:
        put_many(numbered(50, creator=owner))
    assert len(few.all) == len(many.all)


def test_long_arguments_make_a_batch_shorter(store, monkeypatch):
    monkeypatch.setattr(producer, "BATCH_CHARS", 1000)
    with statements() as kept:
        tasks = put_many(TaskSpec("known", ("x" * 600,)) for _ in range(6))
    assert len([sql for sql in kept.all if "INSERT" in sql]) == 3
    assert Task.objects.count() == len(tasks) == 6


def test_megabytes_of_arguments_are_stored(store):
    tasks = put_many((TaskSpec("known", (n, "x" * 300_000)) for n in range(20)), batch_size=20)
    assert Task.objects.get(pk=tasks[-1].pk).params()[0] == [19, "x" * 300_000]


def test_specs_are_taken_as_their_batches_are_sent(store):
    taken = []

    def specs() -> Iterator[TaskSpec]:
        for spec in numbered(10):
            taken.append(len([sql for sql in kept.all if "INSERT" in sql]))
            yield spec

    with statements() as kept:
        put_many(specs(), batch_size=4)
    assert max(taken[:5]) == 0
    assert taken[-1] == 2


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_size_that_cannot_work_is_refused(store, size):
    with pytest.raises(InvalidOptionError, match="batch_size"):
        put_many(numbered(2), batch_size=size)
    assert not Task.objects.exists()


# -- all or none ---------------------------------------------------------------------------------

BAD = [
    (TaskSpec("n" * 191), InvalidOptionError),
    (TaskSpec("known", queue=5), InvalidOptionTypeError),
    (TaskSpec("known", priority=2**31), InvalidOptionError),
    (TaskSpec("known", run_at="tomorrow"), InvalidOptionTypeError),
    (TaskSpec("known", creator=TextOwner(code=None)), InvalidOptionError),
    (TaskSpec("known", (object(),)), InvalidOptionTypeError),
]
IDS = ["name", "queue", "priority", "run_at", "creator", "args"]


@pytest.mark.parametrize("at", [0, 3, 9])
@pytest.mark.parametrize(("bad", "error"), BAD, ids=IDS)
def test_a_bad_item_is_named_and_nothing_is_stored(transactional_db, store, hears, bad, error, at):
    specs = numbered(10)
    specs[at] = bad
    with pytest.raises(error, match=rf"^item {at}: ") as caught:
        put_many(specs, batch_size=4)
    assert isinstance(caught.value, ValueError | TypeError)
    assert everything()[0] == []
    assert hears == []


@pytest.mark.parametrize("at", [0, 9])
def test_a_bad_item_does_not_harm_the_callers_transaction(store, at):
    specs = numbered(10)
    specs[at] = TaskSpec("known", queue=5)
    with transaction.atomic():
        with pytest.raises(InvalidOptionTypeError):
            put_many(specs, batch_size=4)
        Ledger.objects.create(key="the transaction goes on")
    assert Ledger.objects.exists()
    assert not Task.objects.exists()


def test_specs_that_break_off_store_nothing(transactional_db, store):
    def specs():
        yield from numbered(5)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        put_many(specs(), batch_size=2)
    assert not Task.objects.exists()


def test_a_batch_that_the_database_refuses_takes_the_others_along(
    transactional_db, store, monkeypatch
):
    uids = insert.new_uids(2)
    monkeypatch.setattr(insert, "new_uids", lambda count: uids)
    with pytest.raises(IntegrityError):
        put_many(numbered(4), batch_size=2)
    assert not Task.objects.exists()


def test_a_refused_batch_does_not_harm_the_callers_transaction(store, monkeypatch):
    uids = insert.new_uids(2)
    monkeypatch.setattr(insert, "new_uids", lambda count: uids)
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            put_many(numbered(4), batch_size=2)
        Ledger.objects.create(key="the transaction goes on")
    assert Ledger.objects.exists()
    assert not Task.objects.exists()


def test_enqueue_many_commits_or_rolls_back_with_the_caller(transactional_db, store):
    with transaction.atomic():
        put_many(numbered(5), batch_size=2)
        transaction.set_rollback(True)
    assert not Task.objects.exists()
    with transaction.atomic():
        put_many(numbered(5), batch_size=2)
    assert Task.objects.count() == 5


def test_copies_of_the_same_call_are_all_kept(store):
    put_many(TaskSpec("known") for _ in range(4))
    assert Task.objects.filter(task_hash=task_hash("known", encode((), {}))).count() == 4


# -- task_created --------------------------------------------------------------------------------


def test_task_created_is_sent_for_each_task_in_order_once_all_are_committed(
    transactional_db, store, hears
):
    seen = []
    receive = lambda sender, task, **kwargs: seen.append(  # noqa: E731
        (sender, task.pk, Task.objects.count(), connection.in_atomic_block)
    )
    task_created.connect(receive)
    try:
        tasks = put_many(numbered(5), batch_size=2)
    finally:
        task_created.disconnect(receive)
    assert hears == tasks
    assert seen == [(TaskSpec, task.pk, 5, False) for task in tasks]


def test_a_receiver_that_raises_does_so_in_the_caller_as_after_a_single_call(
    transactional_db, store
):
    def refuse(**kwargs):
        raise LookupError("not this one")

    task_created.connect(refuse)
    try:
        with pytest.raises(LookupError):
            enqueue(TaskSpec("known"), sender=TaskSpec)
        with pytest.raises(LookupError):
            put_many(numbered(3))
    finally:
        task_created.disconnect(refuse)
    assert Task.objects.count() == 4
