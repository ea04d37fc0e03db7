"""No single row, and no receiver, ends a worker or keeps the rows behind it from running."""

import pytest
from django.db import connection
from django.db.models.signals import post_delete, post_save, pre_delete

from background_task.backoff import LONGEST
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from background_task.worker.loop import SHORTEST_SLEEP_SECONDS
from tests.worker.running import Worker, work_off

pytestmark = pytest.mark.django_db(transaction=True)

LARGEST = 2**31 - 1


@pytest.mark.parametrize("attempts", [707, 800, 4000, LARGEST - 1, LARGEST])
def test_row_with_very_many_attempts_is_retried_like_any_other(attempts, registry, calls, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 10**10
    registry.background(name="bad")(lambda: 1 // 0)(priority=5)
    Task.objects.update(attempts=attempts)
    began = Task.objects.get().run_at
    calls.proxy("healthy")
    work_off()
    assert calls == ["healthy"]
    row = Task.objects.get()
    assert (row.attempts, row.locked_by, row.failed_at) == (min(attempts + 1, LARGEST), None, None)
    assert LONGEST <= row.run_at - began < 1.01 * LONGEST


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, RuntimeError])
@pytest.mark.parametrize(
    ("signal", "sender"),
    [(post_save, CompletedTask), (pre_delete, Task), (post_delete, Task)],
    ids=["post_save", "pre_delete", "post_delete"],
)
def test_receiver_of_model_signals_that_raises_anything_costs_only_the_signal(
    signal, sender, error, calls, threads
):
    def receive(**kwargs):
        raise error("from a receiver")

    for number in range(2):
        calls.proxy(number)
    signal.connect(receive, sender=sender)
    try:
        worker = work_off(threads=threads)
    finally:
        signal.disconnect(receive, sender=sender)
    assert sorted(calls) == [0, 1]
    assert not Task.objects.exists()
    assert list(CompletedTask.objects.values_list("attempts", "failed_at")) == [(1, None)] * 2
    assert worker.events.names.count("reduced") == 2


@pytest.mark.only_on("sqlite")
@pytest.mark.parametrize("garbage", ["0000-garbage", "", "9999-99-99"])
def test_time_that_cannot_be_read_hides_nothing_of_its_priority(garbage, registry, calls):
    registry.background(name="bad")(lambda: None)()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE background_task SET run_at = %s", [garbage])
    calls.proxy("healthy")
    worker = Worker(sleep=0.02)
    worker.run(until=lambda name, fields: bool(calls) or len(worker.events.all) > 200)
    assert calls == ["healthy"]


def test_worker_that_a_rival_keeps_from_a_due_row_waits_longer_each_time(calls, store):
    """A producer's open transaction may hold the lock of the row for an hour."""
    calls.proxy("held up")
    worker = Worker(sleep=0.1, store=store)
    real, store.claim = store.claim, lambda *args, **kwargs: []
    worker.loop.wakeup.longest_pause = lambda idle_seconds, sleep: sleep  # no jitter
    pauses = []

    def until(name, fields):
        if name == "idle":
            pauses.append(fields["seconds"])
            if len(pauses) == 6:
                store.claim = real
        return name == "success"

    worker.run(until=until)
    first = SHORTEST_SLEEP_SECONDS
    assert pauses[:6] == [first, 2 * first, 4 * first, 8 * first, 0.1, 0.1]
    assert calls == ["held up"]


@pytest.fixture
def store(transactional_db):
    return get_store()
