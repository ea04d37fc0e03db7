"""Keyed calls in open transactions: whom they make wait, and whom they must not."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection, connections, transaction

from background_task.attempt import Succeeded
from background_task.models import Task, Turn
from background_task.producer import TaskSpec, enqueue
from background_task.schedule import TaskSchedule
from background_task.store import Fleet, get_store
from background_task.store.mysql import MySQLStore
from tests.store.rows import worker
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

DEADLINE_SECONDS = 20
LEASE = timedelta(seconds=60)
CHECK = {"action": TaskSchedule.CHECK_EXISTING}
RESCHEDULE = {"action": TaskSchedule.RESCHEDULE_EXISTING}
REMOVE = {"remove_existing_tasks": True}
KEYED = pytest.mark.parametrize(
    "keyed", [CHECK, RESCHEDULE, REMOVE], ids=["check", "reschedule", "remove"]
)


def call(name="keyed", **options):
    return enqueue(TaskSpec(task_name=name, **options), sender=Task)


def in_thread(work):
    """Start ``work`` in a thread; a function that waits for its result, or raises its error."""
    outcome = {}

    def run():
        try:
            outcome["result"] = work()
        except BaseException as error:  # noqa: BLE001 - raised again where it is asked for
            outcome["error"] = error
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(DEADLINE_SECONDS)
        assert not thread.is_alive(), "it still waits"
        if "error" in outcome:
            raise outcome["error"]
        return outcome["result"]

    return result


@contextmanager
def open_transaction(*works, isolation=None):
    """Another connection has done ``works`` and does not commit before the block ends."""
    is_done, may_commit = threading.Event(), threading.Event()

    def serve():
        try:
            if isolation is not None:
                with connection.cursor() as cursor:
                    cursor.execute(f"SET SESSION TRANSACTION ISOLATION LEVEL {isolation}")
            with transaction.atomic():
                results = [work() for work in works]
                is_done.set()
                assert may_commit.wait(DEADLINE_SECONDS)
                return results
        finally:
            is_done.set()

    result = in_thread(serve)
    assert is_done.wait(DEADLINE_SECONDS)
    try:
        yield
    finally:
        may_commit.set()
        result()


@contextmanager
def waits_for_locks_are_errors():
    """A statement that has to wait for a lock for more than a second fails."""
    statement = {
        "postgresql": "SET lock_timeout = '1s'",
        "mysql": "SET SESSION innodb_lock_wait_timeout = 1",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(statement)
    try:
        yield
    finally:
        connection.close()


@contextmanager
def old_reader():
    """A reader with an old view, as a backup is: InnoDB purges nothing meanwhile."""

    def look():
        with connection.cursor() as cursor:
            cursor.execute("SELECT COUNT(*) FROM background_task")

    isolation = "REPEATABLE READ" if connection.vendor == "mysql" else None
    with open_transaction(look, isolation=isolation):
        yield


@pytest.mark.only_on("postgresql", "mariadb")
@KEYED
@pytest.mark.parametrize("is_backed_up", [False, True], ids=["", "beside a backup"])
def test_plain_calls_do_not_wait_for_a_keyed_call_that_is_not_committed(keyed, is_backed_up):
    store = get_store()
    with old_reader() if is_backed_up else open_transaction():
        call(**keyed)
        assert len(store.claim("w", ["keyed"])) == 1  # its key is freed
        with open_transaction(lambda: call(**keyed)), waits_for_locks_are_errors():
            assert call("plain") is not None
            (claim,) = store.claim("w", ["plain"])
            assert store.finish(claim, Succeeded()) is not None
            assert call("another key", **CHECK) is not None
    assert Task.objects.filter(task_name="keyed", locked_by=None).count() == 1


@pytest.mark.only_on("mariadb")
@KEYED
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
def test_heartbeats_do_not_wait_for_a_keyed_call_that_is_not_committed(keyed, isolation):
    store = get_store()
    name = worker("w", now=store.now())
    call(**keyed)
    assert len(store.claim(name, ["keyed"])) == 1
    with (
        open_transaction(lambda: call(**keyed), isolation=isolation),
        waits_for_locks_are_errors(),
    ):
        assert Fleet(store.using).renew(name, lease=LEASE)


@pytest.mark.only_on("postgresql", "mariadb")
def test_two_transactions_that_check_the_same_rows_crosswise_do_not_wait():
    for name in ("f", "g"):
        call(name)
    with (
        open_transaction(lambda: call("f", **CHECK), lambda: call("g", **CHECK)),
        waits_for_locks_are_errors(),
        transaction.atomic(),
    ):
        assert (call("g", **CHECK), call("f", **CHECK)) == (None, None)


@KEYED
@pytest.mark.parametrize("are_turns_there", [True, False], ids=["", "right after a flush"])
@pytest.mark.parametrize("was_claimed", [False, True], ids=["first", "after a claim"])
def test_two_callers_at_the_same_time_end_with_one_waiting_row(keyed, are_turns_there, was_claimed):
    if are_turns_there:
        Turn.objects.bulk_create([Turn(number=number) for number in range(64)])
    else:
        assert not Turn.objects.exists()  # the flush before this test took them
    if was_claimed:
        call(**keyed)
        assert len(get_store().claim("w", ["keyed"])) == 1
    callers = 4
    start = threading.Barrier(callers, timeout=DEADLINE_SECONDS)

    def work():
        connection.ensure_connection()
        start.wait()
        with transaction.atomic():
            return call(**keyed)

    results = [in_thread(work) for _ in range(callers)]
    added = [task for result in results if (task := result()) is not None]
    assert Task.objects.filter(locked_by=None).count() == 1
    assert len(added) == (callers if keyed is REMOVE else 1)


@pytest.mark.only_on("postgresql", "mariadb")
@KEYED
@pytest.mark.parametrize("are_turns_there", [True, False], ids=["", "right after a flush"])
def test_second_caller_waits_for_the_first_to_commit(keyed, are_turns_there):
    """A barrier cannot force two transactions to overlap; here they do."""
    if are_turns_there:
        Turn.objects.bulk_create([Turn(number=number) for number in range(64)])
    with open_transaction(lambda: call(**keyed)):
        second = in_thread(lambda: call(**keyed))
        wait_until_blocked()
        assert not Task.objects.exists()
    assert (second() is not None) == (keyed is REMOVE)
    assert Task.objects.count() == 1


def wait_until_blocked():
    """Wait until some connection waits for another's lock."""
    question = {
        "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
        "mysql": "SELECT count(*) FROM information_schema.innodb_lock_waits",
    }[connection.vendor]

    def is_somebody_blocked():
        with connection.cursor() as cursor:
            cursor.execute(question)
            return cursor.fetchone()[0] > 0

    # MariaDB shows what it knew at the last question unless that was a while ago.
    wait_until(is_somebody_blocked, deadline=DEADLINE_SECONDS, interval=0.25)


@pytest.mark.only_on("mariadb")
def test_keys_are_left_to_turns_here():
    assert isinstance(get_store(), MySQLStore)
    call(**CHECK)
    assert Task.objects.get().unique_key is None
    assert Turn.objects.count() == 1
