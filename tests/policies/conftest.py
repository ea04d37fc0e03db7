"""Task functions with options, and every way to run them."""

import pytest

from tests.compat.running import SignalLog
from tests.policies.running import WAYS, Bench
from tests.store.conftest import any_store
from tests.worker.conftest import registry

__all__ = ["any_store", "registry"]  # fixtures


@pytest.fixture
def bench(registry):
    """Tasks in the worker's own thread, one after another."""
    return Bench(registry, "inline")


@pytest.fixture(params=WAYS)
def any_bench(registry, request):
    """The same in each way to run tasks."""
    return Bench(registry, request.param)


@pytest.fixture
def signal_log(monkeypatch):
    monkeypatch.setattr(SignalLog, "NAMES", (*SignalLog.NAMES, "task_discarded"))
    with SignalLog() as log:
        yield log
