"""The page that asks before what cannot be undone, and the buttons on the page of one task."""

import re

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from background_task.admin import batch
from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.api.conftest import add, archive

pytestmark = pytest.mark.django_db
LIST = "admin:background_task_task_changelist"
NASTY = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"
ASKING = ("cancel_tasks", "discard_tasks", "reschedule_tasks", "change_priority", "change_queue")


def rows():
    return list(Task.objects.order_by("pk").values())


def said(response):
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def ask(admin_client):
    """Choose an action in the list, and return the page that asks."""

    def ask(action, *chosen, query="", **data):
        data = {"action": action, "_selected_action": [row.pk for row in chosen], **data}
        return admin_client.post(reverse(LIST) + query, data)

    return ask


def answer(page, **changes):
    """What a browser sends from the form of a page."""
    inputs = re.findall(r"<input ([^>]*)>", page.content.decode())
    pairs = [dict(re.findall(r'(\w+)="([^"]*)"', text)) for text in inputs]
    data = {}
    for each in pairs:
        if "name" in each:
            data.setdefault(each["name"], []).append(each.get("value", ""))
    return {**data, **changes}


@pytest.mark.parametrize("action", ASKING)
def test_nothing_is_done_before_the_answer(ask, action):
    task = add()
    page = ask(action, task, add())
    assert page.status_code == 200
    assert Task.objects.count() == 2
    html = page.content.decode()
    assert "2 tasks" in html
    assert f"<li>{task.pk}: other, queue (unnamed), run at" in html
    assert "csrfmiddlewaretoken" in html


def test_answer_is_carried_out_for_what_was_chosen(ask, admin_client):
    chosen = add()
    add()
    page = ask("change_priority", chosen)
    response = admin_client.post(reverse(LIST), answer(page, priority="9"))
    assert said(response) == "1 changed."
    assert [row["priority"] for row in rows()] == [9, 0]


@pytest.mark.parametrize(
    ("action", "field", "wrong", "why"),
    [
        ("reschedule_tasks", "run_at", "soon", "Enter a valid date/time."),
        ("reschedule_tasks", "run_at", "9999-12-31T23:59:59", "9999 cannot be stored"),
        ("change_priority", "priority", "1e9", "Enter a whole number."),
        ("change_priority", "priority", str(2**40), "less than or equal to"),
        ("change_queue", "queue", "q" * 191, "at most 190 characters"),
        ("change_queue", "queue", "a\0b", "Null characters are not allowed."),
    ],
)
def test_wrong_answer_is_asked_for_again(ask, action, field, wrong, why):
    task = add()
    page = ask(action, task, confirmed="yes", **{field: wrong})
    html = page.content.decode()
    assert (page.status_code, why in html, 'role="alert"' in html) == (200, True, True)
    assert rows()[0]["run_at"] == task.run_at
    assert page.context["chosen"] == [str(task.pk)]


def test_all_that_the_filters_show_is_meant_and_counted_up_to_a_bound(
    ask, admin_client, monkeypatch
):
    monkeypatch.setattr(batch, "MOST_COUNTED", 3)
    monkeypatch.setattr(batch, "MOST_NAMED", 2)
    mails = [add(queue="mail") for _ in range(4)]
    kept = add(queue="other")
    query = "?queue=mail"
    page = ask("cancel_tasks", mails[0], query=query, select_across="1")
    html = page.content.decode()
    assert "More than 3 tasks" in html
    assert html.count(", queue mail, run at ") == 2
    assert "and others" in html
    assert "also those on its other pages" in html
    assert 'value="Yes, cancel"' in html
    assert f'href="{reverse(LIST)}?queue=mail">No, take me back' in html
    sent = answer(page)
    assert sent["_selected_action"] == [str(mails[0].pk)]
    response = admin_client.post(reverse(LIST) + query, sent)
    assert said(response) == "4 cancelled."
    assert Task.objects.get() == kept


def test_page_that_asks_runs_no_script_of_a_task_and_names_its_input(ask):
    task = add(NASTY[:190], verbose_name=NASTY, queue=NASTY)
    for action in ASKING:
        html = ask(action, task).content.decode()
        assert "<script>alert" not in html
        assert "<img src=x" not in html
        assert "&lt;script&gt;alert(1)" in html
        content = html[html.index('id="content-main"') :]
        assert "style=" not in content
        assert not re.search(r"<[^>]*\son\w+=", content)
        for name in re.findall(
            r'<input type="(?:text|number|datetime-local)" name="(\w+)"', content
        ):
            assert f'<label for="id_{name}"' in content
            assert f'aria-describedby="id_{name}_helptext"' in content
            assert f'id="id_{name}_helptext"' in content


