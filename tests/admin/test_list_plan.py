"""I8 in the admin: what a list reads does not depend on what else lies in the table."""

import pytest

from background_task.admin import keyset, look
from background_task.models import CompletedTask, Task
from tests.admin.pages import list_of
from tests.store.backlog import backlog
from tests.store.cost import measured

#: How far filters without an index look, and how many rows tell functions and queues.
WINDOW, NEWEST = 500, 100
#: Up to so many rows are counted one by one.
COUNTED = 100


@pytest.fixture(scope="module")
def rows(django_db_setup, django_db_blocker):
    """Committed once for all tests of this module; each of them is rolled back."""
    with django_db_blocker.unblock(), backlog(live=8, finished=8) as store:
        yield store


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(keyset, "WINDOW", WINDOW)
    monkeypatch.setattr(keyset, "MOST_COUNTED", COUNTED)
    monkeypatch.setattr(look, "MOST_ROWS", NEWEST)


@pytest.fixture
def read(rows, db, admin_client):
    """Open a list, and return how many rows of the tables were read for it."""

    def read(model, **query):
        list_of(admin_client, model, **query)
        with measured() as cost:
            list_of(admin_client, model, **query)
        return cost

    return read


@pytest.mark.parametrize("model", [Task, CompletedTask])
@pytest.mark.parametrize("place", ["", "newer-than-0", "middle"])
def test_pages_read_what_they_show(read, model, place):
    if place == "middle":
        place = f"older-than-{model.objects.order_by('pk')[4_000].pk}"
    assert read(model, p=place).rows <= NEWEST + COUNTED + 2 * 101 + 60


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Task, {"status": "due"}),
        (Task, {"status": "failed"}),
        (Task, {"task_name": "of no row"}),
        (Task, {"queue": "of no row"}),
        (Task, {"q": "name:of no row"}),
        (CompletedTask, {"status": "cancelled"}),
        (CompletedTask, {"queue": "of no row"}),
        (CompletedTask, {"backend": "of no row"}),
    ],
    ids=str,
)
def test_filters_without_an_index_read_a_window(read, model, query):
    assert read(model, **query).rows <= NEWEST + 4 * WINDOW + 100


@pytest.mark.parametrize(
    ("model", "query", "index"),
    [
        (Task, {"status": "running"}, "bgtask_owner"),
        (Task, {"status": "stuck"}, "bgtask_owner"),
        (Task, {"status": "running", "p": "older-than-999999999"}, "bgtask_owner"),
        (CompletedTask, {"task_name": "of no row"}, "bgtask_completed_name"),
        (CompletedTask, {"status": "failed"}, "bgtask_completed_failed"),
        (CompletedTask, {"q": "creator:auth.user:10"}, "bgtask_completed_creator"),
        (CompletedTask, {"q": "creator:10"}, "bgtask_completed_creator"),
    ],
    ids=str,
)
def test_filters_with_an_index_read_what_it_has(read, model, query, index):
    """Of the failed tasks 80 rows: they are counted, sorted, and looked at for a window."""
    cost = read(model, **query)
    assert index in cost.indexes
    assert cost.rows <= NEWEST + 5 * 100 + 100, cost.plans
