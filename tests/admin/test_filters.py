"""What the filters of the lists offer, and what they find."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from background_task.models import CompletedTask, Task, Worker
from background_task.pausing import pause
from background_task.tasks import background
from tests.admin.pages import found_in, list_of
from tests.admin.test_worker_list import living
from tests.api.conftest import add, archive, registry

__all__ = ["registry"]  # a fixture

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def rows(db):
    """A live task that stands in each way."""
    now = timezone.now()
    living("alive")
    return {
        "due": add(),
        "scheduled": add(run_at=now + HOUR),
        "at its limit": add(run_at=now + HOUR, due_at=now - HOUR),
        "running": add(locked_by="alive", locked_at=now),
        "stuck": add(locked_by="gone", locked_at=now),
        "asked to end": add(locked_by="alive", locked_at=now, cancel_requested_at=now),
        "failed": add(failed_at=now),
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("waiting", {"due", "scheduled", "at its limit"}),
        ("due", {"due"}),
        ("scheduled", {"scheduled"}),
        ("at its limit", {"at its limit"}),
        ("running", {"running", "stuck", "asked to end"}),
        ("stuck", {"stuck"}),
        ("asked to end", {"asked to end"}),
        ("failed", {"failed"}),
    ],
)
def test_filter_of_live_tasks_by_status(rows, admin_client, status, expected):
    assert set(found_in(admin_client, Task, status=status)) == {rows[name] for name in expected}


def test_badges_say_in_words_how_each_task_stands(rows, admin_client):
    pause(queue="resting")
    add(queue="resting")
    page = list_of(admin_client, Task).content.decode()
    for kind, word in (
        ("due", "waiting, due"),
        ("scheduled", "scheduled"),
        ("limited", "waiting at its limit"),
        ("running", "running"),
        ("stuck", "stuck: its worker is gone"),
        ("asked", "running, asked to end"),
        ("failed", "failed"),
        ("paused", "paused"),
    ):
        assert f'<span class="bgtask-badge bgtask-is-{kind}">{word}</span>' in page
    assert page.count("bgtask-is-paused") == 1


@pytest.mark.parametrize("status", ["succeeded", "failed", "discarded", "cancelled"])
def test_badges_of_finished_tasks(admin_client, status):
    archive(status=status)
    page = list_of(admin_client, CompletedTask).content.decode()
    assert f'<span class="bgtask-badge bgtask-is-{status}">{status}</span>' in page
    assert len(found_in(admin_client, CompletedTask, status=status)) == 1


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_filter_offers_functions_of_the_code_and_of_newest_rows(registry, admin_client, model):
    background(name="known.to.the.code")(print)
    (add if model is Task else archive)("known.to.a.row")
    page = list_of(admin_client, model).content.decode()
    for name in ("known.to.the.code", "known.to.a.row"):
        assert f'?task_name={name}">{name}</a>' in page
    assert (
        "chosen.by.hand</a>"
        in list_of(admin_client, model, task_name="chosen.by.hand").content.decode()
    )


def test_filter_offers_queues_of_code_of_waiting_tasks_and_of_newest_rows(
    registry, admin_client, monkeypatch
):
    monkeypatch.setattr("background_task.admin.look.MOST_ROWS", 1)
    background(name="declared", queue="declared")(print)
    add(queue="waiting deep down")
    add(queue="running", locked_by="w")
    page = list_of(admin_client, Task).content.decode()
    for queue in ("declared", "waiting deep down", "running", "(unnamed)", "other"):
        assert f">{queue}</a>" in page


def test_filter_by_queue_tells_the_unnamed_one_from_others(admin_client):
    named, unnamed, empty = add(queue="a"), add(), add(queue="")
    assert found_in(admin_client, Task, queue="a") == [named]
    assert found_in(admin_client, Task, queue="(unnamed)") == [empty, unnamed]


@pytest.mark.parametrize(
    "lookup",
    [
        "task_params__contains",
        "task_hash",
        "options__startswith",
        "last_error__contains",
        "errors__contains",
        "return_value__startswith",
    ],
)
def test_address_cannot_ask_for_what_may_be_masked(admin_client, lookup):
    url = reverse("admin:background_task_completedtask_changelist")
    assert admin_client.get(url, {lookup: "x"}).status_code == 400


def test_address_may_ask_for_other_columns(admin_client):
    row = add(priority=7)
    add()
    assert found_in(admin_client, Task, priority="7") == [row]


@pytest.mark.parametrize(
    ("model", "name"),
    [(Task, "queue"), (Task, "task_name"), (CompletedTask, "task_name"), (Worker, "host")],
)
def test_choice_that_no_database_stores_finds_nothing(admin_client, model, name):
    add()
    archive()
    assert found_in(admin_client, model, **{name: "\x00"}) == []
