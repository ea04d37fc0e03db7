"""The forms of the admin show progress, errors and results, and take none of them."""

import pytest
from django.urls import reverse

from background_task.attempt import Failed, Succeeded
from background_task.models import CompletedTask, Task
from background_task.progress_report import ProgressReport
from tests.store.rows import add

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(admin_client):
    """Return the text of the form of a row."""

    def page(row):
        url = reverse(f"admin:background_task_{row._meta.model_name}_change", args=[row.pk])
        response = admin_client.get(url)
        assert response.status_code == 200
        return response.content.decode()

    return page


def test_form_of_a_task_shows_how_far_it_has_come(store, page):
    claim = store.claim_one(add(store).pk, "w")
    store.report(claim, ProgressReport(3, 10, "<b>mails</b>").to_text())
    assert "3 of 10 (30%): &lt;b&gt;mails&lt;/b&gt;" in page(Task.objects.get())


def test_form_of_a_failed_task_shows_its_errors(store, page):
    claim = store.claim_one(add(store).pk, "w")
    store.finish(claim, Failed("Traceback <module>\n", exception="shop.Broken"))
    text = page(CompletedTask.objects.get())
    assert "shop.Broken" in text
    assert "<pre>Traceback &lt;module&gt;" in text


def test_form_of_a_completed_task_shows_what_it_returned(store, page):
    store.finish(store.claim_one(add(store).pk, "w"), Succeeded('"<7>"'))
    assert "&quot;&lt;7&gt;&quot;" in page(CompletedTask.objects.get())


def test_form_of_a_task_that_says_nothing_is_shown(store, page):
    assert "errors" in page(add(store)).lower()
