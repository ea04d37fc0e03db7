"""The lists and forms show how tasks stand, which backend queued them, and what workers live."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from background_task.models import CompletedTask, Task, Worker
from tests.admin.pages import list_of
from tests.api.conftest import add

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("status", "expected"),
    [("waiting", {"waiting", "queued"}), ("running", {"running"}), ("failed", set())],
)
def test_filter_tasks_by_status(rows, listed, status, expected):
    assert listed(Task, status=status) == {rows[name] for name in expected}


@pytest.mark.parametrize("status", ["failed", "discarded", "cancelled"])
def test_filter_finished_tasks_by_status(rows, listed, status):
    assert listed(CompletedTask, status=status) == {rows[status]}


@pytest.mark.parametrize(
    ("model", "backend", "expected"),
    [
        (Task, "default", {"queued"}),
        (Task, "@background", {"waiting", "running"}),
        (CompletedTask, "any", {"done"}),
        (CompletedTask, "retrying", set()),
    ],
)
def test_filter_by_backend(rows, listed, model, backend, expected):
    assert listed(model, backend=backend) == {rows[name] for name in expected}


def test_filter_by_backend_is_not_offered_without_any(rows, settings, admin_client):
    del settings.TASKS
    page = admin_client.get(reverse("admin:background_task_task_changelist")).content.decode()
    assert "By backend" not in page


@pytest.mark.parametrize("name", ["queued", "done"])
def test_search_by_uid_finds_the_task(rows, listed, name):
    row = rows[name]
    assert listed(type(row), q=f" {row.uid} ") == {row}


def test_list_says_how_each_task_stands(rows, admin_client):
    Task.objects.filter(pk=rows["running"].pk).update(cancel_requested_at=timezone.now())
    page = admin_client.get(reverse("admin:background_task_task_changelist")).content.decode()
    assert "running, asked to end" in page
    assert 'class="field-backend">default<' in page


def test_form_of_a_finished_task_of_a_backend_has_status_result_and_backend(rows, admin_client):
    url = reverse("admin:background_task_completedtask_change", args=[rows["done"].pk])
    page = admin_client.get(url).content.decode()
    for text in (str(rows["done"].uid), "succeeded", ">any<", ">7<"):
        assert text in page


def test_workers_are_listed_and_left_alone(admin_client):
    now = timezone.now()
    for name, expires_in in (("here:1:a", 60), ("gone:2:b", -60)):
        Worker.objects.create(
            name=name,
            host=name.partition(":")[0],
            pid=1,
            started_at=now,
            heartbeat_at=now,
            expires_at=now + timedelta(seconds=expires_in),
        )
    page = admin_client.get(reverse("admin:background_task_worker_changelist")).content.decode()
    assert page.count('alt="True"') == page.count('alt="False"') == 1
    key = Worker.objects.get(host="here").pk
    url = reverse("admin:background_task_worker_change", args=[key])
    assert admin_client.get(url).status_code == 200
    for address in (
        reverse("admin:background_task_worker_add"),
        reverse("admin:background_task_worker_delete", args=[key]),
    ):
        assert admin_client.get(address).status_code == 403


def test_list_says_in_words_whether_an_attempt_has_failed(admin_client):
    add(last_error="it broke")
    add()
    page = list_of(admin_client, Task).content.decode()
    assert page.count('<td class="field-has_error">yes</td>') == 1
    assert page.count('<td class="field-has_error">no</td>') == 1  # not by a red cross
