"""``proxy.bulk``: many calls of a task function, with the options of a call."""

from collections import UserDict
from datetime import datetime, timedelta, timezone

import pytest

from background_task.call import MOST_FORMS
from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.models import Task
from background_task.runner import DBTaskRunner
from background_task.schedule import TaskSchedule
from background_task.signals import task_created
from background_task.tasks import Tasks
from tests.app.models import TextOwner
from tests.store.rows import statements

pytestmark = pytest.mark.django_db
MOMENT = datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def greet(name, *, loud=False):
    return (name, loud)


def take_all(*args, **kwargs):
    return (args, kwargs)


def proxy_of(function=greet, **options):
    return Tasks().background(name="greet", **options)(function)


def stored():
    return list(Task.objects.order_by("pk").values_list("task_params", flat=True))


def values_of(task):
    values = Task.objects.filter(pk=task.pk).values().get()
    return {name: values[name] for name in values if name not in ("id", "uid", "enqueued_at")}


def test_bulk_stores_what_calls_store():
    proxy = proxy_of(schedule=MOMENT, queue="q")
    together = proxy.bulk([(("a",), {}), (["b"], {"loud": True}), ((), {"loud": 1, "name": "c"})])
    one_by_one = [proxy("a"), proxy("b", loud=True), proxy(loud=1, name="c")]
    assert [values_of(task) for task in together] == [values_of(task) for task in one_by_one]


@pytest.mark.parametrize(
    "options",
    [
        {"schedule": MOMENT},
        {"schedule": {"run_at": MOMENT, "priority": 3}},
        {"schedule": TaskSchedule(run_at=MOMENT), "priority": -3},
        {"queue": "other"},
        {"queue": None},
        {"verbose_name": "Greeting"},
        {"repeat": 60, "repeat_until": MOMENT},
        {"remove_existing_tasks": True},
    ],
    ids=str,
)
def test_options_apply_to_all_calls_as_they_do_to_one(options):
    proxy = proxy_of(schedule=MOMENT, queue="mine")
    together = [values_of(task) for task in proxy.bulk([(("a",), {}), (("b",), {})], **options)]
    one_by_one = [values_of(proxy(name, **options)) for name in "ab"]
    for values in together + one_by_one:
        del values["unique_key"]
    assert together == one_by_one


def test_the_creator_of_all_calls_is_remembered():
    owner = TextOwner.objects.create(code="x")
    proxy_of().bulk([(("a",), {}), (("b",), {})], creator=owner)
    assert Task.objects.created_by(owner).count() == 2


def test_delays_count_from_the_call_for_all_alike():
    tasks = proxy_of(schedule=60).bulk((("a",), {}) for _ in range(5))
    assert len({task.run_at for task in tasks}) == 1
    wait = tasks[0].run_at - tasks[0].enqueued_at
    assert abs(wait - timedelta(seconds=60)) < timedelta(seconds=30)


def test_the_decorators_action_is_honoured():
    proxy = proxy_of(schedule={"action": TaskSchedule.CHECK_EXISTING})
    assert len(proxy.bulk([(("a",), {}), (("a",), {}), (("b",), {})])) == 2
    assert proxy.bulk([(("a",), {})]) == []
    proxy = proxy_of(remove_existing_tasks=True)
    assert len(proxy.bulk([(("a",), {}), (("a",), {})])) == 2
    assert len(stored()) == 2


@pytest.mark.parametrize("calls", [[], (), iter(()), {}.items()], ids=repr)
def test_no_calls_store_nothing(calls):
    with statements() as kept:
        assert proxy_of().bulk(calls) == []
    assert kept.all == []


def test_any_iterable_of_any_pairs_will_do():
    pairs = [(("a",), UserDict(loud=True)), [["b"], {}]]
    assert len(proxy_of().bulk(iter(pairs))) == 2
    assert stored() == ['[["a"], {"loud": true}]', '[["b"], {}]']


def test_an_item_that_is_changed_after_it_was_taken_is_stored_as_it_was():
    args, kwargs = ["a"], {}

    def calls():
        yield args, kwargs
        args[0] = kwargs["loud"] = "changed"
        yield args, kwargs

    proxy_of().bulk(calls())
    assert stored() == ['[["a"], {}]', '[["changed"], {"loud": "changed"}]']


