"""Fixtures of the tests of cancelling."""

from tests.concurrency.conftest import scenes
from tests.policies.conftest import any_bench, bench, registry
from tests.store.conftest import any_store

__all__ = ["any_bench", "any_store", "bench", "registry", "scenes"]  # fixtures
