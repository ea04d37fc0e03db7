"""Filters that no index serves look at the newest rows, and the page says so."""

import pytest

from background_task.admin import keyset
from background_task.models import CompletedTask, Task
from tests.admin.pages import found_in, list_of
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db

NOTE = "only the newest 3 "


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """Let a window have three rows."""
    monkeypatch.setattr(keyset, "WINDOW", 3)


@pytest.mark.parametrize(
    "query",
    [
        {"status": "waiting"},
        {"status": "due"},
        {"task_name": "other"},
        {"queue": "(unnamed)"},
        {"backend": "@background"},
        {"q": "name:other"},
        {"priority__lt": "1"},
    ],
    ids=str,
)
def test_filter_without_an_index_looks_at_the_newest_tasks(admin_client, query):
    rows = [add() for _ in range(3)]
    assert found_in(admin_client, Task, **query) == rows[::-1]
    assert NOTE not in list_of(admin_client, Task, **query).content.decode()
    rows.append(add())
    assert found_in(admin_client, Task, **query) == rows[:0:-1]
    assert f"{NOTE}tasks were looked at" in list_of(admin_client, Task, **query).content.decode()


@pytest.mark.parametrize(
    "query",
    [
        {"status": "succeeded"},
        {"queue": "(unnamed)"},
        {"task_name": "other", "status": "succeeded"},
        {"cancelled_at__isempty": "1"},
    ],
    ids=str,
)
def test_filter_without_an_index_looks_at_the_newest_of_the_archive(admin_client, query):
    rows = [archive() for _ in range(4)]
    assert found_in(admin_client, CompletedTask, **query) == rows[:0:-1]
    page = list_of(admin_client, CompletedTask, **query).content.decode()
    assert f"{NOTE}completed tasks were looked at" in page


@pytest.mark.parametrize("status", ["running", "stuck", "asked to end"])
def test_filter_that_the_index_of_owners_serves_finds_the_oldest_row(admin_client, status):
    row = add(locked_by="gone", cancel_requested_at="2026-01-01T00:00:00Z")
    for _ in range(4):
        add()
    assert found_in(admin_client, Task, status=status, queue="(unnamed)") == [row]
    assert NOTE not in list_of(admin_client, Task, status=status).content.decode()


def test_filter_by_function_in_the_archive_finds_the_oldest_row(admin_client):
    row = archive("mine")
    for _ in range(4):
        archive()
    assert found_in(admin_client, CompletedTask, task_name="mine") == [row]


def test_failed_tasks_are_found_in_the_whole_archive(admin_client):
    rows = [archive(status="failed") for _ in range(3)]
    for _ in range(4):
        archive()
    assert found_in(admin_client, CompletedTask, status="failed") == rows[::-1]
    page = list_of(admin_client, CompletedTask, status="failed").content.decode()
    assert "looked at" not in page


def test_of_very_many_failed_tasks_those_are_listed_that_failed_last(admin_client):
    rows = [archive(status="failed") for _ in range(4)]
    assert found_in(admin_client, CompletedTask, status="failed") == rows[:0:-1]
    page = list_of(admin_client, CompletedTask, status="failed").content.decode()
    assert "Only the 3 tasks that failed last were looked at." in page


def test_an_id_is_found_in_the_whole_table(admin_client):
    row = add()
    for _ in range(4):
        add()
    assert found_in(admin_client, Task, q=f"id:{row.pk}") == [row]
    assert found_in(admin_client, Task, q=str(row.uid or row.pk)) == [row]
