"""Each action of the lists: chosen, asked about where it asks, answered, and done."""

import re

import pytest
from django.urls import reverse

from background_task.admin.action import COMPLETED_ACTIONS, TASK_ACTIONS
from background_task.models import CompletedTask, Task
from tests.api.conftest import add, archive
from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect

#: What somebody fills in, what the list says then, and what has become of the first task.
TASKS = {
    "run_now": ({}, "1 left alone", {"attempts": 0}),
    "reschedule_tasks": ({"run_at": "2031-02-03T04:05"}, "1 rescheduled", {"run_at__year": 2031}),
    "change_priority": ({"priority": "7"}, "1 changed", {"priority": 7}),
    "change_queue": ({"queue": "elsewhere"}, "1 moved", {"queue": "elsewhere"}),
    "inc_priority": ({}, "1 changed", {"priority": 1}),
    "dec_priority": ({}, "1 changed", {"priority": -1}),
    "take_back": ({}, "None of these is held", {"locked_by": None}),
    "discard_tasks": ({}, "1 discarded", None),
    "cancel_tasks": ({}, "1 cancelled", None),
}
COMPLETED = {"try_anew": "1 put into the queue anew", "run_again": "1 put into the queue anew"}


def choose(page, row, action):
    """Tick a row of the list and carry an action out; a page that asks may follow."""
    page.locator(f"input.action-select[value='{row.pk}']").check()
    page.get_by_label("Action:").select_option(action)
    page.get_by_role("button", name=re.compile("^(Go|Run)$")).click()


def answer(page, values):
    """Answer the page that asks, if there is one."""
    page.locator(".bgtask-confirmation, .messagelist").first.wait_for()
    if not page.locator(".bgtask-confirmation").count():
        assert not values
        return
    check_accessibility(page)
    for name, value in values.items():
        page.locator(f"[name={name}]").fill(value)
    page.locator("#content-main input[type=submit]").click()


def test_all_actions_are_tried_here():
    assert set(TASKS) == {action.__name__ for action in TASK_ACTIONS}
    assert set(COMPLETED) == {action.__name__ for action in COMPLETED_ACTIONS}


@pytest.mark.parametrize("action", TASKS)
def test_action_changes_the_chosen_task_only(admin_page, action):
    values, said, became = TASKS[action]
    chosen, other = add("chosen"), add("other")
    admin_page.goto(reverse("admin:background_task_task_changelist"))

    choose(admin_page, chosen, action)
    answer(admin_page, values)

    expect(admin_page.locator(".messagelist")).to_contain_text(said)
    left = Task.objects.filter(pk=chosen.pk)
    assert left.filter(**became).exists() if became else not left.exists()
    assert Task.objects.filter(pk=other.pk, priority=0, queue=None).exists()


@pytest.mark.parametrize("action", COMPLETED)
def test_action_adds_a_finished_task_anew(admin_page, action):
    chosen = archive("tests.app.tasks.record", status="failed")
    admin_page.goto(reverse("admin:background_task_completedtask_changelist"))

    choose(admin_page, chosen, action)
    answer(admin_page, {})

    expect(admin_page.locator(".messagelist")).to_contain_text(COMPLETED[action])
    assert Task.objects.get().task_name == chosen.task_name


def test_page_that_asks_leads_back_and_nothing_is_done(admin_page):
    chosen = add()
    admin_page.goto(reverse("admin:background_task_task_changelist"))

    choose(admin_page, chosen, "cancel_tasks")
    admin_page.get_by_role("link", name="No, take me back").click()

    expect(admin_page.locator("#result_list")).to_be_visible()
    assert Task.objects.filter(pk=chosen.pk).exists()


def test_all_of_a_list_are_meant_where_all_are_chosen(admin_page):
    for _ in range(105):
        add()
    admin_page.goto(reverse("admin:background_task_task_changelist"))

    admin_page.locator("#action-toggle").check()
    admin_page.get_by_text(re.compile("Select all")).click()
    admin_page.get_by_label("Action:").select_option("cancel_tasks")
    admin_page.get_by_role("button", name=re.compile("^(Go|Run)$")).click()
    answer(admin_page, {})

    expect(admin_page.locator(".messagelist")).to_contain_text("105 cancelled")
    assert not Task.objects.exists()


def test_button_on_the_page_of_a_task_asks_and_cancels(admin_page):
    task = add()
    admin_page.goto(reverse("admin:background_task_task_change", args=[task.pk]))

    admin_page.get_by_role("group", name="Actions").get_by_role("button", name="Cancel").click()
    answer(admin_page, {})

    expect(admin_page.locator(".messagelist")).to_contain_text("1 cancelled")
    assert CompletedTask.objects.get().status == "cancelled"


def test_queue_is_paused_and_resumed_by_its_button(admin_page):
    add(queue="mail")
    admin_page.goto(reverse("admin:background_task_queue_changelist"))

    admin_page.get_by_role("button", name=re.compile("Pause .*mail")).click()
    expect(admin_page.get_by_role("button", name=re.compile("Resume .*mail"))).to_be_visible()
    admin_page.get_by_role("button", name=re.compile("Resume .*mail")).click()

    expect(admin_page.get_by_role("button", name=re.compile("Pause .*mail"))).to_be_visible()
