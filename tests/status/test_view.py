"""What whoever has a token is told of a task, and what nobody is told."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from background_task.exceptions import InvalidOptionError, InvalidOptionTypeError
from background_task.masking import MASK
from background_task.models import CompletedTask, Task
from background_task.progress_report import make_report
from background_task.status import make_token, token as tokens
from background_task.store import get_store

SECRET = "hunter2"

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.status.urls")]


@pytest.fixture
def task():
    found = Task.objects.new_task("shop.export", args=[SECRET])
    found.last_error = f"ValueError: {SECRET}"
    get_store().add(found)
    return found


def archive(task, **values):
    completed = task.archived(now=timezone.now())
    for name, value in values.items():
        setattr(completed, name, value)
    completed.save()
    task.delete()
    return completed


def url(token):
    return reverse("background_task_status:status", args=[token])


def ask(client, task, **options):
    return client.get(url(make_token(task, **options)))


def test_waiting_task_is_told_with_one_query(client, task, django_assert_num_queries):
    token = make_token(task)
    with django_assert_num_queries(1):
        response = client.get(url(token))
    assert response.status_code == 200
    assert response.json() == {
        "status": "waiting",
        "is_finished": False,
        "fraction": None,
        "text": "Waiting",
        "progress": None,
    }
    assert SECRET not in response.content.decode()


def test_answer_is_kept_by_nobody(client, task):
    response = ask(client, task)
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["Content-Type"] == "application/json"


def test_running_task_tells_how_far_it_is(client, task):
    report = make_report(1, 4, "resizing <b>", now=timezone.now())
    Task.objects.update(locked_by="w", progress_json=report.to_text())
    told = ask(client, task).json()
    assert told["status"] == "running"
    assert told["fraction"] == 0.25
    assert told["text"] == "Running, 25%, resizing <b>"
    assert told["progress"] == {"done": 1, "total": 4, "fraction": 0.25, "message": "resizing <b>"}


@pytest.mark.parametrize(
    ("values", "status", "text"),
    [
        ({}, "succeeded", "Done"),
        ({"failed_at": timezone.now()}, "failed", "Failed"),
        ({"discarded_at": timezone.now()}, "discarded", "Dropped"),
        ({"cancelled_at": timezone.now()}, "cancelled", "Cancelled"),
    ],
)
def test_task_that_has_ended_is_told(client, task, django_assert_num_queries, values, status, text):
    token = make_token(task)
    archive(task, return_value=f'"{SECRET}"', **values)
    with django_assert_num_queries(2):
        response = client.get(url(token))
    told = response.json()
    assert (told["status"], told["text"], told["is_finished"]) == (status, text, True)
    assert told["fraction"] == (1.0 if status == "succeeded" else None)
    assert SECRET not in response.content.decode()


def test_task_that_was_deleted_is_gone(client, task):
    token = make_token(task)
    task.delete()
    told = client.get(url(token)).json()
    assert (told["status"], told["is_finished"]) == ("gone", True)


def test_result_is_told_where_the_token_says_so(client, task):
    token = make_token(task, result=True)
    assert client.get(url(token)).json()["result"] is None
    archive(task, return_value='{"link": "/a.zip"}')
    assert client.get(url(token)).json()["result"] == {"link": "/a.zip"}
    assert "result" not in ask(client, CompletedTask.objects.get()).json()


def test_result_of_a_task_that_has_failed_is_none(client, task):
    token = make_token(task, result=True)
    archive(task, return_value=f'"{SECRET}"', failed_at=timezone.now())
    assert client.get(url(token)).json()["result"] is None


def test_result_of_a_sensitive_task_is_masked(client, task):
    token = make_token(task, result=True)
    archive(task, return_value=f'"{SECRET}"', options='{"sensitive":true}')
    assert client.get(url(token)).json()["result"] == MASK


@pytest.mark.parametrize(
    "text", ["NaN", "{", '{"__background_task__": ["instance", "a.b", 1, ""]}']
)
def test_result_that_json_cannot_hold_is_none(client, task, text):
    token = make_token(task, result=True)
    archive(task, return_value=text)
    told = client.get(url(token)).json()
    assert (told["status"], told["result"]) == ("succeeded", None)


def test_token_that_is_too_old_is_refused(client, task, monkeypatch):
    token = make_token(task, timedelta(minutes=1))
    now = tokens.time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + 61)
    response = client.get(url(token))
    assert response.status_code == 410
    assert response.json() == {"error": "expired"}
    assert "no-store" in response["Cache-Control"]


def forged(uid):
    return [
        "x",
        make_token(uid)[:-1],
        signing.dumps([uid.hex, 2**40, 1]),  # with the salt of somebody else
        signing.dumps("x", salt=tokens.SALT),
        signing.dumps(["x", 2**40, 1], salt=tokens.SALT),
        signing.dumps([7, 2**40, 1], salt=tokens.SALT),
        str(uid),
    ]


def test_wrong_token_is_refused_without_a_query(client, task, django_assert_num_queries):
    for token in forged(task.uid):
        with django_assert_num_queries(0):
            response = client.get(url(token))
        assert response.status_code == 404
        assert response.json() == {"error": "not found"}


def test_view_is_only_read(client, task):
    assert client.post(url(make_token(task))).status_code == 405
    assert client.head(url(make_token(task))).status_code == 200


def test_token_is_made_of_whatever_names_a_task(task):
    class Result:
        id = str(task.uid)

    for named in (task, task.uid, str(task.uid), task.uid.hex, Result()):
        assert tokens.read_token(make_token(named)).uid == task.uid


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda: make_token(uuid4(), 0), InvalidOptionError),
        (lambda: make_token(uuid4(), "day"), InvalidOptionTypeError),
        (lambda: make_token(uuid4(), result=1), InvalidOptionTypeError),
        (lambda: make_token("x"), InvalidOptionError),
        (lambda: make_token(None), InvalidOptionError),
        (lambda: make_token(Task()), InvalidOptionError),
        (lambda: make_token(7), InvalidOptionError),
    ],
)
def test_token_that_cannot_work_is_refused(act, error):
    with pytest.raises(error):
        act()
