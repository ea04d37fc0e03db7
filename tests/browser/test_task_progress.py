"""The progress bar of a task in the page of a site."""

import pytest
from django.utils import timezone

from background_task.models import Task
from background_task.progress_report import make_report
from background_task.store import get_store
from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect

pytestmark = pytest.mark.urls("tests.browser.progress_urls")
#: Longer than any pause between two questions.
PAUSE = 20_000
LISTEN = """
window.seen = [];
for (const name of ["change", "finished", "lost"]) {
  document.addEventListener("background-task:" + name, (event) => {
    window.seen.push([name, event.detail.status || event.detail.code]);
  });
}
"""


def add(name="export"):
    task = Task.objects.new_task(name)
    get_store().add(task)
    return task


def report(task, done, total, message=""):
    text = make_report(done, total, message, now=timezone.now()).to_text()
    Task.objects.filter(pk=task.pk).update(locked_by="w", progress_json=text)


def finish(task):
    Task.objects.get(pk=task.pk).create_completed_task()
    task.delete()


@pytest.fixture
def exports(page):
    """The page; its clock goes on only when the test says so."""
    page.clock.install()
    page.add_init_script(LISTEN)

    def look():
        with page.expect_response("**/task-status/**"):
            page.goto("/exports/")
        return page

    return look


def go_on(page):
    with page.expect_response("**/task-status/**"):
        page.clock.run_for(PAUSE)


def test_bar_follows_the_task_to_its_end(exports):
    task = add()
    page = exports()
    text, bar = page.locator(".background-task-text"), page.get_by_role("progressbar")
    expect(text).to_have_text("Waiting")

    report(task, 1, 4, "<b>resizing</b>")
    go_on(page)
    expect(text).to_have_text("Running, 25%, <b>resizing</b>")
    expect(bar).to_have_attribute("value", "25")
    check_accessibility(page)

    finish(task)
    go_on(page)
    expect(text).to_have_text("Done")
    expect(bar).to_have_attribute("value", "100")
    assert page.evaluate("window.seen") == [
        *(["change", status] for status in ("waiting", "running", "succeeded")),
        ["finished", "succeeded"],
    ]

    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(10 * PAUSE)
    assert asked == []


def test_each_bar_follows_its_own_task(exports):
    first, second = add("first"), add("second")
    page = exports()
    report(second, 1, 2)
    page.clock.run_for(PAUSE)
    expect(page.get_by_role("group", name="second")).to_contain_text("Running, 50%")
    expect(page.get_by_role("group", name="first")).to_contain_text("Waiting")
    finish(first)
    page.clock.run_for(PAUSE)
    expect(page.get_by_role("group", name="first")).to_contain_text("Done")


def test_site_that_is_away_is_asked_again(exports, watch):
    add()
    page = exports()
    watch.allow("503")
    page.route("**/task-status/**", lambda route: route.fulfill(status=503))
    go_on(page)
    page.unroute("**/task-status/**")
    go_on(page)
    assert page.evaluate("window.seen") == [["change", "waiting"]]


def test_token_that_is_too_old_is_not_asked_again(exports, watch):
    add()
    page = exports()
    watch.allow("410")
    page.route("**/task-status/**", lambda route: route.fulfill(status=410))
    go_on(page)
    page.wait_for_function("window.seen.length == 2")
    assert page.evaluate("window.seen[1]") == ["lost", 410]
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.clock.run_for(10 * PAUSE)
    assert asked == []


def test_bar_that_comes_later_is_found(exports):
    task = add()
    page = exports()
    report(task, 1, 2)
    with page.expect_response("**/task-status/**"):
        page.evaluate(
            """() => {
              const copy = document.querySelector("[data-background-task]").cloneNode(true);
              document.querySelector("main").append(copy);
            }"""
        )
    expect(page.locator(".background-task-text").last).to_have_text("Running, 50%")


def test_page_without_scripts_shows_how_the_task_stood(open_page):
    report(add(), 1, 4)
    page = open_page(java_script_enabled=False)
    page.goto("/exports/")
    expect(page.locator(".background-task-text")).to_have_text("Running, 25%")
