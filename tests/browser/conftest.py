"""Fixtures of the tests that look at pages in a real browser.

    def test_page_has_a_heading(admin_page):
        admin_page.goto("/admin/")
        expect(admin_page.get_by_role("heading", level=1)).to_be_visible()

`open_page(user=..., color_scheme="dark")` opens more of them. Every test fails with what the
console, the Content-Security-Policy or the site complained about; `watch.allow(...)` expects some.
"""

import pytest
from django.conf import settings
from django.test import Client

from tests.browser import chromium
from tests.browser.site import live_site
from tests.browser.watch import Watch

#: Shows on every Django that pages come through to the browser as they should.
QUICK = ("test_infrastructure.py", "test_lists.py")


def pytest_itemcollected(item):
    """What a browser shows does not depend on the database, and these tests take their time."""
    item.add_marker(pytest.mark.only_on("sqlite"))
    if item.path.name not in QUICK:
        item.add_marker(pytest.mark.slow)
    if reason := chromium.why_missing():
        if chromium.is_required():
            raise pytest.UsageError(f"tests/browser: {reason}")
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="package")
def browser():
    """The browser; its event loop is gone from this thread before tests elsewhere run."""
    with chromium.started() as browser:
        yield browser


@pytest.fixture(scope="package")
def site(browser):
    """The live site, with `url`."""
    with live_site() as site:
        yield site


@pytest.fixture
def watch(site):
    """What the pages of this test are complained about."""
    return Watch(site)


@pytest.fixture
def open_page(transactional_db, browser, site, watch):
    """A function that opens a page, logged in as `user`, in a browser profile of its own."""
    contexts = []

    def open_page(*, user=None, **options):
        context = browser.new_context(base_url=site.url, **options)
        contexts.append(context)
        context.set_default_timeout(chromium.PATIENCE_MILLISECONDS)
        watch.follow(context)
        if user is not None:
            context.add_cookies([session_cookie(user, site.url)])
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    site.wait_until_idle()
    assert not watch.problems(), "\n".join(watch.problems())


def session_cookie(user, url):
    """What the browser of somebody who has logged in sends."""
    client = Client()
    client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return {"name": name, "value": client.cookies[name].value, "url": url}


@pytest.fixture
def page(open_page):
    """A page of somebody whom the site does not know."""
    return open_page()


@pytest.fixture
def admin_page(open_page, admin_user):
    """A page of a superuser."""
    return open_page(user=admin_user)


@pytest.fixture
def dark_page(open_page, admin_user):
    """A page of a superuser who prefers dark colours."""
    return open_page(user=admin_user, color_scheme="dark")
