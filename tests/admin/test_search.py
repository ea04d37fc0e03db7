"""What the search of the lists finds, how far it looks, and that it finds nothing masked."""

import pytest
from django.contrib.auth.models import Group, User

from background_task.admin import searching
from background_task.models import CompletedTask, Task
from background_task.payload import encode
from tests.admin.pages import found_in, list_of
from tests.api.conftest import add, archive
from tests.masking import tasks as masking_tasks

pytestmark = pytest.mark.django_db

MODELS = (Task, CompletedTask)


def row_of(model, name="other", *args, creator=None, **kwargs):
    row = add(name) if model is Task else archive(name)
    row.task_params = encode(args, kwargs)
    if creator is not None:
        row.creator = creator
    row.save()
    return row


@pytest.mark.parametrize("model", MODELS)
def test_search_by_id_and_uid(admin_client, model):
    row, other = row_of(model), row_of(model, "other", 1)
    model.objects.filter(pk=other.pk).update(task_params=encode((row.pk,), {}))
    row.refresh_from_db()
    for text in (str(row.pk), f"id:{row.pk}", f"uid:{row.uid}", f" {row.uid.hex} "):
        assert found_in(admin_client, model, q=text) == [row]
    for text in ("id:x", "id:" + "9" * 30, "9" * 30, "uid:7", "0"):
        assert found_in(admin_client, model, q=text) == []


@pytest.mark.parametrize("model", MODELS)
def test_search_by_the_name_of_a_function(admin_client, model):
    row = row_of(model, "shop.tasks.send_mail")
    row_of(model, "shop.tasks.bill", "send_mail")
    for text in ("name:send_mail", "name:SEND", "name:shop.tasks.send_mail"):
        assert found_in(admin_client, model, q=text) == [row]
    assert len(found_in(admin_client, model, q="send_mail")) == 2


@pytest.mark.parametrize("model", MODELS)
def test_search_by_an_argument(admin_client, model):
    row, letters = row_of(model, "a", 4711), row_of(model, "b", title="Grüße")
    row_of(model, "4711")
    assert found_in(admin_client, model, q="arg:4711") == [row]
    assert found_in(admin_client, model, q="grüße") == [letters]
    assert found_in(admin_client, model, q="arg:nothing of this") == []


@pytest.mark.parametrize("model", MODELS)
def test_search_by_the_creator(admin_client, model):
    user = User.objects.create_user("ann", pk=7001)
    group = Group.objects.create(name="editors", pk=7001)
    of_user, of_group = row_of(model, creator=user), row_of(model, creator=group)
    row_of(model)
    assert found_in(admin_client, model, q="creator:auth.user:7001") == [of_user]
    assert found_in(admin_client, model, q="creator:auth.Group:7001") == [of_group]
    assert found_in(admin_client, model, q="creator:7001") == [of_group, of_user]
    for text in ("creator:", "creator:auth.user:x", "creator:nothing.here:7001", "creator:7002"):
        assert found_in(admin_client, model, q=text) == []


def test_search_finds_nothing_that_is_masked(admin_client, settings):
    settings.BACKGROUND_TASK_MASK = ["password"]
    row = row_of(Task, masking_tasks.sign_in.name, "ann", "hunter2")
    secret = row_of(Task, masking_tasks.pay.name, "4000-1234")
    assert found_in(admin_client, Task, q="ann") == [row]
    for text in ("hunter2", "arg:hunter", "4000-1234", "arg:4000"):
        assert found_in(admin_client, Task, q=text) == []
    page = list_of(admin_client, Task).content.decode()
    assert "hunter2" not in page
    assert "4000-1234" not in page
    assert found_in(admin_client, Task, q="name:pay") == [secret]


def test_search_of_arguments_is_bounded_and_the_page_says_so(admin_client, monkeypatch):
    monkeypatch.setattr(searching, "MOST_ROWS", 4)
    monkeypatch.setattr(searching, "GROUP", 2)
    rows = [row_of(Task, "a", "needle") for _ in range(4)]
    assert "searched" not in list_of(admin_client, Task, q="arg:needle").content.decode()
    rows.append(row_of(Task, "a", "needle"))
    assert found_in(admin_client, Task, q="arg:needle") == rows[:0:-1]
    note = "Arguments were searched in the newest 4 rows of this list only."
    assert note in list_of(admin_client, Task, q="arg:needle").content.decode()


def test_search_of_arguments_looks_at_no_older_rows(admin_client, monkeypatch):
    monkeypatch.setattr(searching, "MOST_ROWS", 2)
    row_of(Task, "a", "needle")
    for _ in range(2):
        row_of(Task, "a", "hay")
    assert found_in(admin_client, Task, q="arg:needle") == []


@pytest.mark.parametrize(("name", "value", "kept"), [("MOST_FOUND", 2, 2), ("MOST_CHARS", 30, 2)])
def test_search_of_arguments_ends_when_enough_was_found_or_read(
    admin_client, monkeypatch, name, value, kept
):
    monkeypatch.setattr(searching, name, value)
    rows = [row_of(Task, "a", "needle") for _ in range(4)]
    assert found_in(admin_client, Task, q="arg:needle") == rows[: -kept - 1 : -1]
    page = list_of(admin_client, Task, q="arg:needle").content.decode()
    assert "Only the newest 2 that were found are shown; ask for less." in page


def test_search_for_letters_that_json_escapes_need_not_know_their_case(admin_client):
    row = row_of(Task, "a", title="Öl und Grüße")
    row_of(Task, "a", title="Oel")
    for text in ("Öl", "öl und", "grüße"):
        assert found_in(admin_client, Task, q=f"arg:{text}") == [row]


def test_search_takes_what_filters_have_left(admin_client):
    row = row_of(Task, "a", "needle")
    row_of(Task, "b", "needle")
    assert found_in(admin_client, Task, q="arg:needle", task_name="a") == [row]


def test_search_tells_its_syntax(admin_client):
    page = list_of(admin_client, Task).content.decode()
    assert "creator:app.model:7" in page
