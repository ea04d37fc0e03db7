"""Limits beside everything else that may happen to a row."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from unittest import mock

import pytest
from django.contrib import admin
from django.db import OperationalError, connections, transaction
from django.db.models.signals import post_delete

from background_task import pause, resume
from background_task.admin import TaskAdmin
from background_task.limiter import hashed
from background_task.models import Gate, Permit, Task
from background_task.store import get_store
from background_task.store.gate import ASIDE, LOOK_AGAIN, MOST_GATES, Gates, Limit
from background_task.tasks import tasks
from tests.limits.test_worker import Ledger, work_off
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)


def put_aside(task):
    """What a gate does to a row that is refused."""
    row = Task.objects.get(pk=task.pk)
    Task.objects.filter(pk=row.pk).update(due_at=row.run_at, run_at=row.run_at + ASIDE)
    return row


def test_claim_whose_gate_could_not_be_asked_passes_it_later(registry, threads):
    """The claim is in the database, and what follows it fails: nobody has let it through."""
    ledger = Ledger(registry, max_concurrency=1)
    for number in range(4):
        ledger.task("a", number)
    admit, failures = Gates.admit, iter([False, True, False, True])

    def admit_at_times(gates, wanted, **options):
        if next(failures, False):
            raise OperationalError("deadlock")
        return admit(gates, wanted, **options)

    with mock.patch.object(Gates, "admit", admit_at_times):
        worker = work_off(threads=threads)
    assert next(failures, None) is None
    assert worker.summary.succeeded == 4
    assert Permit.objects.count() == 4, "each run has passed the gate"
    assert ledger.most["a"] == 1


def test_unique_task_that_is_run_by_hand_lets_go_of_its_key(registry):
    """It may schedule itself anew, as it may without a limit."""
    again = []

    @registry.background(name="sync", max_concurrency=1, unique=True)
    def sync():
        if not again:
            again.append(sync.using(schedule=60)())

    sync()
    assert tasks.run_next_task()
    assert again[0] is not None


def test_unique_task_whose_limit_is_gone_lets_go_of_its_key(registry):
    again = []

    def sync():
        if not again:
            again.append(free())

    limited = registry.background(name="sync", max_concurrency=1, unique=True)(sync)
    limited()
    free = registry.background(name="sync", unique=True)(sync)
    assert work_off().summary.succeeded == 2
    assert again[0] is not None


@pytest.mark.parametrize("way", ["claim_one", "lock"])
def test_row_that_is_put_aside_and_taken_by_hand_has_its_own_time(registry, way):
    task = Ledger(registry, max_concurrency=1).task("a", 1)
    before = put_aside(task)
    if way == "lock":
        assert before.lock("hand") is not None
    else:
        assert get_store().claim_one(task.pk, "hand").run_at == before.run_at
    row = Task.objects.get()
    assert (row.run_at, row.due_at) == (before.run_at, None)


def test_expired_task_takes_no_start_from_one_that_is_run(registry, threads):
    """Or a rate with a backlog would spend itself on what comes too late."""
    ledger = Ledger(registry, rate_limit=(1, 3600))
    for number in range(5):
        ledger.task.using(expires=1, schedule=-60)("late", number)
    ledger.task("a", 1)
    worker = work_off(threads=threads)
    assert ledger.runs == [("a", 1)]
    assert len(worker.events.of("discard")) == 5
    assert Permit.objects.count() == 1


def test_call_back_leaves_what_is_paused_for_others(registry):
    """Two functions share a place; the one that is paused is not called to it."""
    ledger = Ledger(registry, max_concurrency=1, concurrency_key="api")
    other = registry.background(name="other", max_concurrency=1, concurrency_key="api")(print)
    store = get_store()
    gates = Gates(store)
    rows = [ledger.task("a", 1), ledger.task("a", 2), other(3)]
    for task in rows:
        put_aside(task)
    key, now = rows[0].limit_key, store.now()
    Gate.objects.create(key=key, name="key api", max_running=1, look_at=now)
    pause(function=ledger.task)
    called = gates.call_back(key, now=now)
    assert (called.number, called.look_at) == (1, now + LOOK_AGAIN)
    assert Task.objects.get(due_at=None).pk == rows[2].pk
    resume(function=ledger.task)
    assert gates.call_back(key, now=now).number == 1


def test_rate_whose_called_row_never_comes_is_looked_at_again_soon(registry):
    ledger = Ledger(registry, rate_limit=(1, 3600))
    store = get_store()
    gates = Gates(store)
    rows = [ledger.task("a", number) for number in range(2)]
    for task in rows:
        put_aside(task)
    key, now = rows[0].limit_key, store.now()
    limits = {"max_starts": 1, "period_seconds": 3600}
    Gate.objects.create(key=key, name="", look_at=now, **limits)
    assert gates.call_back(key, now=now).number == 1
    assert store.cancel(rows[0].uid) == "cancelled"
    assert gates.waiting() == [(key, now + LOOK_AGAIN)]
    assert gates.call_back(key, now=now + LOOK_AGAIN).number == 1


def test_round_looks_at_all_gates_that_are_due(registry):
    """More of them than one statement reads, and none keeps the next from being looked at."""
    store = get_store()
    count = 2 * MOST_GATES + 5
    now = store.now()
    Gate.objects.bulk_create(
        Gate(key=f"{number:03}", name="", max_running=1, look_at=now) for number in range(count)
    )
    worker = Worker()
    worker.control.polling.close()
    admission = worker.loop.admission
    for _ in range(3):
        assert admission.seconds_until_due() == 0
        admission.run_if_due()
    assert not Gate.objects.filter(look_at__isnull=False).exists()


def test_gate_that_was_due_is_not_due_after_it_was_looked_at(floor):
    """Although its next moment is near; others are behind it."""
    floor.add(3)
    floor.claim(limit_to=Limit(hashed("account:7"), "", 1, None))
    Gate.objects.update(look_at=floor.now - timedelta(seconds=1), max_starts=1, period_seconds=1)
    Gate.objects.update(max_running=None)
    look_at = floor.gates.call_back(floor.gate.key, now=floor.now).look_at
    assert floor.now < look_at == floor.gate.look_at


def test_tidy_beside_listeners_is_one_statement(floor):
    """A gate that is read and then deleted by its key may have somebody waiting by then."""
    Gate.objects.create(key="old", name="")

    def receive(**given):
        raise AssertionError(f"the rows were read: {given}")

    post_delete.connect(receive)
    try:
        assert floor.gates.tidy(now=floor.now) == 1
    finally:
        post_delete.disconnect(receive)


@pytest.mark.only_on("postgresql", "mariadb")  # SQLite's writers wait for each other anyway
def test_row_that_somebody_has_locked_holds_up_no_gate(registry):
    ledger = Ledger(registry, max_concurrency=1)
    store = get_store()
    rows = [ledger.task("a", number) for number in range(2)]
    for task in rows:
        put_aside(task)
    key, now = rows[0].limit_key, store.now()
    Gate.objects.create(key=key, name="", max_running=1, look_at=now)
    with ThreadPoolExecutor(1) as pool, transaction.atomic():
        assert store.cancel(rows[0].uid) == "cancelled"
        called = pool.submit(_apart, lambda: Gates(store).call_back(key, now=now)).result(20)
    assert (called.number, called.look_at) == (1, now + LOOK_AGAIN)
    assert Task.objects.get().due_at is None


def _apart(act):
    try:
        return act()
    finally:
        connections.close_all()


@pytest.mark.parametrize("on_conflict", ["extend", "replace"])
def test_call_that_changes_a_row_on_its_way_to_the_gate_is_not_lost(registry, on_conflict):
    task = registry.background(
        name="sync", max_concurrency=1, unique="user", on_conflict=on_conflict
    )(lambda user, state: None)
    task(1, "old")
    store = get_store()
    claims = store.claim("w", ["sync"], limit=1)
    assert task(1, "new") is not None, "as for one that has begun"
    wanted = [(claim, Limit(claim.limit_key, "", 1, None)) for claim in claims]
    assert Gates(store).admit(wanted) == claims
    assert Task.objects.get(locked_by=None).params()[0] == [1, "new"]
    assert task(1, "newest") is None or on_conflict == "replace"
    assert Task.objects.count() == 2


def test_time_given_to_a_row_that_is_put_aside_stays(registry):
    """By a person, who sees the row in the admin."""
    task = Ledger(registry, max_concurrency=1).task("a", 1)
    put_aside(task)
    store = get_store()
    Gate.objects.create(key=task.limit_key, name="", max_running=1, look_at=store.now())
    row = Task.objects.get()
    row.run_at += timedelta(days=7)
    form = mock.Mock(changed_data=["run_at"])
    TaskAdmin(Task, admin.site).save_model(None, row, form, change=True)
    assert Gates(store).call_back(task.limit_key).number == 0
    assert Task.objects.get().run_at == row.run_at


@pytest.mark.parametrize("is_limited", [True, False])
def test_worker_that_does_not_grow_old_tidies_up_as_well(registry, is_limited):
    """By chance, as often as one that does; what has no limits leaves nothing lying about."""
    Gate.objects.create(key="old", name="")
    ledger = Ledger(registry, **({"max_concurrency": 1} if is_limited else {}))
    ledger.task("a", 1)
    with mock.patch("background_task.worker.admission.random.uniform", lambda least, most: least):
        worker = Worker()
        worker.control.polling.close()
        admission = worker.loop.admission
    admission.admit(get_store().claim("w", ["limited"], limit=1))
    admission.run_if_due()
    assert Gate.objects.filter(key="old").exists() == (not is_limited)
