"""Lists and pages of the admin, as tests ask for them."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse


def list_of(client, model, **query):
    """Return the response to somebody who opens a list."""
    url = reverse(f"admin:background_task_{model._meta.model_name}_changelist")
    response = client.get(url, query)
    assert response.status_code == 200, response.headers.get("Location")
    return response


def found_in(client, model, **query):
    """Return the rows of the page that a list opens with, in its order."""
    return list(list_of(client, model, **query).context["cl"].result_list)


def page_of(client, row):
    """Return the text of the page of a row."""
    url = reverse(f"admin:background_task_{row._meta.model_name}_change", args=[row.pk])
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def statements_of(ask):
    """Return the statements that a request sends, when everything has been imported and cached."""
    ask()
    with CaptureQueriesContext(connection) as captured:
        ask()
    return [query["sql"] for query in captured]
