"""Fixtures of the tests of atomic tasks."""

from tests.worker.conftest import registry, threads

__all__ = ["registry", "threads"]
