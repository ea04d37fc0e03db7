"""The rows that are added many at once are those that would be added one by one."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from django.db.models.signals import post_init, pre_init

from background_task.models import Task
from background_task.payload import encode
from background_task.producer import TaskSpec, enqueue, enqueue_many
from background_task.store import insert
from tests.app.models import TextOwner, UUIDOwner
from tests.store.rows import NAMES, row, statements

MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=ZoneInfo("Europe/Berlin"))
#: What no two rows share, however they were added.
OWN = ("id", "uid", "enqueued_at")


def put_many(specs, **options):
    return enqueue_many(specs, sender=TaskSpec, **options)


def numbered(count, **options):
    return [TaskSpec("known", (number,), **options) for number in range(count)]


def common(task):
    values = row(task.pk)
    return {name: values[name] for name in values if name not in OWN}


OPTIONS = [
    {},
    {"run_at": MOMENT},
    {"run_at": MOMENT, "priority": -7},
    {"run_at": "2030-01-02T03:04:05Z", "queue": "q 🦆"},
    {"run_at": MOMENT, "verbose_name": "Büro"},
    {"run_at": MOMENT, "verbose_name": ""},
    {"run_at": MOMENT, "verbose_name": "null"},
    {"run_at": MOMENT, "repeat": 60, "repeat_until": MOMENT + timedelta(days=1)},
    {"run_at": MOMENT, "repeat": "60", "priority": True},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_rows_added_at_once_are_as_if_added_one_by_one(store, options):
    specs = [TaskSpec("known", (n, "é"), {"b": None, "a": [n]}, **options) for n in range(3)]
    together = [common(task) for task in put_many(specs)]
    one_by_one = [common(enqueue(spec, sender=TaskSpec)) for spec in specs]
    if "run_at" not in options:
        assert {values.pop("run_at") <= store.now() for values in together + one_by_one} == {True}
    assert together == one_by_one


def test_calls_that_differ_in_everything_are_stored_as_they_are(store):
    owners = [TextOwner.objects.create(code="x"), UUIDOwner.objects.create(), None]
    specs = [
        TaskSpec(f"name {n}", (n,), creator=owners[n % 3], **{"queue": f"q{n % 2}", **options})
        for n, options in enumerate(OPTIONS[1:])
    ]
    together = [common(task) for task in put_many(specs)]
    one_by_one = [common(enqueue(spec, sender=TaskSpec)) for spec in specs]
    assert together == one_by_one


def test_tasks_are_returned_as_saved(store):
    tasks = put_many(numbered(5, creator=TextOwner.objects.create(code="x")))
    for task in tasks:
        assert vars(task).keys() == vars(Task.objects.get(pk=task.pk)).keys()
        for field in Task._meta.concrete_fields:
            assert getattr(task, field.attname) == row(task.pk)[field.attname]
        assert (task._state.adding, task._state.db) == (False, "default")
    with statements() as kept:
        assert {task.creator.code for task in tasks} == {"x"}
    assert kept.all == []
    tasks[1].priority = 8
    tasks[1].save()
    assert list(Task.objects.order_by("pk").values_list("priority", flat=True)) == [0, 8, 0, 0, 0]


def test_tasks_do_not_share_what_is_theirs(store):
    first, second = put_many(numbered(2, creator=TextOwner.objects.create(code="x")))
    first.creator = None
    assert second.creator.code == "x"


def test_keys_and_uids_grow_in_the_order_of_the_calls(store):
    tasks = put_many(numbered(25), batch_size=10)
    assert [task.params()[0] for task in tasks] == [[number] for number in range(25)]
    assert [task.pk for task in tasks] == sorted({task.pk for task in tasks})
    for start in (0, 10, 20):
        uids = [task.uid for task in tasks[start : start + 10]]
        assert uids == sorted(uids)
    assert len({task.uid for task in tasks}) == 25
    assert {(task.uid.version, task.uid.variant) for task in tasks} == {
        (7, "specified in RFC 4122")
    }


def test_rows_are_claimed_in_the_order_of_the_calls(store):
    tasks = put_many(numbered(12), batch_size=5)
    claims = [claim for _ in range(3) for claim in store.claim("w", NAMES, limit=4)]
    assert [claim.task_id for claim in claims] == [task.pk for task in tasks]
    assert {claim.uid for claim in claims} == {task.uid for task in tasks}


@pytest.mark.parametrize(
    "text", ["nul \0", "half \ud800", "🦆", "'; DROP TABLE", "%s %%", '\\" \\\\ {} [', "\x1f\n\t"]
)
def test_arguments_of_any_text_round_trip(store, text):
    tasks = put_many(TaskSpec("known", (number, text)) for number in range(2))
    claims = store.claim("w", NAMES, limit=2)
    assert [claim.task_params for claim in claims] == [task.task_params for task in tasks]
    assert Task.objects.get(pk=tasks[1].pk).params() == ([1, text], {})


@pytest.mark.parametrize("text", ["🦆", "'; DROP", "%s %%", '\\" \\\\ {}', "\x1f\n", "null", ""])
def test_names_of_any_text_round_trip_whether_alike_or_not(store, text):
    one = {"queue": text, "verbose_name": text}
    put_many(numbered(2, **one))
    put_many([TaskSpec("known", **one), TaskSpec("known", queue=text + "2", verbose_name=None)])
    assert list(Task.objects.order_by("pk").values_list("queue", "verbose_name")) == [
        (text, text), (text, text), (text, text), (text + "2", None),
    ]  # fmt: skip


def test_times_that_only_the_fold_tells_apart_stay_apart(store):
    early = datetime(2030, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    late = early.replace(fold=1)
    assert early == late
    put_many([TaskSpec("known", run_at=early), TaskSpec("known", run_at=late)])
    first, second = Task.objects.order_by("pk").values_list("run_at", flat=True)
    assert second - first == timedelta(hours=1)


@pytest.mark.only_on("postgresql", "mariadb")
def test_a_name_too_long_for_its_column_is_refused_rather_than_shortened(store):
    tasks = [Task(task_name="n" * 191, task_params=str(n), run_at=store.now()) for n in range(2)]
    with pytest.raises(Exception, match=r"(?i)too long"), transaction.atomic():
        store.add_many(tasks)
    assert not Task.objects.exists()


def test_add_many_of_none_does_nothing(store):
    with statements() as kept:
        store.add_many([])
        assert put_many([]) == []
    assert kept.all == []


def test_values_that_the_database_computes_take_the_plain_road(store):
    tasks = [
        Task(task_name="known", task_params=encode((n,), {}), task_hash=str(n), run_at=Now())
        for n in range(3)
    ]
    store.add_many(tasks)
    assert [row(task.pk)["task_hash"] for task in tasks] == ["0", "1", "2"]
    assert len(store.claim("w", NAMES, limit=5)) == 3


def test_the_plain_road_stores_the_same(store, monkeypatch):
    specs = numbered(3, run_at=MOMENT)
    quick = [common(task) for task in put_many(specs)]
    monkeypatch.setattr(insert, "_has_expression", lambda column: True)
    plain = put_many(specs)
    assert [common(task) for task in plain] == quick
    assert [task.params()[0] for task in Task.objects.order_by("pk")[3:]] == [[0], [1], [2]]
    assert [row(task.pk)["uid"] for task in plain] == [task.uid for task in plain]


@pytest.mark.parametrize("field", Task._meta.concrete_fields, ids=lambda field: field.name)
def test_no_column_computes_its_value_while_saving(field):
    """Many rows are inserted without asking ``pre_save``; a field that needs it must be asked."""
    task = Task(task_name="known", run_at=MOMENT, priority=5, claim_number=7)
    assert field.pre_save(task, add=True) is getattr(task, field.attname)
    assert not getattr(field, "generated", False)


def test_listeners_to_the_making_of_instances_are_told(store):
    told = []
    before = lambda **kwargs: told.append("pre_init")  # noqa: E731
    after = lambda instance, **kwargs: told.append(instance.task_params)  # noqa: E731
    pre_init.connect(before, sender=Task)
    post_init.connect(after, sender=Task)
    try:
        put_many(numbered(3))
    finally:
        pre_init.disconnect(before, sender=Task)
        post_init.disconnect(after, sender=Task)
    assert told == ["pre_init", "[[0], {}]", "pre_init", "[[1], {}]", "pre_init", "[[2], {}]"]


@pytest.mark.only_on("mariadb")
def test_keys_with_gaps_between_them_are_found(transactional_db, store):
    """As in a cluster, where each server leaves room for the others."""
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION auto_increment_increment = 3")
    try:
        tasks = put_many(numbered(7), batch_size=3)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION auto_increment_increment = 1")
    stored = dict(Task.objects.values_list("pk", "task_params"))
    assert {task.pk: task.task_params for task in tasks} == stored
