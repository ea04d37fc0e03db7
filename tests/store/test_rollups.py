"""What is counted is in one row at any time, however often rows are put together."""

from collections import Counter
from datetime import datetime, timedelta, timezone

import pytest
from django.db import connection

from background_task.models import QueueSample, Rollup
from background_task.models.rollup import EVER, FRESH, HOUR, MINUTE
from background_task.rollup import Tally
from background_task.store import rollups as module
from background_task.store.depth import QueueDepth
from background_task.store.rollups import Rollups
from tests.store.rows import statements

NOW = datetime(2026, 5, 4, 12, 30, 45, tzinfo=timezone.utc)


def tally(succeeded=1, failed=0, seconds=0.5):
    made = Tally(succeeded=succeeded, failed=failed, errors=Counter({"app.Error": failed}))
    for _ in range(succeeded + failed):
        made.waits.add(2.0)
        made.runs.add(seconds)
    return made


def add(*, at=NOW, key=("f", None), **counts):
    Rollups("default").add({key: tally(**counts)}, now=at)


def spans():
    return Counter(Rollup.objects.values_list("span", flat=True))


def total():
    return sum(point.tally.ended for point in Rollups("default").totals())


@pytest.mark.django_db
def test_add_inserts_with_one_statement_and_read_returns_what_was_added():
    rollups = Rollups("default")
    tallies = {("f", None): tally(2, 1), ("g", "mail"): tally(3), ("g", None): tally(4)}
    with statements() as made:
        rollups.add(tallies, now=NOW)
    assert len(made.all) == 1
    with statements() as made:
        points = rollups.read(NOW - timedelta(minutes=1))
    assert len(made.all) == 1
    assert {(point.task_name, point.queue): point.tally for point in points} == tallies
    assert {(point.at, point.seconds) for point in points} == {(NOW.replace(second=40), FRESH)}


@pytest.mark.django_db
def test_add_of_nothing_does_nothing():
    with statements() as made:
        Rollups("default").add({})
    assert made.all == []


@pytest.mark.django_db
def test_read_returns_what_begins_within_a_time():
    for minutes in (0, 10, 20):
        add(at=NOW - timedelta(minutes=minutes), succeeded=minutes or 1)
    found = Rollups("default").read(NOW - timedelta(minutes=15), NOW - timedelta(minutes=5))
    assert [point.tally.succeeded for point in found] == [10]


@pytest.mark.django_db
def test_compact_makes_minutes_hours_and_totals_of_what_is_old_enough():
    rollups = Rollups("default")
    for seconds in (50, 60, 70):  # of one minute
        add(at=NOW - timedelta(seconds=seconds), succeeded=2, failed=1)
    add()
    assert rollups.compact(NOW) == 2
    assert spans() == {FRESH: 1, MINUTE: 1}
    (minute,) = [point for point in rollups.read(NOW - timedelta(hours=1)) if point.seconds == 60]
    assert (minute.at, minute.tally.succeeded, minute.tally.failed) == (
        NOW.replace(minute=29, second=0),
        6,
        3,
    )
    assert minute.tally.errors == {"app.Error": 3}
    assert minute.tally.runs.total == 9
    assert minute.tally.runs.seconds == pytest.approx(4.5)
    assert rollups.compact(NOW) == 0

    rollups.compact(NOW + timedelta(hours=2))
    assert spans() == {MINUTE: 2}
    rollups.compact(NOW + timedelta(hours=4))
    assert spans() == {HOUR: 1}
    rollups.compact(NOW + timedelta(days=8, hours=1))
    assert spans() == {EVER: 1}
    assert total() == 10


@pytest.mark.django_db
def test_compact_adds_to_the_totals_that_there_are():
    rollups = Rollups("default")
    for days in (30, 20, 10):
        for key in (("f", None), ("f", "mail"), ("g", None)):
            add(at=NOW - timedelta(days=days), key=key)
        for _ in range(3):
            rollups.compact(NOW - timedelta(days=days - 9))
        assert set(spans()) == {EVER}
    assert spans() == {EVER: 3}
    assert [point.tally.succeeded for point in rollups.totals()] == [3, 3, 3]
    assert rollups.read(NOW - timedelta(days=100)) == []


