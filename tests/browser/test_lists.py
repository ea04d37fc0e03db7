"""The list of tasks, as somebody uses it who looks for one."""

import re

import pytest
from django.urls import reverse

from tests.api.conftest import add, archive
from tests.browser.kit import expect

LIST = "admin:background_task_task_changelist"


@pytest.fixture
def tasks_page(admin_page):
    """A function that opens the list."""

    def open_list():
        admin_page.goto(reverse(LIST))
        return admin_page

    return open_list


def rows_of(page):
    return page.locator("#result_list tbody tr")


def test_search_by_function_finds_its_tasks(tasks_page):
    add("shop.tasks.send_receipt")
    add("shop.tasks.call_courier")
    page = tasks_page()

    page.get_by_role("search").get_by_role("textbox").fill("send_receipt")
    page.get_by_role("button", name="Search").click()

    expect(rows_of(page)).to_have_count(1)
    expect(rows_of(page)).to_contain_text("shop.tasks.send_receipt")


def test_search_by_id_finds_the_task(tasks_page):
    [wanted, _other] = add("one"), add("two")
    page = tasks_page()

    page.get_by_role("search").get_by_role("textbox").fill(f"id:{wanted.pk}")
    page.keyboard.press("Enter")

    expect(rows_of(page)).to_have_count(1)
    expect(rows_of(page)).to_contain_text("one")


def test_filter_shows_what_has_the_status_and_can_be_taken_back(tasks_page):
    add("held", locked_by="h:1:token", locked_at="2026-01-01T00:00Z")
    add("free")
    page = tasks_page()
    expect(rows_of(page)).to_have_count(2)

    page.locator("#changelist-filter").get_by_role("link", name="due", exact=True).click()
    expect(rows_of(page)).to_have_count(1)
    expect(rows_of(page)).to_contain_text("free")

    page.get_by_role("link", name=re.compile("Clear all filters")).click()
    expect(rows_of(page)).to_have_count(2)


def test_pages_lead_from_the_newest_to_the_oldest_and_back(tasks_page):
    for number in range(130):
        add(f"task-{number:03}")
    page = tasks_page()
    first = rows_of(page).first.inner_text()
    assert rows_of(page).count() == 100

    page.get_by_role("link", name="older").click()
    expect(rows_of(page)).to_have_count(30)
    assert first not in rows_of(page).all_inner_texts()

    page.get_by_role("link", name="newer").click()
    expect(rows_of(page)).to_have_count(100)
    assert rows_of(page).first.inner_text() == first


def test_task_of_the_list_leads_to_its_page_and_its_traceback(admin_page):
    trace = 'Traceback (most recent call last):\n  File "shop.py", line 7, in pay\nOSError: no'
    archive("shop.pay", status="failed", attempts=1, last_error=trace)
    admin_page.goto(reverse("admin:background_task_completedtask_changelist"))

    rows_of(admin_page).get_by_role("link", name="shop.pay").click()
    admin_page.get_by_text(re.compile("Traceback of attempt 1|Last error")).first.click()

    expect(admin_page.get_by_text("OSError: no").first).to_be_visible()
