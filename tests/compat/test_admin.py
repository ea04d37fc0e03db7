"""Section 14: the admin lists, their columns and actions."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from background_task.admin import CompletedTaskAdmin, TaskAdmin, dec_priority, inc_priority
from background_task.models import CompletedTask, Task

pytestmark = pytest.mark.django_db

COLUMNS = [
    "task_name",
    "task_params",
    "run_at",
    "priority",
    "attempts",
    "has_error",
    "locked_by",
    "locked_by_pid_running",
]
CHANGELISTS = {
    Task: "admin:background_task_task_changelist",
    CompletedTask: "admin:background_task_completedtask_changelist",
}


@pytest.fixture
def rows():
    """A waiting, a locked and a failed row, and one archived of each outcome."""
    found = {}
    for name in ("waiting", "locked", "failing"):
        row = Task.objects.new_task(f"app.{name}", (f"argument of {name}",), verbose_name=name)
        row.save()
        found[name] = row
    found["locked"].lock("12345")
    found["failing"].last_error = "Traceback: it broke"
    found["failing"].save()
    found["succeeded"] = found["waiting"].create_completed_task()
    found["failed"] = found["failing"].create_completed_task()
    return found


@pytest.mark.parametrize(
    ("model", "admin_class"), [(Task, TaskAdmin), (CompletedTask, CompletedTaskAdmin)]
)
def test_read_registered_admin_has_old_columns_and_search(model, admin_class):
    registered = admin.site._registry[model]
    assert type(registered) is admin_class
    assert list(registered.list_display)[: len(COLUMNS)] == COLUMNS
    assert list(registered.search_fields)[:2] == ["task_name", "task_params"]


def test_read_actions_of_tasks_change_the_priority():
    assert {inc_priority, dec_priority} <= set(TaskAdmin.actions)
    assert inc_priority.short_description == "priority += 1"
    assert dec_priority.short_description == "priority -= 1"
    assert not {inc_priority, dec_priority} & set(CompletedTaskAdmin.actions or ())


@pytest.mark.parametrize(("model", "shown"), [(Task, 3), (CompletedTask, 2)])
def test_open_list_shows_the_rows_and_their_columns(admin_client, rows, model, shown):
    response = admin_client.get(reverse(CHANGELISTS[model]))
    assert response.status_code == 200
    assert response.context["cl"].result_count == shown
    page = response.content.decode()
    for column in COLUMNS:
        assert f"column-{column}" in page
    assert "argument of failing" in page


@pytest.mark.parametrize(("model", "found"), [(Task, "waiting"), (CompletedTask, "succeeded")])
@pytest.mark.parametrize("words", ["app.waiting", "argument of waiting"])
def test_search_list_by_name_or_parameters_finds_the_row(admin_client, rows, model, found, words):
    response = admin_client.get(reverse(CHANGELISTS[model]), {"q": words})
    assert list(response.context["cl"].queryset) == [rows[found]]


@pytest.mark.parametrize(("action", "change"), [("inc_priority", 1), ("dec_priority", -1)])
def test_run_action_changes_the_selected_rows_by_one(admin_client, rows, action, change):
    rows["waiting"].priority = 10
    rows["waiting"].save()
    chosen = [rows["waiting"].pk, rows["locked"].pk]
    response = admin_client.post(
        reverse(CHANGELISTS[Task]), {"action": action, "_selected_action": chosen}, follow=True
    )
    assert response.status_code == 200
    expected = {"waiting": 10 + change, "locked": change, "failing": 0}
    found = {task.verbose_name: task.priority for task in Task.objects.all()}
    assert found == expected
    assert Task.objects.get(verbose_name="locked").locked_by == "12345"


@pytest.mark.parametrize(("action", "change"), [(inc_priority, 1), (dec_priority, -1)])
def test_call_action_as_function_takes_admin_request_and_queryset(rows, rf, action, change):
    action(admin.site._registry[Task], rf.get("/"), Task.objects.filter(pk=rows["waiting"].pk))
    assert Task.objects.get(pk=rows["waiting"].pk).priority == change


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_open_forms_of_row_renders(admin_client, rows, model):
    row = rows["failing"] if model is Task else rows["failed"]
    name = model._meta.model_name
    for page in ("change", "delete", "history"):
        response = admin_client.get(reverse(f"admin:background_task_{name}_{page}", args=[row.pk]))
        assert response.status_code == 200, page
    assert admin_client.get(reverse(f"admin:background_task_{name}_add")).status_code == 200


def test_save_form_of_task_changes_the_row(admin_client, rows):
    row = rows["waiting"]
    url = reverse("admin:background_task_task_change", args=[row.pk])
    form = admin_client.get(url).context["adminform"].form
    data = {}
    for field in form:
        value = field.value()
        if field.name in ("run_at", "repeat_until", "failed_at", "locked_at"):
            data[f"{field.name}_0"] = f"{value:%Y-%m-%d}" if value else ""
            data[f"{field.name}_1"] = f"{value:%H:%M:%S}" if value else ""
        elif value is not None:
            data[field.name] = value
    response = admin_client.post(url, {**data, "priority": "42"})
    assert response.status_code == 302, response.context and response.context["errors"]
    row.refresh_from_db()
    assert (row.priority, row.locked_by, row.task_name) == (42, None, "app.waiting")


def test_delete_task_in_admin_removes_the_row(admin_client, rows):
    url = reverse("admin:background_task_task_delete", args=[rows["waiting"].pk])
    assert admin_client.post(url, {"post": "yes"}).status_code == 302
    assert not Task.objects.filter(pk=rows["waiting"].pk).exists()


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_open_list_with_more_rows_asks_no_more_questions(
    admin_client, model, django_assert_max_num_queries
):
    def add(count):
        for number in range(count):
            row = Task.objects.new_task(f"app.n{number}")
            row.locked_by = f"host:{number}:0123456789abcdef"
            row.save()
            row.create_completed_task()

    url = reverse(CHANGELISTS[model])
    add(1)
    admin_client.get(url)
    with CaptureQueriesContext(connection) as first:
        admin_client.get(url)
    add(20)
    with django_assert_max_num_queries(len(first)):
        response = admin_client.get(url)
    assert response.context["cl"].result_count == 21
