"""What becomes of tasks is added up by their worker, once, and written whatever happens."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
from django.db import OperationalError, ProgrammingError

from background_task import Discard, RetryLater, telemetry
from background_task.models import Rollup, Task, Worker as WorkerRow
from background_task.rollup import OTHER
from background_task.store import get_store
from background_task.store.rollups import Rollups
from background_task.worker import bookkeeper, recorder as recording, recovery
from background_task.worker.burial import Burial, Death
from background_task.worker.recorder import Recorder
from tests.claims import a_claim
from tests.store.rows import LEASE, add, worker
from tests.waiting import wait_until
from tests.worker.running import Events, Worker, work_off

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LOST = "background_task.exceptions.AttemptLostError"


class Book(Rollups):
    """Keeps what was written; fails as often as it is told to."""

    def __init__(self, *errors):
        super().__init__("default")
        self.errors = list(errors)
        self.written = []

    def add(self, tallies, *, now=None):
        if self.errors:
            raise self.errors.pop(0)
        if tallies:
            self.written.append(tallies)


@pytest.fixture
def opened():
    recorders = []

    def open_(book, owners):
        recorder = Recorder(book, owners=owners)
        recorder.open()
        recorders.append(recorder)
        return recorder

    yield open_
    for recorder in recorders:
        recorder.close()


def tell(name="success", *, seconds=0.5, lost=False, **values):
    telemetry.event(name, claim=a_claim(**values), seconds=seconds, lost=lost, error_class="")


def totals():
    return {(p.task_name, p.queue): p.tally for p in Rollups("default").totals()}


# -- what is counted -------------------------------------------------------------------------------


def test_each_end_is_counted_for_its_function_and_queue(opened):
    book = Book()
    recorder = opened(book, {"w"})
    for name in recording.ENDS:
        tell(name, owner="w", task_name="f")
    tell(owner="w", task_name="f", queue="mail")
    tell(owner="w", task_name="h", queue="")
    tell(owner="w", task_name="g")
    recorder.write()
    (written,) = book.written
    assert set(written) == {("f", None), ("f", "mail"), ("g", None), ("h", None)}
    tally = written["f", None]
    assert (tally.succeeded, tally.failed, tally.retried) == (1, 1, 1)
    assert (tally.discarded, tally.cancelled, tally.runs.total) == (1, 1, 5)
    recorder.write()
    assert len(book.written) == 1


def test_what_other_workers_of_this_process_do_is_theirs(opened):
    books = Book(), Book()
    recorders = [opened(book, {name}) for book, name in zip(books, "ab", strict=True)]
    tell(owner="a")
    thread = threading.Thread(target=tell, kwargs={"owner": "b"})
    thread.start()
    thread.join()
    tell(owner="somebody else")
    for recorder in recorders:
        recorder.write()
    assert [len(book.written) for book in books] == [1, 1]
    assert [tally.ended for book in books for tally in book.written[0].values()] == [1, 1]


def test_lost_attempt_is_counted_by_who_takes_it_back(opened):
    books, recorders = (Book(), Book()), []
    other = threading.Thread(target=lambda: recorders.append(opened(books[0], {"a"})))
    other.start()
    other.join()
    recorders.append(opened(books[1], {"b"}))
    tell("retry", owner="a", lost=True, seconds=None)
    for recorder in recorders:
        recorder.write()
    assert books[0].written == []
    (tally,) = books[1].written[0].values()
    assert (tally.retried, tally.runs.total) == (1, 0)


@pytest.mark.parametrize(
    ("times", "bucket_seconds"),
    [
        ({"run_at": NOW - timedelta(seconds=90)}, 90),
        # Stored with a time in the past, it has waited only since then.
        ({"run_at": NOW - timedelta(days=2), "enqueued_at": NOW - timedelta(seconds=3)}, 3),
        ({"run_at": NOW - timedelta(seconds=3), "enqueued_at": NOW - timedelta(days=2)}, 3),
        ({"run_at": NOW + timedelta(seconds=5)}, 0),  # somebody ran it at once
    ],
)
def test_wait_is_from_when_it_was_due_to_the_claim(opened, times, bucket_seconds):
    book = Book()
    recorder = opened(book, {"w"})
    tell(owner="w", locked_at=NOW, **times)
    recorder.write()
    (tally,) = book.written[0].values()
    assert tally.waits.seconds == bucket_seconds


@pytest.mark.parametrize("unknown", [{"run_at": None, "locked_at": NOW}, {"locked_at": None}])
def test_wait_of_which_nobody_knows_is_not_counted(opened, unknown):
    book = Book()
    recorder = opened(book, {"w"})
    tell(owner="w", **unknown)
    recorder.write()
    (tally,) = book.written[0].values()
    assert (tally.succeeded, tally.waits.total) == (1, 0)


def test_very_many_functions_count_together(opened, monkeypatch):
    monkeypatch.setattr(recording, "MOST_KEYS", 2)
    book = Book()
    recorder = opened(book, {"w"})
    for number in range(5):
        tell(owner="w", task_name=f"f{number}")
    recorder.write()
    assert {key: tally.ended for key, tally in book.written[0].items()} == {
        ("f0", None): 1,
        ("f1", None): 1,
        (OTHER, None): 3,
    }


# -- writing ---------------------------------------------------------------------------------------


def test_write_that_fails_keeps_what_was_counted_for_the_next_time(opened):
    book = Book(OperationalError("gone"), ProgrammingError("no such table"))
    recorder, events = opened(book, {"w"}), Events()
    with telemetry.subscribed(events, to=["not_counted"]):
        for _ in range(2):
            tell(owner="w")
            recorder.try_to_write()
        book.errors.append(ProgrammingError("no such table"))
        with pytest.raises(ProgrammingError):
            recorder.write()
    assert len(events.all) == 1, "once, and not of an outage, which others tell of"
    tell(owner="w")
    recorder.write()
    assert [tally.succeeded for tally in book.written[0].values()] == [3]


@pytest.mark.django_db(transaction=True)
def test_worker_leaves_its_counts_in_the_database(registry, threads):
    def function(what):
        if what == "fail":
            raise ValueError(what)
        if what == "discard":
            raise Discard(what)
        if what == "later":
            raise RetryLater(3600)

    proxy = registry.background(name="does", queue="q")(function)
    for what in ("succeed", "succeed", "discard", "later"):
        proxy(what)
    proxy.using(max_attempts=1)("fail")
    run = work_off(registry=registry._tasks, threads=threads)
    (tally,) = totals().values()
    assert set(totals()) == {("does", "q")}
    assert (tally.succeeded, tally.failed, tally.retried, tally.discarded) == (2, 1, 1, 1)
    assert (tally.runs.total, tally.waits.total) == (5, 5)
    assert tally.errors == {"builtins.ValueError": 1}
    row = WorkerRow.objects.get(name=run.name)
    assert row.processed == 5
    assert row.memory_bytes is None or row.memory_bytes > 1_000_000


@pytest.mark.django_db(transaction=True)
def test_counts_are_written_while_a_task_holds_up_the_worker(registry, monkeypatch):
    monkeypatch.setattr(bookkeeper, "INTERVAL_SECONDS", 0.05)
    may_end = threading.Event()
    registry.background(name="quick")(lambda: None)()
    registry.background(name="slow")(lambda: may_end.wait(30))()
    worker = Worker(registry=registry._tasks)
    with worker.running():
        try:
            wait_until(lambda: ("quick", None) in totals())
            assert ("slow", None) not in totals()
        finally:
            may_end.set()
        worker.events.wait_for("success", count=2)
    assert {key: tally.succeeded for key, tally in totals().items()} == {
        ("quick", None): 1,
        ("slow", None): 1,
    }


@pytest.mark.django_db(transaction=True)
def test_counts_that_are_held_up_hold_up_no_heartbeat(calls, registry, monkeypatch):
    """Rivals: somebody who locks the table for long, and a lease that has to be renewed."""
    is_held_up, may_go_on = threading.Event(), threading.Event()

    def wait(self, tallies, *, now=None):
        if threading.current_thread().name == "background_task bookkeeper":
            is_held_up.set()
            may_go_on.wait(30)

    monkeypatch.setattr(Rollups, "add", wait)
    monkeypatch.setattr(bookkeeper, "INTERVAL_SECONDS", 0.01)
    calls.proxy(1)
    run = Worker(registry=registry._tasks, lease=timedelta(seconds=1))
    with run.running():
        try:
            assert is_held_up.wait(30)
            seen = run.events.of("heartbeat")
            run.events.wait_for("heartbeat", count=len(seen) + 2)
        finally:
            may_go_on.set()


@pytest.mark.django_db(transaction=True)
def test_worker_whose_counts_cannot_be_written_works_and_ends(calls, registry, monkeypatch):
    def fail(self, tallies, *, now=None):
        raise OperationalError("gone")

    monkeypatch.setattr(Rollups, "add", fail)
    monkeypatch.setattr(bookkeeper, "INTERVAL_SECONDS", 0.01)
    calls.proxy(1)
    run = work_off(registry=registry._tasks)
    assert (calls, run.summary.succeeded) == ([1], 1)
    assert not Rollup.objects.exists()


@pytest.mark.django_db
def test_worker_within_a_transaction_of_the_caller_counts_nothing(calls, registry):
    calls.proxy(1)
    assert work_off(registry=registry._tasks).summary.succeeded == 1
    assert not Rollup.objects.exists()


# -- the dead --------------------------------------------------------------------------------------


def abandoned(**values):
    store = get_store()
    long_ago = store.now() - 2 * LEASE
    worker("dead", now=long_ago)
    add(store, now=long_ago, **values)
    (claim,) = store.claim("dead", ["known"], now=long_ago)
    return claim


@pytest.mark.django_db(transaction=True)
def test_attempt_of_a_dead_worker_is_counted_once(registry, monkeypatch):
    monkeypatch.setattr(recovery, "GRACE_SECONDS", 0.0)
    abandoned()
    registry.background(name="known")(lambda: None)
    run = work_off(registry=registry._tasks, until=lambda name, fields: name == "success")
    (tally,) = totals().values()
    assert (run.summary.recovered, tally.retried, tally.succeeded) == (1, 1, 1)
    assert tally.errors == {LOST: 1}
    assert (tally.runs.total, tally.waits.total) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_what_a_supervisor_buries_is_counted_once():
    claim = abandoned()
    burial = Burial(get_store(), registry={}, afterwards=lambda: None)
    burial.start()
    burial.bury(Death(["dead"], {(claim.task_id, claim.number): (17.0, 10.0)}, frozenset()))
    try:
        wait_until(lambda: totals())
    finally:
        assert burial.end(within=30)
    (tally,) = totals().values()
    assert (tally.retried, tally.errors.total(), tally.runs.seconds) == (1, 1, 17.0)
    assert Task.objects.get().attempts == 1
