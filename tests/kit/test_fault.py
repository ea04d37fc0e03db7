"""Faults: a task that is not safe to be run again is found out, one that is safe is not blamed."""

from collections import Counter

import pytest
from django.db import transaction

from background_task.exceptions import BackgroundTaskError, InvalidOptionTypeError, Snooze
from background_task.models import CompletedTask, Task, Worker
from background_task.testing import (
    killed_at_each_commit,
    killed_at_each_statement,
    lost_lease,
    run_twice,
)
from tests.app.models import Ledger

transactional = pytest.mark.django_db(transaction=True)


class Keys:
    """Makes a key for each call, and counts what the calls have done."""

    def __init__(self):
        self.made = 0
        self.mails = Counter()

    def __call__(self):
        self.made += 1
        return f"key {self.made}"


@pytest.fixture
def keys():
    return Keys()


@pytest.fixture
def pay(registry, keys):
    """A task with two commits and a mail in between."""

    @registry.background(name="pay")
    def pay(key):
        Ledger.objects.create(key=key)
        keys.mails[key] += 1
        with transaction.atomic():
            Ledger.objects.create(key=f"{key} paid")
            Ledger.objects.create(key=f"{key} told")

    return pay


def entries(key):
    return Counter(Ledger.objects.filter(key__startswith=key).values_list("key", flat=True))


def count(key, what=""):
    return entries(key)[f"{key}{what}"]


# -- killed ----------------------------------------------------------------------------------------


@transactional
def test_killed_at_each_commit_comes_to_each_state_that_a_death_can_leave(pay, keys):
    seen = {}
    for fault in killed_at_each_commit(pay, keys):
        (key,) = fault.args
        assert fault.status == "succeeded"
        seen[fault.what.partition(" (")[0]] = (
            count(key),
            keys.mails[key],
            count(key, " paid"),
            count(key, " told"),
        )
    assert seen == {
        "undisturbed": (1, 1, 1, 1),
        "killed before commit 1": (1, 1, 1, 1),
        "killed after commit 1": (2, 1, 1, 1),
        "killed before commit 2": (2, 2, 1, 1),
        "killed after commit 2": (2, 2, 2, 2),
        "killed before commit 3": (2, 2, 2, 2),
        "killed after commit 3": (1, 1, 1, 1),
    }
    assert not Task.objects.exists()
    assert not Worker.objects.filter(stopped_at=None).exists()


@transactional
def test_killed_task_with_atomic_has_its_effects_once(registry, keys):
    @registry.background(name="pay", atomic=True)
    def pay(key):
        Ledger.objects.create(key=key)
        keys.mails[key] += 1

    faults = {fault.what.partition(" (")[0]: fault for fault in killed_at_each_commit(pay, keys)}

    assert list(faults) == ["undisturbed", "killed before commit 1", "killed after commit 1"]
    for fault in faults.values():
        assert count(*fault.args) == 1, fault
    assert [keys.mails[fault.args[0]] for fault in faults.values()] == [1, 2, 1]
    assert [len(fault.runs) for fault in faults.values()] == [1, 1, 0]


@transactional
def test_killed_at_each_statement_comes_between_those_of_a_transaction(registry, keys):
    @registry.background(name="pay")
    def pay(key):
        with transaction.atomic():
            Ledger.objects.filter(key=key).exists()
            keys.mails[key] += 1
            Ledger.objects.create(key=key)

    faults = {
        str(fault).partition(" ")[2][:13]: fault for fault in killed_at_each_statement(pay, keys)
    }
    runs = {
        place: (keys.mails[fault.args[0]], count(*fault.args)) for place, fault in faults.items()
    }

    assert runs == {
        "": (1, 1),
        "before SELECT": (1, 1),
        "before INSERT": (2, 1),
        "before commit": (2, 2),
        "after commit ": (1, 1),
    }


