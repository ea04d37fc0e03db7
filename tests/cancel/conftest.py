"""Fixtures of the tests of cancelling."""

import pytest

from background_task.store import Store, get_store
from tests.concurrency.conftest import PLAIN, scenes
from tests.policies.conftest import any_bench, bench, registry
from tests.store.conftest import OUTSIDE, store

__all__ = ["any_bench", "bench", "registry", "scenes", "store"]  # fixtures


@pytest.fixture(params=[pytest.param("own", marks=OUTSIDE), PLAIN])
def any_store(request, db):
    """The store made for the database, and the one that suits every database."""
    own = get_store()
    return Store(own.using) if request.param == "plain" else own
