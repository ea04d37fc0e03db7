"""The parts of a supervisor, each by itself: what is said, heard, decided and buried."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from django.db import OperationalError

from background_task import telemetry
from background_task.models import Task, Worker
from background_task.store import get_store
from background_task.worker import Control, burial
from background_task.worker.burial import Burial, Death, lay_to_rest
from background_task.worker.child import SILENCE_SECONDS, Child
from background_task.worker.limit import GRACE_SECONDS, Limits, Run
from background_task.worker.parent import Parent
from background_task.worker.supervisor import (
    LONGEST_PAUSE_SECONDS,
    SHORT_LIFE_SECONDS,
    Place,
    Supervisor,
    pause_after,
)
from tests.claims import a_claim
from tests.store.rows import add, row, worker
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="descriptors are passed otherwise")


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def said(reader):
    os.set_blocking(reader, False)
    return os.read(reader, 1_000_000).decode().splitlines()


@pytest.fixture
def child():
    """A process that ends when its standard input does."""
    child = Child([sys.executable, "-c", "input()"], number=1)
    yield child
    child.process.kill()
    child.process.wait()
    child.close()


# -- what the worker says -------------------------------------------------------------------------


def test_report_runs_names_them_with_their_limits(pipe):
    limits = Limits()
    limits.witness = Parent(1, orders=-1, reports=pipe[1])
    run = Run(limits, a_claim(task_id=7), 10)
    run.call(lambda: limits.enforce())
    assert said(pipe[0]) == [f"B 7 1 {run.begun} 10", "T", "E 7 1"]
    limits.enforce()
    with pytest.raises(BlockingIOError):
        said(pipe[0])  # nothing runs: nothing to say


def test_report_into_a_full_pipe_does_not_wait_and_is_made_good_later(pipe):
    """A parent that stands still holds nobody up."""
    limits = Limits()
    limits.witness = Parent(1, orders=-1, reports=pipe[1])
    os.set_blocking(pipe[1], False)
    with suppress(BlockingIOError):
        while os.write(pipe[1], b"\n" * 4096):
            pass
    with pytest.raises(BlockingIOError):
        os.write(pipe[1], b"\n")
    run = Run(limits, a_claim(task_id=7), 10)

    def later():
        said(pipe[0])
        limits.enforce()

    run.call(later)
    assert said(pipe[0]) == ["T", "C", f"B 7 1 {run.begun} 10", "E 7 1"]


def test_report_to_a_parent_that_is_gone_is_no_error(pipe):
    reader, writer = os.pipe()
    os.close(reader)
    Parent(1, orders=-1, reports=writer).introduce("name")
    os.close(writer)


def test_obey_orders_from_the_parent(pipe):
    reader, writer = os.pipe()
    control = Control()
    Parent(1, orders=reader, reports=pipe[1]).obey(control)
    os.write(writer, b"wake\npause 0.5 1.5\n")
    wait_until(lambda: control.pause_range == (0.5, 1.5))
    assert not control.is_stopping
    os.write(writer, b"stop 25.0 the duration is over\n")
    wait_until(lambda: control.is_stopping)
    assert control.reason == "the duration is over"
    assert 20 < control.remaining() <= 25
    assert not control.is_at_once
    os.write(writer, b"now\n")
    wait_until(lambda: control.is_at_once)
    os.close(writer)
    control.polling.close()


def test_stop_order_beside_a_signal_does_not_count_as_the_second(pipe):
    control = Control()
    control.stop("SIGTERM", within=25)
    reader, writer = os.pipe()
    Parent(1, orders=reader, reports=pipe[1]).obey(control)
    os.write(writer, b"stop 25.0 SIGTERM\npause 0.5 1.5\n")
    wait_until(lambda: control.pause_range == (0.5, 1.5))
    os.close(writer)
    assert not control.is_at_once
    control.polling.close()


# -- what the parent hears ------------------------------------------------------------------------


def test_child_that_says_nothing_of_runs_is_never_overdue(child):
    child.hear("N host:1:token")
    child.heard_at -= 1000
    assert child.names == ["host:1:token"]
    assert not child.is_overdue()


def test_child_that_speaks_past_a_limit_ends_the_run_itself(child):
    child.hear(f"B 7 1 {time.monotonic() - 10 - GRACE_SECONDS - 1} 10")
    assert not child.is_overdue()
    assert list(child.timed_out()) == [(7, 1)]


def test_child_that_is_silent_past_a_limit_is_overdue(child):
    child.hear(f"B 7 1 {time.monotonic() - 10 - GRACE_SECONDS - 1} 10")
    child.heard_at -= SILENCE_SECONDS + 1
    assert child.is_overdue()
    child.hear("E 7 1")
    child.heard_at -= SILENCE_SECONDS + 1
    assert not child.is_overdue()
    assert child.timed_out() == {}


def test_child_that_asks_for_it_is_overdue(child):
    child.hear(f"B 7 1 {time.monotonic() - 20} 10")
    child.hear("K 7 1")
    assert child.is_overdue()
    child.hear("C")
    assert not child.is_overdue(), "the run has ended after all"


def test_parent_and_child_rivals_a_parent_that_stood_still_reads_before_it_kills(child):
    """After SIGSTOP and SIGCONT everything looks silent until the pipe is read."""
    supervisor = Supervisor([], processes=1, store=get_store(), registry={}, control=Control())
    (place,) = supervisor._places
    place.child = child
    child.hear(f"B 7 1 {time.monotonic() - 10 - GRACE_SECONDS - 1} 10")
    child.heard_at -= 60
    supervisor._looked_at -= 60
    supervisor._look_after_all()
    assert child.returncode() is None
    wait_until(lambda: supervisor._look_after_all() or child.returncode() is not None)
    assert child.returncode() != 0
    supervisor.control.polling.close()


# -- when to start another ------------------------------------------------------------------------


def test_pause_grows_with_each_short_life():
    assert [pause_after(count) for count in (1, 2, 3, 4, 5)] == [0, 1, 2, 4, 8]
    assert pause_after(100) == LONGEST_PAUSE_SECONDS


def test_place_of_a_long_life_is_filled_at_once(child):
    place = Place(1)
    assert [place.vacate(child) for _ in range(3)] == [0, 1, 2]
    child.started_at -= SHORT_LIFE_SECONDS + 1
    assert place.vacate(child) == 0
    child.started_at = time.monotonic()
    assert place.vacate(child) == 0, "it is the first again"


def test_place_of_a_recycled_process_is_filled_at_once(child):
    place = Place(1)
    child.hear("R")
    assert [place.vacate(child) for _ in range(3)] == [0, 0, 0]


def test_process_that_cannot_be_started_is_tried_again(monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError("no process left")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    supervisor = Supervisor([], processes=1, store=get_store(), registry={}, control=Control())
    seen = []
    with telemetry.subscribed(lambda name, fields: seen.append(name)):
        supervisor._look_after_all()
        supervisor._look_after_all()
    assert seen == ["child_missing"]
    assert supervisor._places[0].start_at > time.monotonic()
    supervisor.control.polling.close()


# -- what a dead one leaves -----------------------------------------------------------------------


@pytest.fixture
def store(db):
    return get_store()


def claimed(store, count):
    worker("dead", now=store.now())
    return [store.claim_one(add(store).pk, "dead") for _ in range(count)]


@pytest.mark.django_db(transaction=True)
def test_bury_gives_each_row_its_due(store):
    timed_out, running, waiting = claimed(store, 3)
    key = {claim: (claim.task_id, claim.number) for claim in (timed_out, running)}
    begun = frozenset(key.values())
    lay_to_rest(store, Death(["dead"], {key[timed_out]: (17.0, 10.0)}, begun), registry={})
    rows = [Task.objects.get(pk=claim.task_id) for claim in (timed_out, running, waiting)]
    assert [row.attempts for row in rows] == [1, 1, 0]
    assert [row.locked_by for row in rows] == [None] * 3
    assert "was ended after 17.0 s; BACKGROUND_TASK_TIMEOUT_SECONDS is 10" in rows[0].last_error
    assert "attempt 1 was lost" in rows[1].last_error
    assert rows[2].last_error == ""
    # What kills its worker must not kill the next one as soon as that is started.
    assert min(rows[0].run_at, rows[1].run_at) > store.now() >= rows[2].run_at
    assert Worker.objects.get().stopped_at is not None


@pytest.mark.django_db(transaction=True)
def test_bury_more_than_a_hundred_rows_leaves_none(store):
    claimed(store, 120)
    lay_to_rest(store, Death(["dead"]), registry={})
    assert not Task.objects.filter(locked_by="dead").exists()
    assert Task.objects.filter(attempts=1).count() == 120


@pytest.mark.django_db(transaction=True)
def test_timeout_and_finish_rivals_a_recorded_outcome_stays(store):
    """The task returned, and its worker was killed before it could say so."""
    (claim,) = claimed(store, 1)
    store.release([claim])
    before = row(claim.task_id)
    death = Death(["dead"], {(claim.task_id, claim.number): (17.0, 10.0)}, frozenset())
    lay_to_rest(store, death, registry={})
    assert row(claim.task_id) == before


def test_bury_while_the_database_is_away_waits_for_it(monkeypatch):
    tries, done = [], threading.Event()

    def fail_twice(store, death, *, registry):
        tries.append(death)
        if len(tries) < 3:
            raise OperationalError("gone")

    monkeypatch.setattr(burial, "lay_to_rest", fail_twice)
    thread = Burial(get_store(), registry={}, afterwards=done.set)
    thread.start()
    thread.bury(Death(["dead"]))
    assert done.wait(30)
    assert thread.end(within=30)
    assert len(tries) == 3


def test_end_the_burial_while_the_database_is_away_gives_up(monkeypatch):
    tried = threading.Event()

    def fail(store, death, *, registry):
        tried.set()
        raise OperationalError("gone")

    monkeypatch.setattr(burial, "lay_to_rest", fail)
    thread = Burial(get_store(), registry={}, afterwards=tried.set)
    thread.start()
    thread.bury(Death(["dead"]))
    assert tried.wait(30)
    give_up = thread._is_last_try.set

    def give_up_and_be_gone():
        give_up()
        thread.join(timeout=30)

    thread._is_last_try.set = give_up_and_be_gone
    assert not thread.end(within=0.1), "it was not done in time, however soon it gave up then"
    assert not thread.is_alive()
