"""The dashboard in a browser: it stays fresh, and leaves readers alone."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse

from background_task.models import Worker
from background_task.store import get_store
from background_task.store.rollups import Rollups
from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect
from tests.dashboard.values import tally
from tests.store.rows import add, worker

OFTEN = "document.getElementById('bgt').dataset.seconds = '0.2'"
ASK = "document.dispatchEvent(new Event('visibilitychange'))"


@pytest.fixture
def happen(transactional_db):
    """A function that adds what workers would have counted."""

    def happen(name="shop.tasks.send", **values):
        Rollups("default").add({(name, None): tally(**values)}, now=get_store().now())

    return happen


@pytest.fixture
def dashboard(admin_page, happen):
    """The page of a superuser, of something that has happened."""
    happen(succeeded=3, runs=[1], waits=[1])
    worker("w", now=get_store().now(), lease=timedelta(hours=1))
    admin_page.goto(reverse("admin:background_task_dashboard_changelist"))
    return admin_page


def ended(page):
    return page.locator("[data-key='Ended'] .bgt-value")


def test_dashboard_shows_what_is_new_by_itself(dashboard, happen):
    dashboard.evaluate(OFTEN)
    dashboard.evaluate(ASK)  # from here on nobody asks it to
    happen(succeeded=4)
    expect(ended(dashboard)).to_have_text("7")
    happen(succeeded=1)

    expect(ended(dashboard)).to_have_text("8")


def test_dashboard_that_is_paused_asks_for_nothing_until_it_is_resumed(dashboard, happen):
    asked = []
    dashboard.on("request", lambda request: asked.append(request.url))
    dashboard.get_by_role("button", name="Pause refresh").click()
    happen(succeeded=4)
    dashboard.evaluate(ASK)
    assert asked == []

    dashboard.get_by_role("button", name="Resume refresh").click()

    expect(ended(dashboard)).to_have_text("7")
    expect(dashboard.get_by_role("button", name="Pause refresh")).to_be_visible()


def test_dashboard_leaves_focus_scrolling_and_what_is_open_alone(dashboard, happen):
    dashboard.locator("#bgt-numbers-throughput summary").click()
    numbers = dashboard.locator("#bgt-numbers-throughput .bgt-scroll")
    numbers.evaluate("element => element.scrollTop = 100")
    link = dashboard.locator("#bgt-functions td, #bgt-functions th").get_by_role(
        "link", name="shop.tasks.send"
    )
    link.focus()
    happen(succeeded=4)
    happen("shop.tasks.aaa", succeeded=100)  # it comes first, before what has the focus

    dashboard.evaluate(ASK)

    expect(ended(dashboard)).to_have_text("107")
    expect(dashboard.locator("#bgt-functions tbody tr")).to_have_count(2)
    expect(link).to_be_focused()
    assert numbers.is_visible()
    assert numbers.evaluate("element => element.scrollTop") == 100


def test_dashboard_does_not_change_what_somebody_selects(dashboard, happen):
    select = "getSelection().selectAllChildren(document.querySelector('#bgt-functions tbody'))"
    dashboard.evaluate(select)
    happen(succeeded=4)
    dashboard.evaluate(ASK)
    expect(ended(dashboard)).to_have_text("7")
    cell = dashboard.locator("#bgt-functions tbody td").first
    expect(cell).to_have_text("3")

    dashboard.evaluate("getSelection().removeAllRanges()")
    dashboard.evaluate(ASK)

    expect(cell).to_have_text("7")


def test_banner_comes_when_nobody_runs_what_is_due_and_goes_with_a_worker(dashboard):
    banner = dashboard.locator(".bgt-alert-error")
    expect(banner).to_have_count(0)
    Worker.objects.all().delete()
    add(get_store(), due_in=-3600.0, enqueued_at=get_store().now() - timedelta(hours=1))
    dashboard.evaluate(ASK)

    expect(banner).to_contain_text("No worker is alive")
    expect(banner.locator("code")).to_have_text("python manage.py process_tasks")

    worker("new", now=get_store().now(), lease=timedelta(hours=1))
    dashboard.evaluate(ASK)
    expect(banner).to_have_count(0)


def test_dashboard_says_that_the_connection_is_lost_and_tries_again(dashboard, happen, watch):
    watch.allow("ERR_FAILED|ERR_INTERNET_DISCONNECTED|Failed to load resource")
    status = dashboard.locator("#bgt-status")
    dashboard.evaluate(OFTEN)
    dashboard.route("**/*fragment=1*", lambda route: route.abort())
    dashboard.evaluate(ASK)
    expect(status).to_have_text("Connection lost, trying again.")
    dashboard.unroute("**/*fragment=1*")
    happen(succeeded=4)

    expect(ended(dashboard)).to_have_text("7")
    expect(status).to_be_empty()


def test_dashboard_says_that_the_login_has_ended(dashboard):
    Session.objects.all().delete()
    dashboard.evaluate(ASK)

    expect(dashboard.locator("#bgt-status")).to_contain_text("You are logged out.")
    expect(dashboard.get_by_role("button", name="Resume refresh")).to_be_visible()
    dashboard.get_by_role("link", name="Log in again").click()
    expect(dashboard.get_by_label("Username")).to_be_visible()
    assert "next=" in dashboard.url


def test_pointer_on_a_chart_reads_its_numbers(dashboard):
    chart = dashboard.locator("#bgt-chart-throughput")
    readout = chart.locator(".bgt-readout")
    area = chart.locator(".bgt-area")
    box = area.bounding_box()
    area.hover(position={"x": box["width"] / 2, "y": 20})

    expect(readout).to_contain_text("succeeded 0, cancelled 0, discarded 0, failed 0")

    dashboard.mouse.move(1, 1)
    expect(readout).to_be_empty()


def test_dashboard_is_used_by_keyboard(dashboard):
    dashboard.get_by_role("link", name="24 h", exact=True).focus()
    dashboard.keyboard.press("Enter")

    expect(dashboard.get_by_role("link", name="24 h", exact=True)).to_have_attribute(
        "aria-current", "true"
    )
    functions = dashboard.get_by_label("Function", exact=True)
    functions.focus()
    functions.select_option("shop.tasks.send")
    dashboard.keyboard.press("Tab")
    dashboard.keyboard.press("Enter")
    expect(dashboard.get_by_role("link", name="Show all")).to_be_visible()


def test_dashboard_needs_no_script(open_page, admin_user, happen):
    happen(succeeded=3)
    page = open_page(user=admin_user, java_script_enabled=False)
    page.goto(reverse("admin:background_task_dashboard_changelist"))

    expect(ended(page)).to_have_text("3")
    expect(page.locator("#bgt-pause")).to_be_hidden()


@pytest.mark.parametrize(("colours", "width"), [("light", 1280), ("dark", 400)])
def test_dashboard_is_accessible(open_page, admin_user, happen, colours, width):
    happen(succeeded=3, failed=1, runs=[1], waits=[1], errors={"shop.Broken": 1})
    add(get_store(), queue="mail", due_in=-3600.0)
    size = {"width": width, "height": 900}
    page = open_page(user=admin_user, color_scheme=colours, viewport=size)
    page.goto(reverse("admin:background_task_dashboard_changelist"))

    check_accessibility(page, within="#bgt")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") == (colours == "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
