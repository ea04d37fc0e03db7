"""The list of workers says how each stands, what it is, and what it runs now."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from background_task.models import Worker
from tests.admin.pages import found_in, list_of, page_of
from tests.api.conftest import add

pytestmark = pytest.mark.django_db


def living(name, *, expires_in=3600, **values):
    """A worker that began an hour and a half ago."""
    now = timezone.now()
    return Worker.objects.create(
        name=name,
        host=values.pop("host", "here"),
        pid=4242,
        started_at=now - timedelta(minutes=90),
        heartbeat_at=now,
        expires_at=now + timedelta(seconds=expires_in),
        **values,
    )


@pytest.fixture
def workers(db):
    return {
        "alive": living("alive", memory_bytes=52_428_800, processed=12_345, queues="mails"),
        "silent": living("silent", expires_in=-60, host="there"),
        "stopped": living("stopped", stopped_at=timezone.now()),
    }


@pytest.mark.parametrize("state", ["alive", "silent", "stopped"])
def test_filter_workers_by_state(workers, admin_client, state):
    assert found_in(admin_client, Worker, state=state) == [workers[state]]


def test_filter_workers_by_host_and_search_by_name(workers, admin_client):
    assert found_in(admin_client, Worker, host="there") == [workers["silent"]]
    assert found_in(admin_client, Worker, q="stop") == [workers["stopped"]]


def test_list_says_how_workers_stand_and_what_they_are(workers, admin_client):
    page = list_of(admin_client, Worker).content.decode()
    for text in (">alive</span>", ">silent</span>", ">stopped</span>", "50.0\xa0MB", "1 h 30 min"):
        assert text in page
    assert ">12345<" in page
    assert ">mails<" in page


def test_list_names_what_each_worker_runs_now(workers, admin_client):
    mine = [add(f"task{number}", locked_by="alive") for number in range(7)]
    add("of somebody else", locked_by="ALIVE")
    page = list_of(admin_client, Worker).content.decode()
    shown = [row for row in mine if f'task/{row.pk}/change/">{row.task_name}</a>' in page]
    assert len(shown) == 5
    assert "<li>and 2 more</li>" in page
    assert "of somebody else" not in page


def test_page_of_a_worker_says_what_it_runs(workers, admin_client):
    add("mine", locked_by="alive")
    page = page_of(admin_client, workers["alive"])
    assert ">mine</a>" in page
    assert "50.0\xa0MB" in page


def test_who_may_not_look_at_tasks_is_not_told_what_workers_run(workers, client):
    task = add("salary of the boss", locked_by="alive")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_worker"))
    client.force_login(viewer)
    for page in (list_of(client, Worker).content.decode(), page_of(client, workers["alive"])):
        assert ">alive</span>" in page
        assert task.task_name not in page
