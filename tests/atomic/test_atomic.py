"""``atomic=True``: what a function writes and its finish are one transaction."""

import threading
from contextlib import suppress
from unittest import mock

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F

from background_task import Discard, InvalidOptionTypeError, Snooze
from background_task.models import CompletedTask, Task
from background_task.signals import task_finished, task_successful
from tests.app.models import Ledger
from tests.worker.running import work_off

pytestmark = pytest.mark.django_db(transaction=True)


def is_attempt_over(name, fields):
    return name in ("success", "retry", "failure", "late", "discard")


@pytest.fixture
def transfer(registry):
    """An atomic task, and what it does after it has written: whatever a test puts in."""
    steps = []

    @registry.background(name="transfer", atomic=True)
    def transfer(key):
        Ledger.objects.create(key=key)
        for step in steps:
            step()

    transfer.steps = steps
    return transfer


def test_function_and_finish_are_one_transaction(transfer, threads):
    seen = []
    transfer.steps.append(lambda: seen.append(connection.in_atomic_block))
    transfer.steps.append(lambda: transaction.on_commit(lambda: seen.append(states())))
    task = transfer("a")

    def states():
        return Task.objects.count(), CompletedTask.objects.count(), Ledger.objects.count()

    worker = work_off(threads=threads)
    assert seen == [True, (0, 1, 1)]
    assert worker.summary.succeeded == 1
    assert CompletedTask.objects.get().uid == task.uid


def test_signals_are_sent_after_the_commit(transfer, threads):
    sent = []

    def receive(signal, **kwargs):
        sent.append((signal, connection.in_atomic_block, kwargs.get("completed_task")))

    task_successful.connect(receive)
    task_finished.connect(receive)
    transfer("a")
    work_off(threads=threads)
    task_successful.disconnect(receive)
    task_finished.disconnect(receive)
    completed = CompletedTask.objects.get()
    assert sent == [(task_successful, False, completed), (task_finished, False, None)]


def test_exception_undoes_what_was_written_and_is_retried(transfer, threads):
    transfer.steps.append(lambda: 1 / 0)
    transfer("a")
    work_off(threads=threads, until=is_attempt_over)
    assert not Ledger.objects.exists()
    row = Task.objects.get()
    assert (row.attempts, row.locked_by) == (1, None)
    assert "ZeroDivisionError" in row.last_error
    transfer.steps.clear()
    Task.objects.update(run_at=F("enqueued_at"))
    work_off(threads=threads)
    assert Ledger.objects.count() == 1
    assert CompletedTask.objects.get().attempts == 2


@pytest.mark.parametrize("error", [Discard("no more"), Snooze(60)], ids=["discard", "snooze"])
def test_orders_undo_what_was_written(transfer, error):
    def give_order():
        raise error

    transfer.steps.append(give_order)
    transfer("a")
    work_off(until=is_attempt_over)
    assert not Ledger.objects.exists()
    assert Task.objects.count() + CompletedTask.objects.filter(failed_at=None).count() == 1


def test_repetition_is_in_the_same_transaction(transfer):
    seen = []
    transfer.steps.append(lambda: transaction.on_commit(lambda: seen.append(Task.objects.count())))
    transfer("a", repeat=3600)
    work_off()
    assert seen == [1]
    assert Task.objects.get().locked_by is None


@pytest.mark.only_on("postgresql", "mariadb")  # on SQLite it is the only writer
def test_run_and_recovery_rivals_what_was_written_goes_back(transfer, threads):
    """The row is taken over while the function runs: its writes must not survive it."""

    def take_over():
        def write():
            Task.objects.update(claim_number=F("claim_number") + 1, locked_by="another")
            connection.close()

        thread = threading.Thread(target=write)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()

    transfer.steps.append(take_over)
    transfer("a")
    worker = work_off(threads=threads, until=is_attempt_over)
    assert worker.summary.late == 1
    assert not Ledger.objects.exists()
    assert not CompletedTask.objects.exists()
    assert Task.objects.get().locked_by == "another"


