"""The admin, as somebody who may do everything uses it."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from background_task.models import CompletedTask, Task
from background_task.store import get_store
from tests.api.conftest import add, archive, flawed, ran, registry

__all__ = ["flawed", "ran", "registry"]  # fixtures


@pytest.fixture
def store(db):
    return get_store()


@pytest.fixture
def act(admin_client):
    """Choose rows of a list, do something to them, and return all that the page has to say."""

    def act(action, *rows, **answers):
        url = reverse(f"admin:background_task_{rows[0]._meta.model_name}_changelist")
        data = {"action": action, "_selected_action": [row.pk for row in rows], "confirmed": "yes"}
        response = admin_client.post(url, {**data, **answers})
        assert response.status_code == 302
        return " ".join(str(message) for message in get_messages(response.wsgi_request))

    return act


@pytest.fixture
def listed(admin_client):
    """Return the rows that a list shows."""

    def listed(model, **query):
        url = reverse(f"admin:background_task_{model._meta.model_name}_changelist")
        return set(admin_client.get(url, query).context["cl"].queryset)

    return listed


@pytest.fixture
def rows(db):
    """Tasks that stand in each way, some of them queued by a backend."""
    store = get_store()
    found = {"waiting": add(), "queued": add("tests.backends.tasks.add", backend="default")}
    found["running"] = add("running")
    assert store.claim_one(found["running"].pk, "w") is not None
    for status in ("succeeded", "failed", "discarded", "cancelled"):
        found[status] = archive(status=status)
    found["done"] = archive("tests.backends.tasks.add", backend="any", return_value="7")
    return {
        name: (Task if isinstance(row, Task) else CompletedTask).objects.get(pk=row.pk)
        for name, row in found.items()
    }
