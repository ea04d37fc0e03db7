"""Pages begin at keys: nothing is counted or skipped, and what comes in moves no other row."""

import re
from datetime import timedelta

import django
import pytest
from django.urls import reverse
from django.utils import timezone

from background_task.admin import keyset
from background_task.admin.keyset import Place
from background_task.models import CompletedTask, Task, Worker
from background_task.payload import encode
from tests.admin.pages import found_in, list_of, statements_of
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db

MODELS = (Task, CompletedTask)
#: How Django from 5.0 on is asked to count the rows of each choice; before, nobody can ask.
FACETS = {"_facets": "True"} if django.VERSION >= (5, 0) else {"all": "1"}


@pytest.fixture
def short(monkeypatch):
    """Let a page have three rows."""
    from django.contrib import admin

    for model in (Task, CompletedTask, Worker):
        monkeypatch.setattr(type(admin.site._registry[model]), "list_per_page", 3)


def many(model, count):
    """Insert rows at once, each with an argument of its own.

    They are due for long: whether a worker is missed must not depend on the next microsecond.
    """
    row = add(run_at=timezone.now() - timedelta(hours=1)) if model is Task else archive()
    rows = [model(**values_of(row, number)) for number in range(count - 1)]
    model.objects.bulk_create(rows)
    return list(model.objects.order_by("-pk"))


def values_of(row, number):
    names = ("task_name", "task_hash", "run_at", "enqueued_at")
    return {**{name: getattr(row, name) for name in names}, "task_params": encode((number,), {})}


@pytest.mark.parametrize("text", ["older-than-7", "newer-than-0"])
def test_place_is_read_as_it_was_written(text):
    assert str(Place.read(text)) == text


@pytest.mark.parametrize(
    "text", ["", "2", "older-than-", "older-than-1e3", "newer-than-" + "9" * 30]
)
def test_place_that_cannot_be_read_is_the_first_page(text):
    assert Place.read(text) is None


@pytest.mark.parametrize("model", MODELS)
def test_pages_lead_to_every_row_and_back(admin_client, short, model):
    rows = many(model, 8)
    pages, places = [], [""]
    while True:
        cl = list_of(admin_client, model, p=places[-1]).context["cl"]
        pages.append(cl.result_list)
        if not cl.older_url:
            break
        places.append(place_in(cl.older_url))
    assert pages == [rows[:3], rows[3:6], rows[6:]]
    assert place_in(cl.newest_url) == ""
    cl = list_of(admin_client, model, p=place_in(cl.newer_url)).context["cl"]
    assert cl.result_list == pages[1]
    assert found_in(admin_client, model, p=place_in(cl.newer_url)) == pages[0]


def place_in(url):
    found = re.fullmatch(r"\?(?:p=([\w-]+))?", url)
    return found[1] or ""


def test_oldest_page_has_the_last_rows(admin_client, short):
    rows = many(Task, 8)
    cl = list_of(admin_client, Task).context["cl"]
    assert (cl.newest_url, cl.newer_url) == ("", "")
    cl = list_of(admin_client, Task, p=place_in(cl.oldest_url)).context["cl"]
    assert cl.result_list == rows[5:]
    assert (cl.older_url, cl.oldest_url) == ("", "")


def test_rows_that_come_in_meanwhile_move_no_other(admin_client, short):
    rows = many(Task, 6)
    older = place_in(list_of(admin_client, Task).context["cl"].older_url)
    late = [add() for _ in range(2)]
    cl = list_of(admin_client, Task, p=older).context["cl"]
    assert cl.result_list == rows[3:]
    newer = place_in(cl.newer_url)
    assert found_in(admin_client, Task, p=newer) == rows[:3]
    assert found_in(admin_client, Task)[:2] == late[::-1]


def test_page_whose_rows_are_gone_leads_back(admin_client, short):
    rows = many(Task, 4)
    Task.objects.filter(pk=rows[-1].pk).delete()
    cl = list_of(admin_client, Task, p=f"older-than-{rows[2].pk}").context["cl"]
    assert cl.result_list == []
    assert cl.newest_url == "?"


def test_pages_keep_filters_and_search(admin_client, short):
    rows = [add(queue="mine" if number % 2 else None) for number in range(10)]
    mine = rows[::-1][0::2]
    query = {"queue": "mine", "q": "name:other"}
    cl = list_of(admin_client, Task, **query).context["cl"]
    assert cl.result_list == mine[:3]
    assert cl.older_url == f"?p=older-than-{mine[2].pk}&q=name%3Aother&queue=mine"
    assert found_in(admin_client, Task, **query, p=f"older-than-{mine[2].pk}") == mine[3:]


def test_pages_of_gathered_rows_are_in_the_same_order(admin_client, short):
    rows = [add(locked_by="w") for _ in range(5)][::-1]
    add()
    cl = list_of(admin_client, Task, status="running").context["cl"]
    assert cl.result_list == rows[:3]
    older = f"older-than-{rows[2].pk}"
    assert found_in(admin_client, Task, status="running", p=older) == rows[3:]
    oldest = found_in(admin_client, Task, status="running", p="newer-than-0")
    assert oldest == rows[2:]


def test_number_of_rows_is_told_up_to_a_thousand(admin_client, monkeypatch):
    monkeypatch.setattr(keyset, "MOST_COUNTED", 5)
    many(Task, 5)
    assert "<span>5 tasks</span>" in list_of(admin_client, Task).content.decode()
    add()
    response = list_of(admin_client, Task)
    assert "<span>more than 5 tasks</span>" in response.content.decode()
    assert response.context["cl"].result_count == 6


def test_all_rows_can_be_selected_over_all_pages(admin_client, short, monkeypatch):
    monkeypatch.setattr(keyset, "MOST_COUNTED", 5)
    for number in range(8):
        add(queue="mine" if number < 7 else None)
    page = list_of(admin_client, Task, queue="mine").content.decode()
    assert "Select all of them, more than 5 tasks" in page
    data = {"action": "inc_priority", "select_across": "1", "index": "0"}
    data["_selected_action"] = [Task.objects.filter(queue="mine").first().pk]
    url = reverse("admin:background_task_task_changelist")
    response = admin_client.post(f"{url}?queue=mine", data)
    assert response.status_code == 302
    assert set(Task.objects.filter(queue="mine").values_list("priority", flat=True)) == {1}
    assert Task.objects.get(queue=None).priority == 0


def test_no_column_can_be_sorted_by(admin_client):
    rows = [add(priority=number % 3) for number in range(4)]
    response = list_of(admin_client, Task, o="4")
    assert list(response.context["cl"].result_list) == rows[::-1]
    assert "sortable" not in response.content.decode()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "query",
    [{}, {"status": "failed"}, {"q": "arg:7"}, FACETS],
    ids=str,
)
def test_list_asks_the_same_at_ten_and_a_thousand_rows_and_counts_nothing(
    admin_client, short, model, query
):
    many(model, 10)
    few = statements_of(lambda: list_of(admin_client, model, **query))
    many(model, 990)
    statements = statements_of(lambda: list_of(admin_client, model, **query))
    assert len(statements) == len(few) <= 15
    for statement in statements:
        assert "COUNT(" not in statement.upper()
        assert "DISTINCT" not in statement.upper()


def test_list_of_workers_asks_the_same_however_many_there_are(admin_client):
    from tests.admin.test_worker_list import living

    def ask():
        list_of(admin_client, Worker)

    for number in range(3):
        add(locked_by=living(f"first {number}").name)
    few = statements_of(ask)
    for number in range(40):
        add(locked_by=living(f"more {number}").name)
    assert len(statements_of(ask)) == len(few) <= 7