@pytest.mark.parametrize(
    "item",
    [
        7, None, "ab", b"ab", (), (1,), ("ab", {}), (("a",), {}, {}), (("a",), [("loud", 1)]),
        ({"name": "a"}, ()), {"name": "a"}, (7, {}), ({"a"}, {}), (iter("a"), {}),
    ],
    ids=repr,
)  # fmt: skip
def test_an_item_that_is_no_call_is_named(item):
    with pytest.raises(InvalidOptionTypeError, match=r"^item 1: .*is not \(args, kwargs\)"):
        proxy_of().bulk([(("a",), {}), item])
    assert stored() == []


@pytest.mark.parametrize("calls", [7, None, "abc", {"a": 1}, greet], ids=repr)
def test_what_holds_no_calls_is_refused(calls):
    with pytest.raises(InvalidOptionTypeError, match="holds no calls; give an iterable"):
        proxy_of().bulk(calls)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((), {}), (("a", "b"), {}), (("a",), {"scheduel": 5}), (("a",), {"name": "b"}), ((), {1: 2})],
    ids=repr,
)
def test_an_item_that_does_not_fit_the_function_is_named(args, kwargs):
    proxy = proxy_of()
    with pytest.raises(TypeError, match=r"^item 2: greet cannot be called so.*\(name, \*, loud="):
        proxy.bulk([(("a",), {}), (("a",), {"loud": 1}), (args, kwargs)])
    assert stored() == []


def test_arguments_that_cannot_be_stored_are_named():
    with pytest.raises(InvalidOptionTypeError, match=r"^item 1: the arguments .* cannot be stored"):
        proxy_of().bulk([(("a",), {}), ((object(),), {})])
    assert stored() == []


@pytest.mark.parametrize("function", [greet, take_all])
def test_an_option_in_an_item_is_refused(function):
    """Some functions take any keyword: there it would go unnoticed."""
    with pytest.raises(InvalidOptionTypeError, match=r"^item 1: schedule, queue cannot differ"):
        proxy_of(function).bulk([(("a",), {}), (("a",), {"queue": "q", "schedule": 5})])
    assert stored() == []


def test_an_unknown_option_is_refused():
    with pytest.raises(InvalidOptionTypeError, match=r"^bulk has no option loud; it takes sched"):
        proxy_of().bulk([(("a",), {})], loud=True)
    assert stored() == []


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ({"priority": "high"}, InvalidOptionTypeError),
        ({"queue": "q" * 191}, InvalidOptionError),
        ({"schedule": "tomorrow"}, InvalidOptionTypeError),
        ({"creator": TextOwner(code=None)}, InvalidOptionError),
    ],
    ids=["priority", "queue", "schedule", "creator"],
)
def test_a_wrong_option_is_refused_before_the_first_item_is_taken(option, error):
    calls = iter([(("a",), {})])
    with pytest.raises(error, match=r"^(?!item)"):
        proxy_of().bulk(calls, **option)
    assert next(calls) == (("a",), {})


def test_task_created_is_sent_as_for_calls():
    senders = []
    receive = lambda sender, **kwargs: senders.append(sender)  # noqa: E731
    task_created.connect(receive)
    try:
        proxy = proxy_of()
        proxy("a")
        proxy.bulk([(("a",), {}), (("b",), {})])
    finally:
        task_created.disconnect(receive)
    assert senders == [DBTaskRunner] * 3


def test_a_function_of_many_forms_takes_them_all():
    proxy = proxy_of(take_all)
    count = MOST_FORMS + 20
    assert len(proxy.bulk(((), {f"k{n}": n}) for n in range(count))) == count
    assert proxy("a", anything=1) is not None


def test_a_form_once_accepted_does_not_let_another_through():
    proxy = proxy_of()
    assert proxy("a", loud=True)
    for args, kwargs in [(("a", "b"), {}), ((), {"loud": True}), (("a",), {"lout": True})]:
        with pytest.raises(InvalidOptionTypeError, match="cannot be called so"):
            proxy(*args, **kwargs)
    assert len(stored()) == 1
