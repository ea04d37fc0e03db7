"""The store of the database under test."""

import pytest

from background_task.store import Store, get_store
from background_task.store.group import GroupStore

OUTSIDE = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store(db):
    return get_store()


@pytest.fixture(
    params=[
        pytest.param("own", marks=OUTSIDE),
        pytest.param("group", marks=OUTSIDE),
        pytest.param("plain", marks=OUTSIDE),
        pytest.param("in a transaction", marks=pytest.mark.django_db),
    ]
)
def any_store(request):
    """The roads that a finish can take: each database's own, those that others share."""
    own = get_store()
    return {"group": GroupStore, "plain": Store}.get(request.param, type(own))(own.using)
