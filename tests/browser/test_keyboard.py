"""The way from the list to a cancelled task without a mouse."""

from django.urls import reverse

from background_task.models import Task
from tests.api.conftest import add
from tests.browser.kit import expect

#: More than there are between the beginning of a page and anything that is looked for.
MOST_TABS = 120


def tab_to(page, target):
    """Press the tabulator until the focus is there, and see that the page shows where it is."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            break
    expect(target).to_be_focused()
    expect(target).to_be_in_viewport()


def test_task_is_found_and_cancelled_with_the_keyboard_only(admin_page):
    wanted = add("shop.tasks.call_courier")
    add("shop.tasks.send_receipt")
    page = admin_page
    page.goto(reverse("admin:background_task_task_changelist"))

    tab_to(page, page.get_by_role("search").get_by_role("textbox"))
    page.keyboard.type("call_courier")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    tab_to(page, page.locator("#result_list").get_by_role("link", name="shop.tasks.call_courier"))
    page.keyboard.press("Enter")
    actions = page.get_by_role("group", name="Actions")
    expect(actions).to_be_visible()
    tab_to(page, actions.get_by_role("button", name="Cancel"))
    page.keyboard.press("Enter")
    submit = page.locator(".bgtask-confirmation #content-main input[type=submit]")
    expect(submit).to_be_visible()
    tab_to(page, submit)
    page.keyboard.press("Enter")

    expect(page.locator(".messagelist")).to_contain_text("1 cancelled")
    assert [task.task_name for task in Task.objects.exclude(pk=wanted.pk)] == [
        "shop.tasks.send_receipt"
    ]


def test_traceback_is_unfolded_with_the_keyboard_only(admin_page):
    task = add("shop.tasks.pay", attempts=1, last_error="Traceback\nOSError: no")
    page = admin_page
    page.goto(reverse("admin:background_task_task_change", args=[task.pk]))

    tab_to(page, page.locator("summary", has_text="Last error"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("OSError: no").first).to_be_visible()
