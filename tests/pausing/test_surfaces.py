"""What people see of pauses, and do to them: the commands, the admin, the doctor."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse

from background_task import pause, paused
from background_task.doctor import ADVICE, diagnose
from background_task.models import Pause
from tests.app.tasks import record
from tests.store.rows import add, worker

pytestmark = pytest.mark.django_db

NAME = "tests.app.tasks.record"
CHANGELIST = "admin:background_task_pause_changelist"


def names():
    return [str(each) for each in paused()]


# -- commands --------------------------------------------------------------------------------------


def said(command, *args):
    out = StringIO()
    call_command(f"background_task_{command}", *args, stdout=out)
    return out.getvalue().splitlines()


def test_commands_pause_list_and_resume():
    named = ["--queue", "mail", "--queue", "night", "--function", NAME, "--unnamed"]
    labels = ["queue 'mail'", "queue 'night'", f"function '{NAME}'", "the unnamed queue"]
    assert said("pause") == ["Nothing is paused"]
    assert said("pause", *named) == [f"{label}: paused" for label in labels]
    assert said("pause", *named[:2]) == ["queue 'mail': is paused already"]
    assert sorted(names()) == sorted(labels)
    for listing in (said("pause"), said("resume")):
        assert sorted(line.split(": paused since ")[0] for line in listing) == sorted(labels)
    assert said("resume", *named) == [f"{label}: resumed" for label in labels]
    assert said("resume", *named[:2]) == ["queue 'mail': is not paused"]


def test_command_refuses_a_name_that_cannot_be():
    with pytest.raises(CommandError, match=r"--queue: queue .* has 191 characters"):
        said("pause", "--queue", "q" * 191)
    assert names() == []


def test_command_called_from_code_takes_a_single_name():
    call_command("background_task_pause", queue="mail", stdout=StringIO())
    assert names() == ["queue 'mail'"]


# -- admin -----------------------------------------------------------------------------------------


@pytest.fixture
def page(client):
    client.force_login(User.objects.create_superuser("admin", password="admin"))
    return client


def added(page, **data):
    response = page.post(reverse("admin:background_task_pause_add"), data, follow=True)
    return response.content.decode()


def test_admin_pauses_by_adding_a_row(page):
    added(page, kind="queue", name="mail")
    assert names() == ["queue 'mail'"]
    assert not pause(queue="mail")
    assert "is paused already" in added(page, kind="queue", name="mail")
    added(page, kind="queue", name="")
    assert "(the unnamed queue)" in page.get(reverse(CHANGELIST)).content.decode()
    assert not pause(queue=None)


def test_admin_refuses_a_function_without_a_name(page):
    assert "use 1 to 190" in added(page, kind="function", name="")
    assert names() == []


@pytest.mark.parametrize("action", ["resume", "delete_selected"])
def test_admin_resumes_by_an_action(page, action):
    pause(queue="mail")
    pause(function=record)
    data = {"action": action, "_selected_action": [row.pk for row in Pause.objects.all()]}
    page.post(reverse(CHANGELIST), {**data, "post": "yes"}, follow=True)
    assert names() == []


def test_admin_resumes_by_deleting_a_row_and_changes_none(page):
    pause(queue="mail")
    key = Pause.objects.get().pk
    form = page.get(reverse("admin:background_task_pause_change", args=[key]))
    assert 'name="name"' not in form.content.decode()
    page.post(reverse("admin:background_task_pause_delete", args=[key]), {"post": "yes"})
    assert names() == []


# -- doctor ----------------------------------------------------------------------------------------


def found():
    return {finding.id: finding for finding in diagnose("default").findings}


def test_doctor_names_what_is_paused_instead_of_calling_it_overdue(store):
    worker("alive", now=store.now())
    add(store, task_name=NAME, queue="mail queue", due_in=-3600)
    add(store, task_name="gone.function", queue="mail queue", due_in=-3600)
    assert {"overdue", "function-unknown"} <= set(found())
    pause(queue="mail queue")
    pause(queue="nothing waits here")
    Pause.objects.update(paused_at=store.now() - timedelta(hours=2))
    finding = found()["paused"]
    assert finding.level == ADVICE
    assert "2 tasks are due and paused: queue 'mail queue' (for 2:00:0" in finding.what
    assert "nothing waits here" not in finding.what
    assert finding.remedy.endswith("background_task_resume --queue 'mail queue'")
    assert not {"overdue", "function-unknown", "queue-unserved"} & set(found())


def test_doctor_names_a_paused_function_and_the_unnamed_queue(store):
    worker("alive", now=store.now())
    add(store, task_name=NAME, due_in=-3600)
    pause(function=record)
    assert found()["paused"].remedy.endswith(f"background_task_resume --function {NAME}")
    Pause.objects.all().delete()
    pause(queue=None)
    assert found()["paused"].remedy.endswith("background_task_resume --unnamed")


def test_doctor_says_nothing_of_pauses_for_which_nothing_waits(store):
    add(store, task_name=NAME, due_in=3600)
    pause(function=record)
    assert "paused" not in found()