@transactional
def test_killed_worker_writes_nothing_more(registry, keys):
    reached = []

    @registry.background(name="pay")
    def pay(key):
        try:
            Ledger.objects.create(key=key)
        except Exception:  # noqa: BLE001 - as people do
            reached.append("as an error")
        except BaseException:  # noqa: BLE001 - likewise
            Ledger.objects.create(key=f"{key} after death")

    faults = list(killed_at_each_commit(pay, keys))

    assert [count(*fault.args) for fault in faults] == [1, 1, 2, 2, 1]
    assert not Ledger.objects.filter(key__endswith="after death").exists()
    assert not reached


@transactional
def test_killed_after_commit_calls_no_callback(registry, keys):
    called = Counter()

    @registry.background(name="pay")
    def pay(key):
        with transaction.atomic():
            Ledger.objects.create(key=key)
            transaction.on_commit(lambda: called.update([key]))

    runs = {
        fault.what.partition(" (")[0]: called[fault.args[0]]
        for fault in killed_at_each_commit(pay, keys)
    }

    assert runs == {
        "undisturbed": 1,
        "killed before commit 1": 1,
        "killed after commit 1": 1,
        "killed before commit 2": 2,
        "killed after commit 2": 1,
    }


@transactional
def test_killed_coroutine_function_is_killed_too(registry, keys):
    @registry.background(name="pay")
    async def pay(key):
        await Ledger.objects.acreate(key=key)

    counts = [count(*fault.args) for fault in killed_at_each_commit(pay, keys)]

    assert counts == [1, 1, 2, 2, 1]


@transactional
def test_killed_task_that_cannot_stand_it_raises_and_says_where(registry, keys):
    @registry.background(name="pay")
    def pay(key):
        if Ledger.objects.filter(key=key).exists():
            raise LookupError(f"{key} was here before")
        Ledger.objects.create(key=key)

    ended = []
    with pytest.raises(LookupError, match="key 3 was here") as raised:
        ended.extend(killed_at_each_commit(pay, keys))

    notes = getattr(raised.value, "__notes__", ["after commit 1"])
    assert "after commit 1" in notes[0]


@transactional
def test_killed_task_with_one_attempt_has_failed(registry, keys):
    @registry.background(name="pay", max_attempts=1)
    def pay(key):
        Ledger.objects.create(key=key)

    statuses = [fault.status for fault in killed_at_each_commit(pay, keys)]

    assert statuses == ["succeeded", "failed", "failed", "failed", "succeeded"]


@transactional
def test_killed_run_that_finds_what_another_has_left_is_refused(registry):
    @registry.background(name="pay")
    def pay(key):
        if not Ledger.objects.filter(key=key).exists():
            Ledger.objects.create(key=key)

    with pytest.raises(BackgroundTaskError, match="found what a run before it has left"):
        list(killed_at_each_commit(pay, "the same key"))


@transactional
def test_killed_task_may_put_itself_off(registry, keys):
    @registry.background(name="pay")
    def pay(key):
        Ledger.objects.create(key=key)
        if count(key) < 4:
            raise Snooze(3600)

    faults = list(killed_at_each_commit(pay, keys))

    assert [len(fault.runs) for fault in faults] == [4, 4, 3, 3, 3]
    assert {fault.status for fault in faults} == {"succeeded"}


@pytest.mark.django_db
@pytest.mark.parametrize("kill", [killed_at_each_commit, killed_at_each_statement, lost_lease])
def test_killed_inside_a_transaction_is_refused(pay, kill):
    with pytest.raises(BackgroundTaskError, match="use a TransactionTestCase"):
        list(kill(pay, "key"))


@transactional
def test_killed_function_that_is_not_registered_is_refused(registry, pay, keys):
    del registry._tasks["pay"]
    with pytest.raises(BackgroundTaskError, match="'pay' is not registered"):
        list(killed_at_each_commit(pay, keys))


@transactional
def test_killed_function_that_never_ends_is_refused(registry, monkeypatch):
    monkeypatch.setattr("background_task.testing.rehearsal.MOST_RUNS", 3)

    @registry.background(name="again")
    def again():
        raise Snooze(60)

    with pytest.raises(BackgroundTaskError, match="run 3 times and asks for more"):
        list(killed_at_each_commit(again))


