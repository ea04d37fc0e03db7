"""The browser tests' own tools: they see what they are there to see."""

import pytest
from django.urls import reverse
from django.utils import timezone

from background_task.models import Worker
from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect
from tests.browser.site import POLICY
from tests.waiting import wait_until

MADE = """<!doctype html><html lang="en"><head><title>Made</title></head>
<body><main><h1>Made</h1>{}</main></body></html>"""


def show(page, body, *, policy=POLICY):
    """Let the page be what no page of the site is."""
    page.route(
        "**/made/",
        lambda route: route.fulfill(
            body=MADE.format(body),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        ),
    )
    page.goto("/made/")


@pytest.mark.parametrize(
    ("body", "policy", "problem"),
    [
        ("<script>document.title = 'inline'</script>", POLICY, "Content Security Policy"),
        ("<p style='color: red'>inline</p>", POLICY, "Content Security Policy"),
        ("<img src='https://example.org/a.png' alt=''>", POLICY, "request to another host"),
        ("<img src='/no-such-picture.png' alt=''>", POLICY, "404 (Not Found)"),
        ("<script>throw new Error('thrown')</script>", "", "page error: thrown"),
        ("<script>alert('a name')</script>", "", "alert dialog: a name"),
    ],
)
def test_watch_sees_what_a_page_may_not_do(page, watch, body, policy, problem):
    show(page, body, policy=policy)

    wait_until(lambda: page.evaluate("true") and problem in "\n".join(watch.problems()))

    watch.allow("")
    assert watch.problems() == []


def test_watch_sees_an_error_of_the_site_with_its_traceback(admin_page, watch, monkeypatch):
    monkeypatch.setattr("background_task.admin.WorkerAdmin.get_queryset", None)

    admin_page.goto(reverse("admin:background_task_worker_changelist"))

    assert "TypeError: 'NoneType' object is not callable" in "\n".join(watch.problems())
    watch.allow("NoneType|500")


def test_check_accessibility_names_what_is_not_accessible(page):
    show(page, "<input name='age'>")

    with pytest.raises(AssertionError, match="critical label") as failure:
        check_accessibility(page)

    assert '<input name="age">' in str(failure.value)
    check_accessibility(page, without=["input"])
    check_accessibility(page, within="h1")


def test_page_is_logged_in_as_its_user_only(open_page, admin_user):
    known, stranger = open_page(user=admin_user), open_page()

    known.goto("/admin/")
    stranger.goto("/admin/")

    expect(known.locator("#user-tools")).to_contain_text(admin_user.username, ignore_case=True)
    expect(stranger.get_by_label("Username")).to_be_visible()


def test_dark_page_prefers_dark_colours(dark_page):
    dark_page.goto("/admin/")

    assert dark_page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


def test_site_shows_the_rows_of_the_test(admin_page):
    now = timezone.now()
    Worker.objects.create(
        name="host:1:token",
        host="host-of-this-test",
        pid=1,
        started_at=now,
        heartbeat_at=now,
        expires_at=now,
    )

    admin_page.goto(reverse("admin:background_task_worker_changelist"))

    expect(admin_page.locator("#result_list")).to_contain_text("host-of-this-test")
