"""The store of the database under test."""

import pytest

from background_task.store import get_store


@pytest.fixture
def store(db):
    return get_store()
