"""The system's Chromium, driven by Playwright; nothing is downloaded."""

import os
import shutil
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec

NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Only the live site has an address; whatever else a page may ask for is not found.
NO_OTHER_HOST = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
PATIENCE_MILLISECONDS = 30_000


@cache
def program():
    """Where the system has it, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def why_missing():
    """What the tests lack on this machine, or None."""
    if find_spec("playwright") is None:
        return "Playwright for Python is not installed here"
    if program() is None:
        return f"no Chromium on this machine ({', '.join(NAMES)})"
    return None


def is_required():
    """Tell whether it is a failure that they cannot be run, as it is in CI."""
    return os.environ.get("BACKGROUND_TASK_TEST_BROWSER") == "required"


@contextmanager
def started():
    """Yield the browser."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE_MILLISECONDS)
    # Chromium refuses to be root in its sandbox.
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    with orm_allowed(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program(),
            args=[NO_OTHER_HOST, *(["--no-sandbox"] if is_root else [])],
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def orm_allowed():
    """Let tests use the ORM: Playwright runs an event loop in their thread, which waits for them.

    Django takes it for a loop that a query would hold up, and refuses.
    """
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before