@transactional
def test_killed_name_instead_of_a_function_is_refused():
    with pytest.raises(InvalidOptionTypeError, match="'pay' is no task function"):
        list(killed_at_each_commit("pay"))


@transactional
def test_killed_call_that_another_replaces_is_refused(registry):
    @registry.background(name="pay", unique=True)
    def pay():
        """Do nothing."""

    pay()
    with pytest.raises(BackgroundTaskError, match="another task waits in its place"):
        list(killed_at_each_commit(pay))


# -- lost ------------------------------------------------------------------------------------------


@transactional
def test_lost_lease_runs_the_task_beside_the_first_worker(pay, keys):
    seen = {}
    for fault in lost_lease(pay, keys):
        (key,) = fault.args
        assert fault.status == "succeeded"
        assert CompletedTask.objects.filter(uid=fault.uid).count() == 1
        statuses = [run.status for run in fault.runs]
        assert statuses == ["succeeded", "lost"] if "lost" in str(fault) else ["succeeded"]
        seen[fault.what.partition(" (")[0]] = count(key), keys.mails[key], count(key, " paid")
    assert seen == {
        "undisturbed": (1, 1, 1),
        "lost before it began": (2, 2, 2),
        "lost after commit 1": (2, 2, 2),
        "lost after commit 2": (2, 2, 2),
    }


@transactional
def test_lost_lease_comes_between_the_commits(registry, keys):
    order = []

    @registry.background(name="pay")
    def pay(key):
        order.append("begin")
        with transaction.atomic():
            Ledger.objects.create(key=key)
            transaction.on_commit(lambda: order.append("callback"))
        order.append("end")

    orders = []
    for _ in lost_lease(pay, keys):
        orders.append(order.copy())
        order.clear()

    run = ["begin", "callback", "end"]
    assert orders == [run, run + run, ["begin", *run, "callback", "end"]]


@transactional
def test_lost_lease_of_atomic_task_undoes_the_first_worker(registry, keys):
    @registry.background(name="pay", atomic=True)
    def pay(key):
        Ledger.objects.create(key=key)

    faults = list(lost_lease(pay, keys))

    assert [str(fault) for fault in faults] == ["undisturbed", "lost before it began"]
    assert [count(*fault.args) for fault in faults] == [1, 1]


@transactional
def test_lost_lease_error_of_the_second_worker_is_raised(registry, keys):
    @registry.background(name="pay")
    def pay(key):
        try:
            if Ledger.objects.filter(key=key).exists():
                raise LookupError(key)
            Ledger.objects.create(key=key)
            Ledger.objects.count()
        finally:
            keys.mails[key] += 1

    with pytest.raises(LookupError, match="key 3"):
        list(lost_lease(pay, keys))
    assert keys.mails == {"key 1": 1, "key 2": 2, "key 3": 2}


# -- twice -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_run_twice_runs_the_function_twice_and_records_one_end(pay):
    fault = run_twice(pay, "key")

    assert (count("key"), count("key", " paid")) == (2, 2)
    assert [run.attempt for run in fault.runs] == [2]
    assert CompletedTask.objects.succeeded().count() == 1


@transactional
def test_run_twice_of_atomic_task_has_its_effects_once(registry, keys):
    @registry.background(name="pay", atomic=True)
    def pay(key):
        Ledger.objects.create(key=key)
        keys.mails[key] += 1

    run_twice(pay, "key")

    assert (keys.mails["key"], count("key")) == (2, 1)


@pytest.mark.django_db
def test_run_twice_raises_what_the_second_run_raises(registry):
    @registry.background(name="pay")
    def pay(key):
        if Ledger.objects.filter(key=key).exists():
            raise LookupError(key)
        Ledger.objects.create(key=key)

    with pytest.raises(LookupError):
        run_twice(pay, "key")
    assert count("key") == 1


@pytest.mark.django_db
def test_run_twice_raises_what_the_first_run_raises(registry):
    @registry.background(name="pay")
    def pay():
        raise LookupError("at once")

    with pytest.raises(LookupError, match="at once"):
        run_twice(pay)
