"""The example site as a visitor sees it, with its real workers."""

import base64
import re
import socket

import pytest

from tests.browser.accessibility import check_accessibility
from tests.browser.kit import expect
from tests.browser.site import LiveSite
from tests.browser.watch import Watch
from tests.test_example_project import copy_example, end_demo, start_demo

pytest.importorskip("PIL", reason="Pillow, which the example needs, is not installed here")


#: A picture of eight by eight pixels.
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mM8YaPBgA0wMeAAg1MC"
    "AO+wATws8x7vAAAAAElFTkSuQmCC"
)


@pytest.fixture
def example(browser, tmp_path):
    """A function that opens the start page of the demo, which is stopped at the end."""
    demo = start_demo(copy_example(tmp_path), "--serve", "--port", "0", "--no-browser")
    contexts = []
    try:
        address = demo.wait_for_line(r"http://127\.0\.0\.1:\d+")[0]
        demo.wait_for_line("Ctrl-C stops")
        watch = Watch(LiveSite(address))

        def open_example(**options):
            context = browser.new_context(base_url=address, **options)
            contexts.append(context)
            context.set_default_timeout(30_000)
            watch.follow(context)
            page = context.new_page()
            page.goto("/")
            return page

        yield open_example
        for context in contexts:
            context.close()
    finally:
        end_demo(demo)
    assert watch.problems() == []
    with pytest.raises(ConnectionRefusedError):  # or it would run on for ever
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=10)


def progress_of(page, name):
    """What the page says of the newest task of this name."""
    return page.locator(".tasks li", has_text=name).first.locator("[data-status]")


def test_visitor_sees_the_work_done_and_what_breaks(example):
    page = example()
    check_accessibility(page)

    page.get_by_label("tide").check()
    page.get_by_role("button", name="Count the words").click()
    page.get_by_label("A picture of your own").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": DOT}
    )
    page.get_by_role("button", name="Make thumbnails").click()

    expect(progress_of(page, "Count tide")).to_have_attribute("data-status", "succeeded")
    expect(progress_of(page, "Shrink dot")).to_have_attribute("data-status", "succeeded")
    # Nobody has loaded the page anew.
    expect(page.get_by_role("row", name="tide")).to_contain_text("79")
    expect(page.get_by_role("img", name="dot")).to_be_visible()

    page.get_by_role("navigation").get_by_role("link", name="Break things").click()
    page.get_by_role("button", name=re.compile("A double click")).click()
    expect(page.get_by_role("status")).to_contain_text("2 called, 1 added")
    page.get_by_role("button", name=re.compile("Never mind")).click()
    check_accessibility(page)
    expect(progress_of(page, "To be cancelled")).to_have_attribute("data-status", "cancelled")

    page.get_by_role("link", name="To be cancelled").click()
    expect(page).to_have_url(re.compile("/admin/background_task/completedtask/"))


def test_pages_are_accessible_in_dark_colours_and_on_a_small_screen(example):
    page = example(color_scheme="dark", viewport={"width": 380, "height": 700})
    page.get_by_role("button", name="Report").click()
    expect(progress_of(page, "write_report")).to_be_visible()

    check_accessibility(page)
    page.goto("/trouble/")
    check_accessibility(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