class Commits:
    """Commits that fail, after or instead of the real one, once there is something to commit."""

    def __init__(self, *, is_done):
        self.left = 1
        self.is_done = is_done

    def __enter__(self):
        real = BaseDatabaseWrapper._commit

        def commit(wrapper):
            is_it = self.left and self.has_finished(wrapper)
            if not is_it or self.is_done:
                real(wrapper)
            if is_it:
                self.left -= 1
                wrapper.connection.close()
                raise OperationalError("server closed the connection unexpectedly")

        self.patch = mock.patch.object(BaseDatabaseWrapper, "_commit", commit)
        self.patch.start()
        return self

    def __exit__(self, *error):
        self.patch.stop()

    def has_finished(self, wrapper):
        with wrapper.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {Ledger._meta.db_table}")
            return cursor.fetchone()[0] > 0


def test_commit_whose_confirmation_is_lost_counts(transfer, threads):
    transfer("a")
    with Commits(is_done=True) as commits:
        worker = work_off(threads=threads, until=is_attempt_over)
    assert commits.left == 0
    assert worker.summary.succeeded == 1
    assert Ledger.objects.count() == CompletedTask.objects.count() == 1
    assert not Task.objects.exists()


def test_commit_that_fails_undoes_everything_and_is_retried(transfer, threads):
    transfer("a")
    with Commits(is_done=False) as commits:
        worker = work_off(threads=threads, until=is_attempt_over)
    assert commits.left == 0
    assert worker.summary.retried == 1
    assert not Ledger.objects.exists()
    assert "server closed the connection" in Task.objects.get().last_error
    Task.objects.update(run_at=F("enqueued_at"))
    work_off(threads=threads)
    assert Ledger.objects.count() == CompletedTask.objects.count() == 1


def test_function_that_breaks_the_transaction_fails_and_says_so(transfer):
    transfer.steps.append(lambda: transaction.set_rollback(True))
    transfer("a")
    work_off(until=is_attempt_over)
    assert not Ledger.objects.exists()
    assert "TransactionManagementError" in Task.objects.get().last_error


def test_function_that_survives_an_error_in_a_block_of_its_own_commits(transfer):
    def try_and_fail():
        with suppress(ZeroDivisionError), transaction.atomic():
            Ledger.objects.create(key="undone")
            Ledger.objects.create(key=1 / 0)

    transfer.steps.append(try_and_fail)
    transfer("a")
    work_off()
    assert [row.key for row in Ledger.objects.all()] == ["a"]


def test_time_limit_undoes_what_was_written(transfer, registry):
    def spin():
        while True:
            pass

    transfer.steps.append(spin)
    transfer.using(timeout=0.2, max_attempts=1)("a")
    work_off(threads=1, until=is_attempt_over)
    assert not Ledger.objects.exists()
    assert "its timeout is 0.2" in CompletedTask.objects.get().last_error


def test_call_may_ask_for_it(registry):
    seen = []

    @registry.background(name="plain")
    def plain():
        seen.append(connection.in_atomic_block)

    plain()
    plain.using(atomic=True)()
    work_off()
    assert seen == [False, True]


@pytest.mark.django_db(transaction=False)
def test_inside_the_callers_transaction_it_is_a_savepoint(transfer, registry):
    transfer("a")
    assert registry.run_next_task()
    assert Ledger.objects.count() == CompletedTask.objects.count() == 1


def test_coroutine_function_is_refused_at_decoration(registry):
    async def coroutine():
        """Never run."""

    with pytest.raises(InvalidOptionTypeError, match="plain function"):
        registry.background(atomic=True)(coroutine)
    with pytest.raises(InvalidOptionTypeError, match="plain function"):
        registry.background(name="c")(coroutine).using(atomic=True)
