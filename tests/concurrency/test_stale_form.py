"""A form of the admin that stood open while a worker claimed the row."""

import pytest

from background_task.admin import TaskAdmin
from background_task.attempt import Succeeded
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec, enqueue
from background_task.store import get_store


@pytest.fixture
def form(admin_client):
    """Open the form of a waiting row; ``form.data`` is what the browser would send back."""
    task = enqueue(TaskSpec("known", ("x",)), sender=TaskSpec)
    url = f"/admin/background_task/task/{task.pk}/change/"
    page = admin_client.get(url).context["adminform"].form

    class Form:
        pk = task.pk
        data = dict(fields_of(page))

        def save(self, **changes):
            return admin_client.post(url, {**self.data, **changes})

    return Form()


def fields_of(form):
    """Every input of a rendered form, hidden ones included, as a browser fills them in."""
    from html.parser import HTMLParser

    found = {}

    class Inputs(HTMLParser):
        area = option = None

        def handle_starttag(self, tag, attrs):
            attrs = dict(attrs)
            if tag == "input":
                found[attrs["name"]] = attrs.get("value", "")
            elif tag == "textarea":
                self.area = attrs["name"]
                found[self.area] = ""
            elif tag == "select":
                self.option = attrs["name"]
                found.setdefault(self.option, "")
            elif tag == "option" and "selected" in attrs:
                found[self.option] = attrs.get("value", "")

        def handle_data(self, data):
            if self.area:
                found[self.area] += data.removeprefix("\n").removeprefix("\r\n")

        def handle_endtag(self, tag):
            self.area = None if tag == "textarea" else self.area

    Inputs().feed(form.as_p())
    return found


def test_saving_a_form_opened_before_a_claim_does_not_undo_the_claim(form):
    store = get_store()
    claim = store.claim_one(form.pk, "w")
    response = form.save(priority="7")
    assert response.status_code == 302, response.context["adminform"].form.errors
    task = Task.objects.get(pk=form.pk)
    assert task.priority == 7
    assert task.locked_by == "w"
    assert store.is_held(claim)
    assert store.finish(claim, Succeeded()).completed == CompletedTask.objects.get()


def test_emptying_the_owner_in_the_form_unlocks_the_row(form, admin_client):
    store = get_store()
    claim = store.claim_one(form.pk, "w")
    url = f"/admin/background_task/task/{form.pk}/change/"
    data = dict(fields_of(admin_client.get(url).context["adminform"].form))
    assert admin_client.post(url, {**data, "locked_by": ""}).status_code == 302
    assert not store.is_held(claim)


def test_saving_a_form_of_a_task_that_finishes_meanwhile_says_so(form, admin_client, monkeypatch):
    """The row is there when the form comes back, and gone when it is written."""
    store = get_store()
    claim = store.claim_one(form.pk, "w")
    save_form = TaskAdmin.save_form

    def finish_first(*args, **kwargs):
        store.finish(claim, Succeeded())
        return save_form(*args, **kwargs)

    monkeypatch.setattr(TaskAdmin, "save_form", finish_first)
    assert form.save(priority="7").status_code == 302
    page = admin_client.get("/admin/background_task/task/").content.decode()
    assert "was finished or deleted meanwhile; nothing was changed" in page
    assert not Task.objects.exists()
    assert CompletedTask.objects.get().priority == 0
