"""A confirmation that never arrives loses nothing and doubles nothing (I12)."""

import threading

import pytest
from django.db import OperationalError

from background_task.models import CompletedTask, Task, Worker as WorkerRow
from background_task.signals import task_finished, task_rescheduled, task_successful
from background_task.store import get_store
from tests.waiting import wait_until
from tests.worker.faults import Refused, ReplyLost
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)

DEADLOCK = "deadlock detected"
LOCKED = "database is locked"


@pytest.fixture
def sent():
    """The names of the worker's signals, as they come."""
    names = []
    signals = {
        "successful": task_successful,
        "rescheduled": task_rescheduled,
        "finished": task_finished,
    }
    receivers = []
    for name, signal in signals.items():

        def receive(name=name, **kwargs):
            names.append(name)

        signal.connect(receive)
        receivers.append((signal, receive))
    yield names
    for signal, receive in receivers:
        signal.disconnect(receive)


@pytest.fixture(params=["together", "alone"])
def finish_fault(request):
    """``finish_fault(store)``: the reply is lost of a group of finishes, or of a single one."""

    def make(store):
        if request.param == "together":
            return ReplyLost(store, "finish_many")
        Refused(store, "finish_many")
        return ReplyLost(store, "finish")

    return make


def test_claim_whose_reply_is_lost_is_adopted_and_run_once(calls, threads):
    calls.proxy(1)
    calls.proxy(2)
    store = get_store()
    fault = ReplyLost(store, "claim")
    worker = Worker(store=store, threads=threads)
    worker.run()
    assert fault.left == 0
    assert worker.events.names.count("adopt") == 1
    assert sorted(calls) == [1, 2]
    assert list(CompletedTask.objects.values_list("attempts", flat=True)) == [1, 1]
    assert not Task.objects.exists()


def test_registration_whose_reply_is_lost_is_not_tried_for_ever(calls):
    calls.proxy(1)
    worker = Worker()
    fault = ReplyLost(worker.loop.identity.fleet, "register")
    worker.run()
    assert fault.left == 0
    assert calls == [1]
    assert WorkerRow.objects.get().stopped_at is not None


def test_claim_whose_reply_is_lost_is_released_when_the_worker_stops_first(calls):
    calls.proxy(1)
    store = get_store()
    ReplyLost(store, "claim")
    worker = Worker(store=store)
    real, worker.loop._outage = worker.loop._outage, lambda error: (worker.stop(), real(error))
    worker.run()
    row = Task.objects.get()
    assert (row.locked_by, row.attempts, list(calls)) == (None, 0, [])


def test_finish_of_success_whose_reply_is_lost_is_recorded_once(calls, threads, sent, finish_fault):
    calls.proxy(1, repeat=3600)
    store = get_store()
    fault = finish_fault(store)
    worker = Worker(store=store, threads=threads)
    worker.run()
    assert fault.left == 0
    assert calls == [1]
    assert CompletedTask.objects.get().attempts == 1
    assert Task.objects.get().attempts == 0  # the repetition, once
    assert worker.events.names.count("success") == 1
    assert not {"late", "reduced"} & set(worker.events.names)
    assert sent == ["successful", "finished"]


def test_finish_of_failure_whose_reply_is_lost_counts_one_attempt(
    registry, threads, sent, finish_fault
):
    @registry.background(name="raising")
    def fail():
        raise ValueError("on purpose")

    fail()
    store = get_store()
    fault = finish_fault(store)
    worker = Worker(store=store, threads=threads)
    worker.run()
    assert fault.left == 0
    row = Task.objects.get()
    assert (row.attempts, row.locked_by) == (1, None)
    assert "on purpose" in row.last_error
    assert worker.events.names.count("retry") == 1
    assert sent == ["rescheduled", "finished"]


def test_finish_of_last_failure_whose_reply_is_lost_is_archived_once(
    registry, settings, finish_fault
):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = 1

    @registry.background(name="raising")
    def fail():
        raise ValueError("on purpose")

    fail()
    store = get_store()
    finish_fault(store)
    worker = Worker(store=store)
    worker.run()
    assert CompletedTask.objects.get().failed_at is not None
    assert not Task.objects.exists()
    assert worker.events.names.count("failure") == 1


@pytest.mark.parametrize("message", [DEADLOCK, LOCKED])
@pytest.mark.parametrize("verb", ["claim", "finish_many", "finish", "look", "held_by"])
def test_verb_that_meets_a_rival_lock_is_tried_again_in_silence(calls, verb, message, threads):
    calls.proxy(1)
    store = get_store()
    if verb == "finish":  # used alone where a group cannot be recorded
        Refused(store, "finish_many", OperationalError(message))
    fault = Refused(store, verb, OperationalError(message))
    worker = Worker(store=store, threads=threads)
    worker.run()
    assert fault.left == 0
    assert calls == [1]
    assert CompletedTask.objects.get().attempts == 1
    assert not {"outage", "reduced", "late"} & set(worker.events.names)


def test_claim_that_ends_while_lost_ones_are_looked_for_is_not_run_again(registry):
    """The loop asks the database and its own threads; a task may end between the two answers."""
    runs, go_on = [], threading.Event()

    @registry.background(name="once")
    def once():
        runs.append(1)
        assert go_on.wait(20)

    once()
    store = get_store()
    worker = Worker(store=store, threads=2, sleep=0.05)
    held_by = store.held_by

    def answer_then_let_the_task_end(owner):
        held = held_by(owner)
        if held and not go_on.is_set():
            go_on.set()
            wait_until(lambda: worker.loop.executor.load() == 0)
        return held

    # Nothing was lost with this refusal, but the loop cannot know.
    Refused(store, "claim", only_if=lambda *args: runs)
    store.held_by = answer_then_let_the_task_end
    worker.run(until=lambda name, fields: name == "idle" and go_on.is_set())
    assert runs == [1]
    assert "adopt" not in worker.events.names
    assert CompletedTask.objects.count() == 1
