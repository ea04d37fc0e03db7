"""A worker of several queues with weights."""

import pytest

from background_task import pause
from background_task.models import Worker as Row
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.worker.running import Worker, with_experience, work_off

pytestmark = pytest.mark.django_db(transaction=True)

SHARED = {"queues": ("a", "b"), "weights": {"a": 3, "b": 1}}


def fill(**counts):
    for queue, count in counts.items():
        for number in range(count):
            record(queue, queue=queue, priority=number % 2 + (5 if queue == "b" else 0))


def runs():
    """The queues of the tasks in the order in which they were run."""
    return "".join(Ledger.objects.order_by("pk").values_list("key", flat=True))


@pytest.mark.parametrize("is_ahead", [False, True], ids=["one by one", "ahead"])
def test_two_backlogs_are_run_in_the_ratio_of_their_weights(is_ahead):
    fill(a=30, b=30)
    worker = Worker(**SHARED)
    if is_ahead:
        with_experience(worker)
    worker.run()
    assert runs() == "abaa" * 10 + "b" * 20
    assert Row.objects.get().queues == "a:3, b:1"


def test_empty_queue_leaves_all_to_the_other():
    fill(b=12)
    record("other", queue="c")
    assert work_off(**SHARED).summary.succeeded == 12
    assert runs() == "b" * 12


def test_paused_queue_leaves_all_to_the_other():
    fill(a=5, b=7)
    pause(queue="a")
    work_off(**SHARED)
    assert runs() == "b" * 7


def test_threads_and_coroutines_have_the_same_shares():
    fill(a=30, b=30)
    work_off(**SHARED, threads=1, concurrency=2)
    first = runs()[:20]
    assert 12 <= first.count("a") <= 18
    assert len(runs()) == 60


def test_without_weights_priorities_decide():
    fill(a=5, b=5)
    work_off(queues=("a", "b"))
    assert runs() == "b" * 5 + "a" * 5
