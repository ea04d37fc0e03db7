"""Counting what is in the queues costs the same however much there is."""

from datetime import timedelta

import pytest
from django.db import connection

from background_task.models import Task
from background_task.store import Store, depth as module, get_store
from background_task.store.depth import QueueDepth, depths
from tests.store.backlog import backlog
from tests.store.cost import measured
from tests.store.rows import add, statements


@pytest.fixture(scope="module")
def rows(django_db_setup, django_db_blocker):
    """Committed once for all tests of this module; each of them is rolled back."""
    with django_db_blocker.unblock(), backlog(live=50, finished=1) as store:
        yield store


@pytest.fixture
def full(rows, db):
    return rows


@pytest.fixture
def empty(db):
    return get_store()


def by_queue(store, **options):
    return {each.queue: each for each in depths(store.using, store.now(), **options)}


def test_depths_tells_what_is_in_each_queue(empty):
    now = empty.now()
    for priority in (0, 5, -5):
        add(empty, now=now, priority=priority, due_in=-60 - priority)
        add(empty, now=now, priority=priority, due_in=60)
    add(empty, now=now, queue="mail", locked_by="w", locked_at=now)
    add(empty, now=now, queue="later", due_in=60)
    add(empty, now=now, queue="ended", failed_at=now)
    Task.objects.update(enqueued_at=now - timedelta(hours=1))
    found = depths(empty.using, now)
    oldest = now - timedelta(seconds=65)
    assert found == [
        QueueDepth(None, due=3, later=3, oldest_due_at=oldest),
        QueueDepth("later", later=1),
        QueueDepth("mail", running=1),
    ]
    assert found[0].oldest_seconds(now) == 65
    assert found[1].oldest_seconds(now) is None


def test_depths_tells_once_of_rows_without_a_queue(empty):
    """However that is written: two of one name would be two series for Prometheus."""
    now = empty.now()
    add(empty, now=now)
    add(empty, now=now, queue="", due_in=-90)
    add(empty, now=now, queue="", due_in=60)
    add(empty, now=now, queue="", locked_by="w", locked_at=now)
    Task.objects.update(enqueued_at=now - timedelta(hours=1))
    oldest = now - timedelta(seconds=90)
    (found,) = depths(empty.using, now)
    assert found == QueueDepth(None, due=2, later=1, running=1, oldest_due_at=oldest)
    (found,) = depths(empty.using, now, most=1)
    assert (found.due, found.is_more) == (1, True)


def test_depths_without_tasks_is_empty(empty):
    assert depths(empty.using) == []


def test_depths_stops_counting_where_it_is_told_to(empty):
    now = empty.now()
    for number in range(4):
        add(empty, now=now, priority=number)
        add(empty, now=now, priority=number, queue="two", due_in=60)
    add(empty, now=now, queue="one")
    found = by_queue(empty, most=3)
    assert (found[None].due, found[None].is_more) == (3, True)
    assert (found["two"].later, found["two"].is_more) == (3, True)
    assert (found["one"].due, found["one"].is_more) == (1, False)


def test_depths_of_more_levels_than_are_looked_at_says_that_there_is_more(empty, monkeypatch):
    monkeypatch.setattr(module, "LEVELS_AT_ONCE", 2)
    for number in range(3):
        add(empty, priority=number)
    assert (by_queue(empty)[None].due, by_queue(empty)[None].is_more) == (2, True)


def test_what_was_stored_with_a_time_in_the_past_has_waited_since_it_was_stored(empty):
    now = empty.now()
    late = add(empty, now=now, due_in=-3600)
    Task.objects.filter(pk=late.pk).update(enqueued_at=now - timedelta(seconds=5))
    usual = add(empty, now=now, due_in=-60)
    Task.objects.filter(pk=usual.pk).update(enqueued_at=now - timedelta(seconds=90))
    assert depths(empty.using, now)[0].oldest_seconds(now) == 60


def test_depths_on_a_database_that_is_not_known_tells_the_same(empty, monkeypatch):
    now = empty.now()
    add(empty, now=now, queue="mail", locked_by="w", locked_at=now)
    add(empty, now=now)
    add(empty, now=now, due_in=60)
    expected = depths(empty.using, now)
    monkeypatch.setattr(module, "get_store", Store)
    assert depths(empty.using, now) == expected


def test_depths_of_a_great_backlog_reads_no_more_than_it_counts(full):
    with measured() as cost:
        found = by_queue(full, most=100)
    assert set(found) == {None, "idle", "mine", "other"}
    assert (found["other"].due, found["other"].is_more) == (100, True)
    assert found["idle"].later == found["mine"].later == found[None].later == 100
    assert found["other"].running == found["idle"].running == 0
    assert found[None].running == 20
    assert cost.scans == []
    # Each level of each queue is entered a few times, and counted rows are read once: of 50,000.
    assert cost.rows < 5000, cost.plans
    assert {"bgtask_claim_queue", "bgtask_owner"} <= cost.indexes


def test_depths_takes_a_few_statements_for_each_queue(full):
    with statements() as made:
        found = depths(full.using, full.now())
    # On MySQL there is one for each level.
    assert len(made.all) <= 3 + len(found) * (24 if connection.vendor == "mysql" else 4)
