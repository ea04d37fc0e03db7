"""What tests import from Playwright: a module of tests is skipped where that is missing."""

import pytest

expect = pytest.importorskip(
    "playwright.sync_api", reason="Playwright for Python is not installed here"
).expect