@pytest.mark.django_db
def test_compact_of_more_than_fits_into_a_transaction_goes_on_the_next_time(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 4)
    monkeypatch.setattr(module, "MOST_TIMES", 2)
    monkeypatch.setattr(module, "MOST_KEYS", 3)
    for number in range(20):
        add(at=NOW - timedelta(minutes=5), key=(f"f{number % 2}", None))
    while Rollups("default").compact(NOW):
        assert total() == 20
    assert FRESH not in spans()


@pytest.mark.django_db
def test_compact_of_what_is_very_old_makes_totals_at_once():
    add(at=NOW - timedelta(days=9), key=("f", None))
    Rollups("default").compact(NOW)
    assert (spans(), total()) == ({EVER: 1}, 1)


@pytest.mark.django_db
def test_compact_of_nothing_takes_three_statements(django_assert_num_queries):
    """Of an idle site, some worker asks this each minute."""
    add()
    with django_assert_num_queries(3):
        assert Rollups("default").compact(NOW) == 0


@pytest.mark.django_db
def test_compact_keeps_the_hours_apart():
    for minutes in (0, 59, 60, 61):
        add(at=NOW.replace(minute=0) - timedelta(hours=3, minutes=minutes))
    rollups = Rollups("default")
    rollups.compact(NOW)
    rollups.compact(NOW)
    found = sorted(
        (point.at.hour, point.tally.ended) for point in rollups.read(NOW - timedelta(days=1))
    )
    assert found == [(7, 1), (8, 2), (9, 1)]


@pytest.mark.django_db
def test_what_cannot_be_read_counts_as_nothing():
    add()
    Rollup.objects.update(waits="{", runs="[1]", errors="[]")
    (point,) = Rollups("default").totals()
    assert (point.tally.succeeded, point.tally.runs.total, point.tally.errors) == (1, 0, {})


@pytest.mark.django_db
def test_reading_a_window_uses_the_index(store):
    add()
    with statements() as made:
        Rollups("default").read(NOW)
    with connection.cursor() as cursor:
        assert "span" in made.all[0]
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {made.all[0]}", (10, 60, 3600, "2026-01-01"))
            assert "bgtask_rollup" in str(cursor.fetchall())


# -- samples ---------------------------------------------------------------------------------------


def sample(at, **due):
    depths = [QueueDepth(name, due=count, oldest_due_at=at) for name, count in due.items()]
    return Rollups("default").sample(depths, now=at)


@pytest.mark.django_db
def test_sample_tells_of_each_queue_and_always_of_the_unnamed_one():
    rollups = Rollups("default")
    depth = QueueDepth("mail", due=3, running=1, oldest_due_at=NOW - timedelta(seconds=90))
    assert rollups.sample([depth], now=NOW)
    found = {row.queue: row for row in rollups.samples(NOW - timedelta(minutes=1))}
    assert (found["mail"].due, found["mail"].running, found["mail"].oldest_seconds) == (3, 1, 90)
    assert (found[None].due, found[None].oldest_seconds) == (0, None)
    assert found["mail"].at == NOW.replace(second=0)
    assert not rollups.sample([depth], now=NOW + timedelta(seconds=5))
    assert QueueSample.objects.count() == 2


@pytest.mark.django_db
def test_of_two_samples_of_a_minute_the_fuller_one_counts():
    """Rivals: two workers that both found that nobody had looked yet."""
    values = {"at": NOW.replace(second=0), "queue": "mail", "running": 0}
    for due in (2, 5, 3):
        QueueSample.objects.create(due=due, **values)
    assert [each.due for each in Rollups("default").samples(NOW - timedelta(minutes=1))] == [5]


@pytest.mark.django_db
def test_compact_keeps_the_fullest_minute_of_an_hour_and_nothing_for_ever():
    begin = NOW.replace(minute=0, second=0)
    for minute, due in ((1, 3), (2, 9), (3, 4)):
        sample(begin + timedelta(minutes=minute), mail=due)
    rollups = Rollups("default")
    rollups.compact(begin + timedelta(hours=24))
    assert QueueSample.objects.filter(span=MINUTE).count() == 6
    rollups.compact(begin + timedelta(hours=25))
    found = {row.queue: (row.at.minute, row.due) for row in rollups.samples(begin)}
    assert found == {None: (1, 0), "mail": (2, 9)}
    assert set(QueueSample.objects.values_list("span", flat=True)) == {HOUR}
    rollups.compact(begin + timedelta(days=8, hours=1))
    assert not QueueSample.objects.exists()
