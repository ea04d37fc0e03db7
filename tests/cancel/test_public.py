"""``background_task.cancel``, ``Task.cancel``, the command and the admin."""

from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.messages import get_messages
from django.core.management import CommandError, call_command
from django.db import transaction

import background_task
from background_task import (
    InvalidOptionError,
    InvalidOptionTypeError,
    TaskCancelledError,
    acancel,
    cancel,
    telemetry,
)
from background_task.admin import TaskAdmin, cancel_tasks
from background_task.models import CompletedTask, Task
from background_task.signals import task_cancelled
from background_task.store import get_store
from background_task.tasks import tasks
from tests.concurrency.rivals import post_request
from tests.store.rows import add, add_as_1x, everything
from tests.worker.running import Events

pytestmark = pytest.mark.django_db


@pytest.fixture
def job(registry):
    return registry.background(name="job")(lambda *args: None)


@pytest.fixture
def heard():
    heard = []

    def hear(sender, task_id, completed_task, **kwargs):
        heard.append((sender, task_id, completed_task.uid))

    task_cancelled.connect(hear)
    yield heard
    task_cancelled.disconnect(hear)


@pytest.mark.parametrize(
    "given",
    [lambda task: task, lambda task: task.uid, lambda task: str(task.uid)],
    ids=["task", "uid", "text"],
)
def test_cancel_takes_a_task_and_what_names_one(job, given):
    task = job()
    assert cancel(given(task)) == "cancelled"
    assert cancel(given(task)) == "finished"
    assert cancel(CompletedTask.objects.get()) == "finished"
    assert not tasks.run_next_task()


def test_cancel_by_method_and_from_a_coroutine_do_the_same(job):
    assert job().cancel() == "cancelled"
    assert Task.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_acancel_does_the_same_in_a_coroutine(job):
    assert async_to_sync(acancel)(job().uid) == "cancelled"


def test_cancel_what_has_no_row(job):
    assert cancel(uuid4()) == "gone"
    assert cancel(Task(task_name="job")) == "gone"
    task = job()
    Task.objects.all().delete()
    assert task.cancel() == "gone"


def test_cancel_rows_of_1x(job):
    task = add_as_1x(get_store(), task_name="job")
    assert task.uid is None
    assert cancel(task) == "cancelled"
    CompletedTask.objects.update(uid=None)
    assert cancel(CompletedTask.objects.get()) == "finished"


@pytest.mark.parametrize("wrong", ["x", "", "1" * 31, None, 7, b"1" * 32], ids=repr)
def test_cancel_anything_else_is_refused(wrong):
    expected = InvalidOptionError if isinstance(wrong, str) else InvalidOptionTypeError
    with pytest.raises(expected, match="uid"):
        cancel(wrong)


def test_cancelled_task_is_neither_done_nor_failed(job):
    task = job()
    cancel(task)
    assert task.status == "cancelled"
    with pytest.raises(TaskCancelledError, match=r"^job .* was cancelled: it had not begun$"):
        task.wait(0)
    assert not CompletedTask.objects.succeeded().exists()
    assert not CompletedTask.objects.failed().exists()


def test_cancel_frees_the_unique_key(registry):
    job = registry.background(name="job", unique=True, unique_until="finish")(lambda: None)
    first = job()
    assert job() is None
    cancel(first)
    assert job() is not None


def test_cancel_tells_after_the_commit(job, heard, django_capture_on_commit_callbacks):
    task, events = job(), Events()
    with telemetry.subscribed(events, to=("cancel",)):
        with django_capture_on_commit_callbacks(execute=True):
            cancel(task)
            assert (heard, events.all) == ([], [])
        cancel(task)
    assert heard == [(Task, task.pk, task.uid)]
    (event,) = events.of("cancel")
    assert (event["claim"].uid, event["reason"]) == (task.uid, "it had not begun")


def test_cancel_that_is_rolled_back_has_not_been(job, heard, django_capture_on_commit_callbacks):
    task = job()
    before = everything()
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        cancel(task)
        transaction.set_rollback(True)
    assert everything() == before
    assert heard == []


def test_cancel_is_logged(job, caplog, django_capture_on_commit_callbacks):
    caplog.set_level("INFO", logger="background_task.tasks")
    with django_capture_on_commit_callbacks(execute=True):
        cancel(job())
    assert "Cancelled job: it had not begun" in caplog.messages


def test_public_names_are_there():
    names = {"cancel", "acancel", "TaskCancelled", "TaskCancelledError"}
    assert names <= {*background_task.__all__}


# -- the command -----------------------------------------------------------------------------------


def test_command_says_what_becomes_of_each(job, capsys):
    waiting, running, finished = job(), job(), job()
    get_store().claim_one(running.pk, "w")
    cancel(finished)
    call_command("background_task_cancel", *map(str, (waiting.uid, running.uid, finished.uid)))
    assert capsys.readouterr().out.splitlines() == [
        f"{waiting.uid}: cancelled",
        f"{running.uid}: it runs, and has been asked to end",
        f"{finished.uid}: it has finished already",
    ]


def test_command_fails_on_a_task_that_is_not_there_after_it_did_the_rest(job):
    with pytest.raises(CommandError, match="There is no such task"):
        call_command("background_task_cancel", str(uuid4()), str(job().uid))
    assert not Task.objects.exists()


def test_command_refuses_what_is_no_uid():
    with pytest.raises(CommandError, match="'7' is no uid"):
        call_command("background_task_cancel", "7")


# -- the admin -------------------------------------------------------------------------------------


def chosen(rows):
    request = post_request(confirmed="yes")
    cancel_tasks(TaskAdmin(Task, admin.site), request, rows)
    (message,) = [str(message) for message in get_messages(request)]
    return message


def test_admin_cancels_all_that_is_chosen_in_batches(job, monkeypatch):
    monkeypatch.setattr("background_task.admin.batch.BATCH_SIZE", 2)
    for number in range(5):
        job(number)
    get_store().claim_one(job(5).pk, "w")
    assert chosen(Task.objects.all()) == "5 cancelled, 1 asked to end."
    assert CompletedTask.objects.count() == 5


def test_admin_leaves_alone_what_is_not_chosen(job):
    kept, other = job(1), job(2)
    assert chosen(Task.objects.filter(pk=other.pk)) == "1 cancelled."
    assert Task.objects.get() == kept


def test_admin_cancels_rows_of_another_order_and_none(job):
    job()
    assert chosen(Task.objects.order_by("-run_at")) == "1 cancelled."
    assert chosen(Task.objects.all()) == "No task was chosen."


def test_admin_shows_cancelled_tasks(admin_client, job):
    running = job()
    get_store().claim_one(running.pk, "w")
    cancel(running)
    cancel(add(get_store(), task_name="job"))
    page = admin_client.get(f"/admin/background_task/task/{running.pk}/change/")
    assert b"Cancel requested at" in page.content
    page = admin_client.get("/admin/background_task/completedtask/?cancelled_at__isempty=0")
    assert b"1 completed task" in page.content
