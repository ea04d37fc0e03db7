"""The worker thins out the archive by itself: a little at a time, by an index, in turns."""

import threading
from datetime import datetime, timedelta, timezone

import pytest
from django.db import (
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import ProtectedError
from django.db.models.signals import pre_delete
from django.test import override_settings

from background_task import telemetry
from background_task.identity import new_worker_name
from background_task.models import CompletedTask
from background_task.retention import Keeping, Retention
from background_task.store import Fleet, get_store
from background_task.store.archive import Archive
from background_task.store.history import FIRST, OWN, is_new_project
from background_task.worker import pruner as pruning
from background_task.worker.heartbeat import Identity
from background_task.worker.pruner import NEW, Pruner, keeping_in, seconds_until_turn
from tests.store.cost import measured
from tests.worker.running import Events, Worker

DAY = timedelta(days=1)


def archived(*days, name="f", backend=None):
    """Finished tasks of so many days ago."""
    now = get_store().now()
    return CompletedTask.objects.bulk_create(
        CompletedTask(
            task_name=name,
            task_params="[[], {}]",
            task_hash="0" * 40,
            run_at=now - age * DAY,
            backend=backend,
        )
        for age in days
    )


def left():
    return sorted(CompletedTask.objects.values_list("task_name", flat=True))


def make_pruner(retain=30 * DAY, *, by_backend=None, **options):
    store = get_store()
    identity = Identity(Fleet(store.using), queues="", capacity=1, lease=timedelta(seconds=60))
    keeping = Keeping(Retention.make(retain), by_backend or {})
    return Pruner(store, identity, keeping=keeping, **options)


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(pruning, "BATCH_SIZE", 2)


# -- what is deleted -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_prune_deletes_what_is_old_enough(small_batches):
    archived(40, 35, 31)
    kept = archived(29, 0)
    pruner = make_pruner()
    now = get_store().now()
    assert [pruner.prune(now), pruner.prune(now)] == [(2, False), (1, True)]
    assert set(CompletedTask.objects.all()) == set(kept)


@pytest.mark.django_db
def test_prune_by_function_and_backend_keeps_the_others():
    archived(40, name="common")
    archived(40, name="audit")
    archived(40, 2, 0.5, name="noise")
    archived(2, name="mail", backend="mail")
    archived(40, name="kept", backend="kept")
    retain = {"*": "30d", "audit": None, "noise": "1d"}
    by_backend = {"mail": Retention(DAY), "kept": Retention()}
    pruner = make_pruner(retain, by_backend=by_backend)
    assert pruner.prune(get_store().now()) == (4, True)
    assert left() == ["audit", "kept", "noise"]


@pytest.mark.django_db
def test_prune_walks_once_over_what_is_kept(small_batches):
    archived(50, 49, 48, 47, 46, name="audit")
    archived(40, name="f")
    pruner = make_pruner({"*": "30d", "audit": None})
    now = get_store().now()
    assert [pruner.prune(now) for _ in range(4)] == [(0, False), (0, False), (1, False), (0, True)]
    with connection.execute_wrapper(refuse_to_read_far):
        archived(31, name="f")
        assert pruner.prune(now) == (1, True)
    assert left() == ["audit"] * 5


def refuse_to_read_far(execute, sql, params, many, context):
    """A statement that begins at the oldest row has no lower limit of the time."""
    if "ORDER BY" in sql:
        assert ">=" in sql
    return execute(sql, params, many, context)


@pytest.mark.django_db
def test_prune_begins_anew_once_a_round(monkeypatch):
    pruner = make_pruner()
    now = get_store().now()
    archived(31)
    assert pruner.prune(now) == (1, True)
    archived(60)  # from elsewhere
    assert pruner.prune(now) == (0, True)
    monkeypatch.setattr(pruner, "_round_ends", 0.0)
    assert pruner.prune(now) == (1, True)


@pytest.mark.django_db
def test_prune_takes_rows_of_the_same_moment_apart(small_batches):
    moment = get_store().now() - 40 * DAY
    archived(*[40] * 5, name="audit")
    CompletedTask.objects.update(run_at=moment)
    archived(*[40] * 2, name="f")
    CompletedTask.objects.update(run_at=moment)
    pruner = make_pruner({"*": "30d", "audit": None})
    now = get_store().now()
    assert sum(pruner.prune(now)[0] for _ in range(5)) == 2
    assert left() == ["audit"] * 5


@pytest.mark.django_db
def test_prune_for_longer_than_there_is_a_calendar_deletes_nothing():
    archived(10_000)
    assert make_pruner(timedelta.max).prune(get_store().now()) == (0, True)


@pytest.mark.django_db
def test_prune_leaves_what_refuses_to_be_deleted():
    archived(40)
    events = Events()

    def refuse(sender, instance, **kwargs):
        raise IntegrityError("protected")

    pre_delete.connect(refuse, sender=CompletedTask)
    try:
        with telemetry.subscribed(events):
            assert make_pruner().prune(get_store().now()) == (0, True)
    finally:
        pre_delete.disconnect(refuse, sender=CompletedTask)
    assert events.names == ["not_pruned"]
    assert left() == ["f"]


@pytest.mark.django_db
def test_prune_takes_what_stands_beside_what_refuses():
    rows, events = archived(*[40] * 7), Events()

    def refuse(sender, instance, **kwargs):
        if instance.pk == rows[2].pk:
            raise ProtectedError("protected", {instance})

    pre_delete.connect(refuse, sender=CompletedTask)
    try:
        with telemetry.subscribed(events):
            assert make_pruner().prune(get_store().now()) == (6, True)
    finally:
        pre_delete.disconnect(refuse, sender=CompletedTask)
    assert [each["rows"] for each in events.of("pruned")] == [6]
    assert [each["rows"] for each in events.of("not_pruned")] == [1]
    assert CompletedTask.objects.get() == rows[2]


@pytest.mark.django_db
def test_entries_are_one_range_of_the_index():
    archived(*range(300))
    archive, now = Archive("default"), get_store().now()
    (start, *_) = archive.entries(after=None, before=now - 200 * DAY, most=1)
    with measured() as cost:
        assert len(archive.entries(after=start, before=now, most=10)) == 10
    assert cost.scans == []
    assert cost.rows <= 40, cost.plans


@pytest.mark.only_on("postgresql", "mariadb")
@pytest.mark.django_db(transaction=True)
def test_discard_waits_for_nobody():
    held, free = archived(40, 40)
    is_locked, may_end = threading.Event(), threading.Event()

    def hold():
        try:
            with transaction.atomic():
                CompletedTask.objects.select_for_update().get(pk=held.pk)
                is_locked.set()
                assert may_end.wait(30)
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert is_locked.wait(30)
        assert Archive("default").discard([held.pk, free.pk]) == 1
    finally:
        may_end.set()
        thread.join(30)
    assert list(CompletedTask.objects.all()) == [held]


# -- when ------------------------------------------------------------------------------------------


def at(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc)


def test_turns_go_round_by_the_names():
    living = ["b", "c", "a"]
    now = at(3 * 60 * 1000)
    assert [seconds_until_turn(name, living, now=now) for name in "abc"] == [0, 60, 120]
    later = now + timedelta(seconds=90)
    assert [seconds_until_turn(name, living, now=later) for name in "abc"] == [90, 0, 30]


def test_turn_of_a_worker_that_is_alone_never_ends():
    assert [seconds_until_turn("a", ["a"], now=at(second)) for second in (0, 59, 61)] == [0, 0, 0]


def test_turn_of_a_worker_that_nobody_knows_comes_later():
    assert seconds_until_turn("a", [], now=at(70)) == 50


@pytest.fixture
def registered(db):
    """A pruner whose worker is alive, and whose delay after the start is over."""
    pruner = make_pruner()
    pruner.identity.register()
    pruner._due = 0.0
    return pruner


def test_run_if_due_deletes_and_rests(registered):
    archived(40, 40)
    assert registered.run_if_due() == 2
    assert registered.seconds_until_due() > 0
    archived(40)
    assert registered.run_if_due() == 0


def test_run_if_due_with_more_to_do_rests_and_goes_on(registered, small_batches, monkeypatch):
    monkeypatch.setattr(pruning, "SHORTEST_REST_SECONDS", 1000.0)
    archived(*[40] * 3)
    assert registered.run_if_due() == 2
    assert registered.seconds_until_due() > 60
    registered._due = 0.0
    assert registered.run_if_due() == 1


def test_run_if_due_that_fails_lets_the_worker_work_before_it_tries_again(registered, monkeypatch):
    def fail(**options):
        raise OperationalError("the lock of somebody else")

    archived(40)
    monkeypatch.setattr(registered.archive, "entries", fail)
    with pytest.raises(OperationalError):
        registered.run_if_due()
    assert registered.run_if_due() == 0


def test_run_if_due_leaves_it_to_whose_turn_it_is(registered, monkeypatch):
    other = new_worker_name()
    registered.identity.fleet.register(other, queues="", capacity=1, lease=timedelta(seconds=60))
    order = sorted([other, registered.identity.name])
    turn = order.index(other)
    now = at(60 * (turn + 2 * 15_000_000))
    monkeypatch.setattr(registered.store, "now", lambda: now)
    monkeypatch.setattr(registered.identity.fleet, "living", lambda now: order)
    archived(40)
    assert registered.run_if_due() == 0
    assert 0 < registered.seconds_until_due() <= 60
    assert left() == ["f"]


@pytest.mark.django_db
def test_run_if_due_where_all_is_kept_asks_nothing_more(registered):
    archived(10_000)
    registered._keeping = Keeping(Retention())
    assert registered.run_if_due() == 0
    assert registered.seconds_until_due() == float("inf")


def test_worker_with_a_short_duration_looks_in_the_middle_of_it(db):
    assert make_pruner(duration=4).seconds_until_due() <= 2
    assert 2 < make_pruner().seconds_until_due() <= 10


@pytest.mark.django_db(transaction=True)
def test_worker_thins_out_the_archive(monkeypatch):
    monkeypatch.setattr(pruning, "DELAY_SECONDS", 0.0)
    archived(40)
    kept = archived(1)
    worker = Worker(duration=30)
    with override_settings(BACKGROUND_TASK_RETAIN="30d"), worker.running():
        assert worker.events.wait_for("pruned") == {"rows": 1}
    assert list(CompletedTask.objects.all()) == kept


@pytest.mark.django_db
def test_worker_inside_a_transaction_does_not(monkeypatch):
    monkeypatch.setattr(pruning, "DELAY_SECONDS", 0.0)
    archived(40)
    with override_settings(BACKGROUND_TASK_RETAIN="30d"):
        Worker().run()
    assert left() == ["f"]


# -- which retention -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_new_project_keeps_30_days():
    assert is_new_project("default")
    assert keeping_in("default") == Keeping(NEW)


@pytest.mark.django_db
@pytest.mark.parametrize("hours", [-2, 2])
def test_upgraded_project_keeps_all(hours):
    recorder = MigrationRecorder(connection)
    first = recorder.migration_qs.get(app="background_task", name=FIRST)
    own = recorder.migration_qs.filter(app="background_task", name=OWN)
    own.update(applied=first.applied + timedelta(hours=hours))
    assert not is_new_project("default")
    assert keeping_in("default") == Keeping(Retention())


@pytest.mark.django_db
def test_project_without_a_record_keeps_all():
    recorder = MigrationRecorder(connection)
    recorder.migration_qs.filter(app="background_task", name=FIRST).delete()
    assert not is_new_project("default")


@pytest.mark.django_db
def test_project_whose_record_may_not_be_read_keeps_all(monkeypatch):
    def refuse(self):
        raise ProgrammingError("permission denied")

    monkeypatch.setattr(MigrationRecorder, "has_table", refuse)
    assert not is_new_project("default")


@pytest.mark.django_db
def test_project_with_rows_from_elsewhere_keeps_all():
    archived(400)
    assert not is_new_project("default")


@pytest.mark.django_db
@pytest.mark.parametrize("value", [None, "2w", {"*": 60}])
def test_setting_comes_first(value):
    with override_settings(BACKGROUND_TASK_RETAIN=value):
        assert keeping_in("default") == Keeping(Retention.make(value))
