"""Fixtures of the tests of the test kit."""

from tests.worker.conftest import calls, registry

__all__ = ["calls", "registry"]  # fixtures
