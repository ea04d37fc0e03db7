"""What tests say of the queue."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from background_task.exceptions import InvalidOptionTypeError
from background_task.models import Task
from background_task.testing import (
    ANY,
    assert_enqueued,
    assert_enqueues,
    assert_enqueues_nothing,
    assert_not_enqueued,
    eager,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(registry):
    @registry.background(name="shop.send")
    def send(*args, **kwargs):
        """Do nothing."""

    return send


def test_assert_enqueued_finds_what_is_like_it(send):
    task = send(1, "two", three=[3], queue="mail", schedule=60)

    for function in (None, send, "shop.send", send.using(priority=3)):
        assert assert_enqueued(function) == [task]
    assert_enqueued(send, args=(1, "two"))
    assert_enqueued(send, kwargs={"three": (3,)})
    assert_enqueued(send, args=[1, "two"], kwargs={"three": [3]}, queue="mail", count=1)
    assert_enqueued(queue=ANY, run_at=timedelta(seconds=60))
    assert_enqueued(run_at=task.run_at)
    assert_enqueued(run_at=timezone.now(), within=3600)


@pytest.mark.parametrize(
    "details",
    [
        {"args": [1]},
        {"args": []},
        {"args": [1, "two", 3]},
        {"kwargs": {}},
        {"kwargs": {"three": [4]}},
        {"queue": None},
        {"queue": "other"},
        {"run_at": timedelta(0)},
        {"run_at": timedelta(seconds=60), "within": 0},
        {"count": 0},
        {"count": 2},
    ],
)
def test_assert_enqueued_refuses_what_is_different(send, details):
    send(1, "two", three=[3], queue="mail", schedule=60)

    with pytest.raises(AssertionError):
        assert_enqueued(send, **details)
    details.pop("count", None)
    if details:
        assert_not_enqueued(send, **details)


def test_assert_enqueued_shows_what_is_there(send):
    task = send(1, name="x", queue="mail")

    with pytest.raises(AssertionError) as raised:
        assert_enqueued("shop.bill", args=[2], queue=None)

    assert str(raised.value).splitlines() == [
        "shop.bill with args=[2], queue=None: 0 in the queue, not at least 1.",
        "What is in the queue:",
        f"  1. shop.send(1, name='x') queue='mail', priority=0, due at {task.run_at}",
    ]


def test_assert_enqueued_shows_an_empty_queue_and_a_long_one(send):
    with pytest.raises(AssertionError, match="in the queue:\n  nothing"):
        assert_enqueued()
    send.bulk([((number,), {}) for number in range(23)])
    with pytest.raises(AssertionError, match=r"  20\. .*\n  \.\.\. and 3 more"):
        assert_enqueued(count=1)


def test_assert_enqueued_compares_model_instances(send):
    users = [User.objects.create(username=name) for name in "ab"]
    send(users[0])
    assert_enqueued(send, args=[users[0]])
    with pytest.raises(AssertionError, match=r"1\. shop\.send\(<auth\.user"):
        assert_enqueued(send, args=[users[1]])


def test_assert_enqueued_passes_over_arguments_that_cannot_be_read(send):
    Task.objects.filter(pk=send().pk).update(task_params="{")
    with pytest.raises(AssertionError, match="unreadable arguments"):
        assert_enqueued(send, args=[])


def test_assert_not_enqueued_says_what_is_there(send):
    assert_not_enqueued()
    send()
    with pytest.raises(AssertionError, match=r"shop\.send: 1 in the queue, not 0"):
        assert_not_enqueued(send)
    assert_not_enqueued("shop.other")


def test_assert_enqueued_does_not_count_what_runs_or_has_failed(send):
    send().lock("somebody")
    Task.objects.filter(pk=send().pk).update(failed_at=timezone.now())
    assert_not_enqueued()


def test_assert_enqueued_with_a_detail_that_there_is_not_is_refused(send):
    with pytest.raises(InvalidOptionTypeError, match="nothing is known of quue"):
        assert_enqueued(send, quue="mail")
    with pytest.raises(
        InvalidOptionTypeError, match="is no task function; give what @background or @task"
    ):
        assert_enqueued(len)


def test_assert_enqueues_counts_what_the_block_queues(send):
    send("before")
    with assert_enqueues(send, count=2) as found:
        assert found == []
        send(1)
        send.bulk([((2,), {})])
    assert [task.params()[0] for task in found] == [[1], [2]]


def test_assert_enqueues_refuses_what_is_not_there(send):
    send("before")
    something = assert_enqueues(send)
    nothing_there = pytest.raises(AssertionError, match="0 queued in this block, not at least 1")
    with nothing_there, something, transaction.atomic():
        send("rolled back")
        transaction.set_rollback(True)


def test_assert_enqueues_raises_what_the_block_raises(send):
    with pytest.raises(LookupError), assert_enqueues(send):
        raise LookupError


def test_assert_enqueues_finds_what_has_run_since(send):
    with assert_enqueues(send, args=[7], queue="mail"), eager():
        send(7, queue="mail")
    # When it was due is not known any more.
    late = assert_enqueues(send, run_at=timedelta(0))
    with pytest.raises(AssertionError, match="ended at"), late, eager():
        send()


def test_assert_enqueues_nothing_counts_only_the_block(send):
    send("before")
    with assert_enqueues_nothing():
        assert_enqueued(send)
    with assert_enqueues_nothing("shop.other"):
        send()
    nothing = assert_enqueues_nothing(send, args=[1])
    with pytest.raises(AssertionError, match="1 queued in this block, not 0"), nothing:
        send(1)