def test_page_that_asks_costs_the_same_for_many(ask, django_assert_max_num_queries):
    tasks = [add() for _ in range(50)]
    with django_assert_max_num_queries(12):
        assert "50 tasks" in ask("cancel_tasks", *tasks).content.decode()


# -- buttons ---------------------------------------------------------------------------------------


@pytest.fixture
def press(admin_client):
    """Press a button on the page of a task."""

    def press(row, name, data=None):
        view = f"admin:background_task_{row._meta.model_name}_act"
        return admin_client.post(reverse(view, args=[row.pk, name]), data)

    return press


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (
            "waiting",
            [
                *("run_now", "reschedule_tasks", "change_priority", "change_queue"),
                *("inc_priority", "dec_priority", "discard_tasks", "cancel_tasks"),
            ],
        ),
        ("running", ["inc_priority", "dec_priority", "take_back", "cancel_tasks"]),
        ("buried", []),
        ("failed", ["try_anew", "run_again"]),
        ("tried anew", ["run_again"]),
        ("succeeded", ["run_again"]),
    ],
)
def test_buttons_are_those_that_make_sense(admin_client, state, expected):
    row = {
        "waiting": add,
        "running": lambda: add(locked_by="w"),
        "buried": lambda: add(failed_at=get_store().now()),
        "failed": lambda: archive(status="failed"),
        "tried anew": lambda: archive(status="failed", options='{"retried":"ab"}'),
        "succeeded": archive,
    }[state]()
    name = row._meta.model_name
    page = admin_client.get(reverse(f"admin:background_task_{name}_change", args=[row.pk]))
    buttons = page.context["task_actions"]
    assert [button.url.split("/")[-2] for button in buttons] == expected
    assert [button.asks for button in buttons if "priority" in button.url[-14:]] == [
        "change" in action for action in expected if "priority" in action
    ]


def test_button_does_what_the_action_does_and_leads_back(press):
    task = add(run_at=get_store().now().replace(year=2030))
    response = press(task, "run_now")
    assert (said(response), response.status_code) == ("1 due now.", 302)
    assert response.url == reverse("admin:background_task_task_change", args=[task.pk])


def test_button_asks_first_and_leads_to_what_became_of_it(press):
    task = add()
    page = press(task, "cancel_tasks")
    assert (page.status_code, Task.objects.count()) == (200, 1)
    html = page.content.decode()
    assert "1 task<" in html
    url = reverse("admin:background_task_task_change", args=[task.pk])
    assert f'href="{url}">No, take me back' in html
    response = press(task, "cancel_tasks", answer(page))
    archived = CompletedTask.objects.get()
    url = reverse("admin:background_task_completedtask_change", args=[archived.pk])
    assert (said(response), response.url) == ("1 cancelled.", url)


def test_button_for_a_task_that_is_gone_says_so(press):
    task = add()
    Task.objects.all().delete()
    response = press(task, "run_now")
    assert "any more" in said(response)
    assert response.url == reverse(LIST)


def test_button_that_is_unknown_is_not_found(press):
    assert press(add(), "delete_selected").status_code == 404


def test_button_without_a_token_is_refused(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    url = reverse("admin:background_task_task_act", args=[add().pk, "run_now"])
    assert client.post(url).status_code == 403


def test_include_shows_a_form_for_each_button(admin_client, rf):
    from django.template.loader import render_to_string

    page = admin_client.get(reverse("admin:background_task_task_change", args=[add().pk]))
    context = {"task_actions": page.context["task_actions"]}
    html = render_to_string(
        "admin/background_task/includes/task_actions.html", context, request=rf.get("/")
    )
    assert html.count('<form method="post"') == html.count("csrfmiddlewaretoken") == 8
    assert "Reschedule&hellip;</button>" in html
    assert ">Run now</button>" in html


def test_page_that_asks_names_a_finished_task_with_one_time_that_can_be_read(admin_client):
    row = archive(name="shop.send")
    data = {"action": "run_again", "_selected_action": [row.pk]}
    url = reverse("admin:background_task_completedtask_changelist")
    page = admin_client.post(url, data).content.decode()
    assert f"<li>{row.pk}: shop.send, queue (unnamed), run at " in page
