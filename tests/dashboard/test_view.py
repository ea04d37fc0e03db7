"""The page as HTML: who may see it, what addresses give, and that nothing in it is live."""

from datetime import timedelta
from html.parser import HTMLParser

import pytest
from django.test import Client
from django.urls import NoReverseMatch, reverse

from background_task.models import (
    CompletedTask,
    Pause,
    QueueSample,
    Rollup,
    Schedule,
    Task,
    Worker,
)
from background_task.progress_report import ProgressReport
from background_task.store.pause import Pauses
from tests.dashboard.values import tally
from tests.store.rows import LEASE, add, worker

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
SECTIONS = [
    *("bgt-alerts", "bgt-tiles", "bgt-chart-throughput", "bgt-chart-depth", "bgt-chart-waits"),
    *("bgt-chart-runs", "bgt-running", "bgt-workers", "bgt-queues", "bgt-functions"),
    *("bgt-failures", "bgt-ticks", "bgt-pauses"),
]
VOID = {"br", "img", "input", "link", "meta", "hr"}


class Parsed(HTMLParser):
    """The elements of a page, and what is wrong with how they are nested."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.wrong = []
        self._open = []
        self.feed(text)
        self.wrong += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if self._open and self._open[-1] == tag:
            self._open.pop()
        elif tag not in VOID:
            self.wrong.append(f"</{tag}> within {self._open[-3:]}")

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self):
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


@pytest.fixture
def full(happened, store):
    """Something in each part of the page."""
    happened("shop.tasks.send", "mail", succeeded=3, failed=2, errors={"shop.Broken": 2}, runs=[1])
    worker("w", now=store.now())
    claim = store.claim_one(add(store, queue="mail", task_name="shop.tasks.send").pk, "w")
    store.report(claim, ProgressReport(1, 4, "mails").to_text())
    add(store, queue="mail")
    Pauses("default").pause("function", "shop.tasks.send")
    now = store.now()
    Schedule.objects.create(
        key="k",
        name="nightly",
        task_name="shop.tasks.clean",
        rule="every 60 seconds",
        digest="d",
        next_tick_at=now,
        declared_at=now,
        seen_at=now,
    )


# -- Rights ----------------------------------------------------------------------------------------


def test_page_asks_strangers_to_log_in(url):
    response = Client().get(url)

    assert response.status_code == 302
    assert response["Location"].startswith(reverse("admin:login"))


def test_page_refuses_staff_without_the_right(url, staff):
    assert staff("view_task", "view_worker").get(url).status_code == 403


def test_fragment_refuses_whom_the_page_refuses(url, staff):
    assert staff().get(url, {"fragment": "1"}).status_code == 403
    assert Client().get(url, {"fragment": "1"}).status_code == 302


def test_page_is_shown_to_staff_with_the_right_and_leads_nowhere_else(url, staff, full):
    text = staff("view_dashboard").get(url).content.decode()

    assert "shop.tasks." in text
    assert reverse("admin:background_task_task_change", args=[1])[:-9] not in text
    assert reverse("admin:background_task_completedtask_changelist") not in text


def test_page_leads_where_the_person_may_go(url, staff, full):
    client = staff("view_dashboard", "view_task", "view_completedtask", "view_worker")

    text = client.get(url).content.decode()

    task = Task.objects.get(locked_by__isnull=False)
    assert reverse("admin:background_task_task_change", args=[task.pk]) in text
    assert reverse("admin:background_task_worker_change", args=[Worker.objects.get().pk]) in text
    failed = reverse("admin:background_task_completedtask_changelist")
    link = f"{failed}?status=failed&amp;task_name=shop.tasks.send"
    assert link in text
    assert client.get(link.replace("&amp;", "&")).status_code == 200
    assert reverse("admin:background_task_pause_changelist") not in text


def test_page_is_in_the_index_for_those_who_may_see_it(url, staff):
    client = staff("view_dashboard")
    for page in (reverse("admin:index"), reverse("admin:app_list", args=["background_task"])):
        assert f'href="{url}"' in client.get(page).content.decode()


def test_lists_lead_to_the_page_only_those_who_may_see_it(url, staff, admin_client):
    tasks = reverse("admin:background_task_task_changelist")

    assert f'<a href="{url}">Dashboard</a>' in admin_client.get(tasks).content.decode()
    client = staff("view_task")
    assert url not in client.get(tasks).content.decode()
    index = client.get(reverse("admin:app_list", args=["background_task"])).content.decode()
    assert url not in index


@pytest.mark.parametrize("page", ["add", "change", "delete", "history"])
def test_there_is_no_other_page_of_it(page, url, admin_client):
    with pytest.raises(NoReverseMatch):
        reverse(f"admin:background_task_dashboard_{page}")
    for rest in (f"{page}/", f"1/{page}/"):
        assert admin_client.get(url + rest).status_code == 404


def test_post_leads_to_the_page_whom_it_is_shown(url, staff, admin_client):
    response = admin_client.post(f"{url}?range=7d", {"action": "delete_selected"})

    assert response.status_code == 302
    assert response["Location"] == f"{url}?range=7d"
    assert staff().post(url).status_code == 403


# -- Addresses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {"range": "2 years"},
        {"range": "", "queue": "", "function": "", "order": ""},
        {"range": EVIL, "queue": EVIL, "function": EVIL, "order": EVIL},
        {"queue": "x" * 5000, "function": "\x00"},
        {"order": "password", "page": "-1", "o": "1.2", "e": "1", "q": "x", "_popup": "1"},
    ],
)
def test_wrong_address_gives_the_page(query, show, happened):
    happened(succeeded=1)

    text = show(**query)

    (current,) = (each for each in Parsed(text).all("a") if each.get("aria-current") == "true")
    assert "range" not in current["href"]
    assert EVIL not in text


def test_range_is_marked_and_kept_by_other_choices(show, happened):
    happened("shop.tasks.send", "mail", succeeded=1)

    page = Parsed(show(range="24h", queue="mail"))

    (current,) = (each for each in page.all("a") if each.get("aria-current") == "true")
    assert current["href"] == "?range=24h&queue=mail"
    assert {"href": "?range=7d&queue=mail"} in page.all("a")
    assert {"type": "hidden", "name": "range", "value": "24h"} in page.all("input")
    (chosen,) = (each for each in page.all("option") if "selected" in each)
    assert chosen["value"] == "mail"
    root = next(each for each in page.all("div") if each.get("id") == "bgt")
    assert root["data-fragment"] == "?range=24h&queue=mail&fragment=1"
    assert root["data-login"].endswith("%3Frange%3D24h%26queue%3Dmail")


def test_order_of_functions_is_marked(show, full):
    page = Parsed(show(order="failed"))

    assert [each["aria-sort"] for each in page.all("th") if "aria-sort" in each] == ["descending"]


def test_fragment_has_the_sections_of_the_page_and_nothing_else(show, full):
    fragment = show(fragment="1")

    assert "<html" not in fragment
    assert "bgt-bar" not in fragment
    sections = [each["id"] for each in Parsed(fragment).all("section")]
    assert sections == SECTIONS
    assert [each["id"] for each in Parsed(show()).all("section")] == SECTIONS


def test_fragment_is_not_kept_by_caches(url, admin_client):
    assert "no-cache" in admin_client.get(url, {"fragment": "1"})["Cache-Control"]


# -- HTML ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", ["none", "some"])
def test_page_is_well_formed_and_has_nothing_inline(rows, show, request):
    if rows == "some":
        request.getfixturevalue("full")

    page = Parsed(show())

    assert page.wrong == []
    assert not page.all("style")
    assert all("src" in each for each in page.all("script"))
    for tag, attributes in page.elements:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "action"):
            assert "//" not in attributes.get(name, ""), (tag, attributes)
            assert not attributes.get(name, "").startswith("javascript:")
    assert len(page.ids()) == len(set(page.ids()))


def test_charts_and_tables_have_names(show, full):
    page = Parsed(show())
    ids = page.ids()

    pictures = [each for each in page.all("svg") if each.get("role") == "img"]
    assert len(pictures) == 2  # of waits and of the queues there is nothing: those charts say so
    for element in [*pictures, *page.all("section"), *page.all("div")]:
        assert element.get("aria-labelledby", ids[0]) in ids
    assert all("scope" in each for each in page.all("th"))
    labels = {each["for"] for each in page.all("label")}
    assert {each["id"] for each in page.all("select")} <= labels


def test_page_shows_each_part(show, full):
    text = show()

    assert '<progress max="100" value="25" aria-label="Progress">25%</progress>' in text
    for part in ("1 of 4 (25%): mails", "nightly", "Broken", "Resume one of them", "mail"):
        assert part in text


def test_names_are_text_wherever_they_come_from(show, happened, store):
    happened(EVIL, EVIL, succeeded=1, failed=1, errors={EVIL: 1}, runs=[1])
    now = store.now()
    Worker.objects.create(
        name=EVIL[:64],
        host=EVIL,
        pid=1,
        queues=EVIL,
        started_at=now,
        heartbeat_at=now,
        expires_at=now + LEASE,
    )
    row = add(store, task_name=EVIL, queue=EVIL, verbose_name=EVIL)
    claim = store.claim_one(row.pk, EVIL[:64])
    store.report(claim, ProgressReport(1, 2, EVIL).to_text())
    add(store, task_name=EVIL, queue=f"{EVIL} too")
    Pauses("default").pause("queue", EVIL)
    Pause.objects.update(paused_at=now)
    Schedule.objects.create(
        key="k",
        name=EVIL,
        task_name=EVIL,
        rule=EVIL,
        digest="d",
        next_tick_at=now,
        declared_at=now,
        seen_at=now,
    )

    for query in ({}, {"fragment": "1"}, {"queue": EVIL, "function": EVIL}):
        text = show(**query)
        page = Parsed(text)
        assert page.wrong == []
        assert "<script>alert" not in text
        assert not page.all("img")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


# -- Cost ------------------------------------------------------------------------------------------


def fill(store, number):
    """Add rows of all kinds, as many of each, but few that are held."""
    now = store.now()
    counted = tally(succeeded=1, waits=[1], runs=[1], errors={"a.B": 1})
    texts = {"waits": counted.waits.to_text(), "runs": counted.runs.to_text()}
    Rollup.objects.bulk_create(
        [
            Rollup(at=now, span=10, task_name=f"f{each % 70}", queue="q", succeeded=1, **texts)
            for each in range(number)
        ]
    )
    QueueSample.objects.bulk_create(
        QueueSample(at=now, queue="q", due=each, running=1) for each in range(number)
    )
    rows = {"task_params": "[[], {}]", "task_hash": "h", "queue": "q", "run_at": now}
    Task.objects.bulk_create(Task(task_name="f", **rows) for _ in range(number))
    held = {"locked_by": "w", "locked_at": now}
    Task.objects.bulk_create(Task(task_name="f", **rows, **held) for _ in range(number // 10))
    CompletedTask.objects.bulk_create(CompletedTask(task_name="f", **rows) for _ in range(number))


def test_page_takes_as_many_queries_for_many_rows_as_for_few(
    url, admin_client, store, django_assert_max_num_queries
):
    worker("w", now=store.now(), lease=timedelta(hours=1))
    fill(store, 10)
    with django_assert_max_num_queries(30) as few:
        admin_client.get(url)
    fill(store, 2000)

    with django_assert_max_num_queries(len(few)):
        response = admin_client.get(url)

    assert len(response.content) < 400_000
