"""The metrics: what they say, who may read them, and what they cost."""

import importlib
import sys
import urllib.request
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import connections
from django.test import RequestFactory

from background_task.contrib.prometheus import serve
from background_task.contrib.prometheus.metrics import BUCKETS, DatabaseCollector, cumulated
from background_task.contrib.prometheus.urls import urlpatterns
from background_task.contrib.prometheus.views import for_staff, metrics, metrics_view
from background_task.exceptions import InvalidOptionError
from background_task.models import Task, Worker
from background_task.rollup import Histogram, Tally
from background_task.store import get_store
from background_task.store.rollups import Rollups
from tests.docs.pages import ROOT, table_with
from tests.store.rows import LEASE, add, statements, worker

TOKEN = "not to be guessed"


def samples():
    """All that is told, by name and labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for metric in DatabaseCollector().collect()
        for sample in metric.samples
    }


def get(view, **headers):
    return view(RequestFactory(headers=headers).get("/metrics/"))


def counted(**counts):
    tally = Tally(**counts)
    tally.runs.add(0.04)
    tally.waits.add(20.0)
    return tally


@pytest.mark.django_db
def test_ends_are_counters_that_never_go_back():
    rollups, now = Rollups("default"), get_store().now()
    rollups.add({("f", None): counted(succeeded=3, failed=1)}, now=now - timedelta(days=9))
    before = samples()
    for _ in range(3):
        rollups.compact(now)
    assert samples() == before
    rollups.add({("f", None): counted(succeeded=2), ("g", "mail"): counted(retried=1)}, now=now)
    found = samples()
    assert found["background_task_tasks_ended_total", ("f", "", "succeeded")] == 5
    assert found["background_task_tasks_ended_total", ("f", "", "failed")] == 1
    assert found["background_task_tasks_ended_total", ("f", "", "cancelled")] == 0
    assert found["background_task_retries_total", ("g", "mail")] == 1
    assert found["background_task_run_seconds_count", ("f", "")] == 2
    assert found["background_task_run_seconds_sum", ("f", "")] == pytest.approx(0.08)
    assert found["background_task_wait_seconds_bucket", ("f", "", "10.0")] == 0
    assert found["background_task_wait_seconds_bucket", ("f", "", "30.0")] == 2
    assert found["background_task_wait_seconds_bucket", ("f", "", "+Inf")] == 2


def test_buckets_are_cumulated_and_hold_all():
    histogram = Histogram()
    times = (0.0, 0.0005, 0.003, 0.7, 45, 10**6)
    for seconds in times:
        histogram.add(seconds)
    told = dict(cumulated(histogram))
    assert list(told.values()) == sorted(told.values())
    assert told["+Inf"] == len(times)
    for bound in BUCKETS:
        # A time counts at the latest where it is 20 % below the bound.
        least = sum(seconds * 1.2 <= bound for seconds in times)
        assert least <= told[str(bound)] <= sum(seconds <= bound for seconds in times)


@pytest.mark.django_db
def test_queues_and_workers_are_gauges():
    store = get_store()
    now = store.now()
    for name, lease in (("a", LEASE), ("b", LEASE), ("silent", -LEASE)):
        worker(name, now=now, lease=lease)
    Worker.objects.update(capacity=4, memory_bytes=1000)
    add(store, now=now, due_in=-100)
    Task.objects.update(enqueued_at=now - timedelta(days=1))
    add(store, now=now, due_in=100)
    add(store, now=now, queue="mail", locked_by="a", locked_at=now)
    found = samples()
    assert found["background_task_queue_due", ("",)] == 1
    assert found["background_task_queue_scheduled", ("",)] == 1
    assert found["background_task_queue_running", ("mail",)] == 1
    assert found["background_task_queue_oldest_due_seconds", ("",)] >= 100
    assert found["background_task_queue_oldest_due_seconds", ("mail",)] == 0
    assert found["background_task_workers_alive", ()] == 2
    assert found["background_task_workers_silent", ()] == 1
    assert found["background_task_worker_slots", ()] == 8
    assert found["background_task_worker_memory_bytes", ()] == 2000


@pytest.mark.django_db
def test_table_of_the_page_has_each_metric():
    shown = {
        row["Metric"].strip("`"): (row["Kind"], row["Labels"].replace("`", ""))
        for row in table_with(ROOT / "docs" / "monitoring.md", "Metric", "Kind", "Labels")
    }
    told = {}
    for metric in DatabaseCollector().collect():
        name = metric.name + ("_total" if metric.type == "counter" else "")
        told[name] = (metric.type, ", ".join(getattr(metric, "_labelnames", ())))
    assert shown == told


@pytest.mark.django_db
def test_scrape_takes_a_few_statements():
    with statements() as made:
        samples()
    assert len(made.all) <= 8


# -- the view --------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_view_speaks_the_formats_of_prometheus():
    Rollups("default").add({('say "hi"\n', None): Tally(succeeded=1)})
    plain = get(metrics)
    assert plain.headers["Content-Type"].startswith("text/plain; version=")
    text = plain.content.decode()
    assert "# TYPE background_task_tasks_ended_total counter" in text
    assert 'function="say \\"hi\\"\\n",outcome="succeeded",queue=""} 1.0' in text
    assert "no-store" in plain.headers["Cache-Control"]
    modern = get(metrics, accept="application/openmetrics-text; version=1.0.0")
    assert modern.headers["Content-Type"].startswith("application/openmetrics-text")
    assert modern.content.endswith(b"# EOF\n")
    assert metrics(RequestFactory().post("/metrics/")).status_code == 405


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given", "status"),
    [
        (f"Bearer {TOKEN}", 200),
        ("Bearer something else", 401),
        (TOKEN, 401),
        ("Bearer ünbekannt", 401),
        ("", 401),
    ],
)
def test_view_with_a_token_wants_it(given, status):
    response = get(metrics_view(token=TOKEN), authorization=given)
    assert response.status_code == status
    assert (b"background_task" in response.content) == (status == 200)


def test_token_that_can_be_guessed_is_refused():
    with pytest.raises(InvalidOptionError, match="has 6 characters, which can be guessed; use 16"):
        metrics_view(token="secret")


@pytest.mark.django_db
def test_urls_are_for_people_who_may_see_the_dashboard():
    assert [pattern.callback for pattern in urlpatterns] == [for_staff]
    request = RequestFactory().get("/metrics/")
    assert for_staff(request).status_code == 403  # a site without users
    request.user = AnonymousUser()
    assert for_staff(request).status_code == 403
    user = request.user = User.objects.create_user("staff", is_staff=True)
    assert for_staff(request).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_dashboard"))
    request.user = User.objects.get(pk=user.pk)
    assert for_staff(request).status_code == 200


# -- the port --------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_serve_answers_at_its_port_and_keeps_no_connection(monkeypatch):
    closed = []
    close_all = connections.close_all
    monkeypatch.setattr(connections, "close_all", lambda: (close_all(), closed.append(1)))
    worker("w", now=get_store().now())
    port = serve(0)
    address = f"http://127.0.0.1:{port}/metrics"
    for _ in range(2):
        with urllib.request.urlopen(address, timeout=30) as response:
            assert b"background_task_workers_alive 1.0" in response.read()
    assert closed == [1, 1]
    with pytest.raises(OSError, match=r"[Aa]ddress"):
        serve(port)


def test_without_the_extra_the_error_names_it(monkeypatch):
    name = "background_task.contrib.prometheus"
    for known in [module for module in sys.modules if module.startswith(name)]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ImportError, match=r"pip install \"django-background-tasks\[prometheus\]\""):
        importlib.import_module(name)
