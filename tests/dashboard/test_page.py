"""What the page says of the rows."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from background_task.dashboard.live import MOST_TICKS
from background_task.models import Schedule, Task, Worker
from background_task.progress_report import ProgressReport
from background_task.store import Fleet
from background_task.store.pause import Pauses
from tests.store.rows import LEASE, add

pytestmark = pytest.mark.django_db


def tile(page, title):
    (found,) = (each for each in page.tiles if each.title == title)
    return found


def chart(page, name):
    (found,) = (each for each in page.charts if each.name == name)
    return found


def worker(name, *, heard=timedelta(0), queues="", capacity=2, **values):
    now = timezone.now()
    Fleet("default").register(name, queues=queues, capacity=capacity, lease=LEASE, now=now - heard)
    Worker.objects.filter(name=name).update(host=f"host of {name}", pid=7, **values)


def test_blank_page_says_how_to_begin(make_page, show):
    page = make_page()

    assert page.is_blank
    assert all(each.empty for each in page.charts)
    text = show()
    assert "Nothing has happened yet" in text
    assert "<code>python manage.py process_tasks</code>" in text


def test_page_that_has_seen_a_worker_is_not_blank(make_page):
    worker("w")
    assert not make_page().is_blank


def test_tiles_add_up_the_period(make_page, happened):
    happened(succeeded=8, failed=2, retried=3, waits=[1] * 10, runs=[2] * 10)
    happened("b", "mail", ago=timedelta(minutes=30), succeeded=10)
    happened("b", "mail", ago=timedelta(hours=5), succeeded=100)

    page = make_page()

    assert tile(page, "Ended").value == "20"
    assert (tile(page, "Failed").value, tile(page, "Failed").level) == ("10%", "error")
    assert tile(page, "Failed").note == "2 failed, 3 retried"
    assert (tile(page, "Wait p95").value, tile(page, "Wait p95").note) == ("1 s", "median 1 s")
    assert tile(page, "Run p95").value == "2.1 s"  # times are known within a fifth
    assert tile(make_page(range="24h"), "Ended").value == "120"
    assert tile(make_page(range="7d"), "Ended").value == "120"


def test_filters_show_a_queue_or_a_function_only(make_page, happened):
    happened("a", "mail", succeeded=1)
    happened("a", None, succeeded=2)
    happened("b", "mail", succeeded=4)

    def ended(**query):
        return tile(make_page(**query), "Ended").value

    assert ended() == "7"
    assert ended(queue="mail") == "5"
    assert ended(queue="(unnamed)") == "2"
    assert ended(function="a") == "3"
    assert ended(function="a", queue="mail") == "1"
    assert ended(function="no such") == "0"
    assert [each.value for each in make_page(queue="mail").queues] == ["(unnamed)", "mail"]
    assert make_page(queue="gone").queues[0].value == "gone"


def test_chart_of_ends_has_the_present_minute_last(make_page, happened):
    happened(succeeded=3, failed=1)

    found = chart(make_page(), "throughput")

    assert found.headers == ["Time", "succeeded", "cancelled", "discarded", "failed"]
    assert [row[1:] for row in found.rows if row[1:] != ["0"] * 4] == [["3", "0", "0", "1"]]
    assert len(found.rows) == 61


def test_queues_show_what_is_in_them_and_who_serves_them(make_page, store):
    add(store, queue="mail")
    add(store, queue="mail", due_in=3600)
    add(store, queue="slow")
    worker("w", queues="mail")
    Pauses("default").pause("queue", "slow")

    lines = {line.name: line for line in make_page().queue_lines}

    assert (lines["mail"].due, lines["mail"].later, lines["mail"].workers) == ("1", "1", 1)
    assert not lines["mail"].is_left
    assert (lines["slow"].due, lines["slow"].workers) == ("1", 0)
    assert lines["slow"].is_paused
    assert not lines["slow"].is_left


def test_running_tasks_say_how_far_they_are(make_page, store):
    worker("w", capacity=1)
    claim = store.claim_one(add(store, task_name="shop.tasks.report").pk, "w")
    store.report(claim, ProgressReport(3, 10, "pages").to_text())
    store.claim_one(add(store).pk, "w")

    (line,) = make_page().running_lines

    assert (line.name.prefix, line.name.base) == ("shop.tasks.", "report")
    assert (line.percent, line.progress, line.attempt) == (30, "3 of 10 (30%): pages", 1)
    (crew,) = make_page().worker_lines
    assert (crew.used, crew.capacity, crew.in_hand) == (1, 1, 1)


def test_running_task_of_somebody_unknown_is_shown(make_page, store):
    Task.objects.filter(pk=add(store).pk).update(locked_by="4711", locked_at=timezone.now())

    assert [line.worker for line in make_page().running_lines] == ["4711"]


def test_workers_say_whether_they_are_alive(make_page):
    now = timezone.now()
    worker("alive", memory_bytes=50 * 2**20, processed=1234)
    worker("silent", heard=timedelta(minutes=5))
    worker("dead", heard=timedelta(minutes=5), stopped_at=now)
    worker("stopped", heard=timedelta(minutes=6))
    Fleet("default").retire("stopped", now=now - timedelta(minutes=6))
    worker("long gone", heard=timedelta(hours=5))
    Worker.objects.filter(name="long gone").update(stopped_at=now - timedelta(hours=5))

    lines = make_page().worker_lines

    assert [(line.name, line.state) for line in lines] == [
        *(("alive", "alive"), ("silent", "silent"), ("dead", "dead"), ("stopped", "stopped")),
    ]
    assert (lines[0].memory, lines[0].processed) == ("50 MiB", "1,234")
    assert lines[1].heard.startswith("5 min")


def test_ticks_are_the_next_ones_and_paused_schedules_are_named(make_page):
    now = timezone.now()
    for number in range(MOST_TICKS + 2):
        Schedule.objects.create(
            key=str(number),
            name=f"tick {number}",
            task_name="shop.tasks.tick",
            rule="every 60 seconds" if number else "no rule of this version",
            digest="d",
            next_tick_at=now + timedelta(minutes=number, seconds=30),
            is_paused=number == 1,
            declared_at=now,
            seen_at=now,
        )

    page = make_page()

    assert [line.name for line in page.tick_lines] == [
        "tick 0",
        *(f"tick {number}" for number in range(2, MOST_TICKS + 1)),
    ]
    assert page.tick_lines[0].rule == "no rule of this version"
    assert page.paused_schedules == ["tick 1"]


def test_pauses_are_shown(make_page):
    Pauses("default").pause("function", "shop.tasks.send")

    assert [what for what, _ in make_page().pause_lines] == ["function 'shop.tasks.send'"]


def test_failures_are_counted_by_exception(make_page, happened):
    happened("a", failed=1, errors={"x.Broken": 3})
    happened("b", failed=1, errors={"x.Broken": 1, "y.Other": 1})

    first, second = make_page().failure_lines

    assert (first.name.base, first.runs) == ("Broken", "4")
    assert [name.base for name in first.functions] == ["a", "b"]
    assert second.name.base == "Other"


@override_settings(USE_TZ=False, TIME_ZONE="Asia/Kolkata")
def test_page_of_a_project_without_time_zones(make_page, happened, store):
    happened(succeeded=2)
    store.claim_one(add(store).pk, "w")
    worker("w")
    add(store)

    page = make_page()

    assert tile(page, "Ended").value == "2"
    assert sum(int(row[1]) for row in chart(page, "throughput").rows) == 2
    assert page.queue_lines[0].due == "1"
    assert page.worker_lines[0].state == "alive"
    assert page.running_lines[0].seconds.endswith("s")
