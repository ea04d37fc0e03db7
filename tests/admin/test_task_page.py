"""The page of a task tells its life, and nothing that is masked."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.utils import timezone

from background_task.attempt_error import AttemptError, appended
from background_task.models import AttemptLog, CompletedTask, Task
from background_task.pausing import pause
from background_task.payload import encode
from background_task.progress_report import ProgressReport
from tests.admin.pages import page_of, statements_of
from tests.api.conftest import add, archive
from tests.masking import tasks as masking_tasks

pytestmark = pytest.mark.django_db

TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/shop/tasks.py", line 3, in f\nshop.No'


def errors(*numbers):
    text, now = None, timezone.now()
    for number in numbers:
        began = now - timedelta(minutes=30 - number)
        error = AttemptError(
            number, "shop.No", TRACEBACK, began + timedelta(seconds=4), f"host:{number}", began
        )
        text = appended(text, error)
    return text


def viewer(client, *codenames):
    user = User.objects.create_user("eve", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def test_page_of_a_failed_task_shows_every_attempt(admin_client):
    row = archive(status="failed", attempts=2, errors=errors(1, 2), enqueued_at=timezone.now())
    page = page_of(admin_client, row)
    assert page.count("<summary>Traceback of attempt ") == 2
    assert page.count('<strong class="bgtask-exception">shop.No</strong>') == 2
    assert page.count("attempt 1 failed after 4.0 s") == 1
    assert '<a href="/admin/background_task/worker/?q=host%3A2">host:2</a>' in page
    assert "having waited 56.0 s" in page
    assert '<span class="bgtask-badge bgtask-is-failed">failed</span>' in page


def test_page_is_headed_by_the_name_once_and_a_time_that_can_be_read(admin_client):
    row = archive(name="shop.send", status="succeeded")
    page = page_of(admin_client, row)
    assert page.count(f"shop.send, {timezone.localtime(row.run_at):%Y-%m-%d %H:%M:%S}") == 3
    assert str(row) not in page
    assert "<strong>shop.send</strong>" not in page
    named = page_of(admin_client, add(name="shop.send", verbose_name="Letters"))
    assert "<h2>Letters</h2>" in named
    assert "<strong>shop.send</strong>" in named


def test_page_of_a_running_task_shows_who_runs_it_and_how_far_it_is(admin_client):
    said = ProgressReport(3, 10, "mails", timezone.now()).to_text()
    row = add(locked_by="host:9", locked_at=timezone.now(), progress_json=said)
    page = page_of(admin_client, row)
    assert "attempt 1 running for" in page
    assert '<progress class="bgtask-progress" max="100" value="30"' in page
    assert "3 of 10 (30%): mails, said at" in page


def test_page_of_a_task_without_a_total_has_no_bar(admin_client):
    row = add(progress_json=ProgressReport(3, None, "mails", timezone.now()).to_text())
    page = page_of(admin_client, row)
    assert "3: mails" in page
    assert "<progress" not in page


def test_page_of_a_waiting_task_says_when_it_is_due_and_that_it_is_paused(admin_client):
    pause(queue="resting")
    row = add(run_at=timezone.now() + timedelta(hours=2, minutes=30), queue="resting")
    page = page_of(admin_client, row)
    assert "due, in 2 h" in page
    assert '<span class="bgtask-badge bgtask-is-paused">paused</span>' in page


def test_page_shows_the_log_of_each_attempt_folded(admin_client):
    row = archive(attempts=1, locked_by="w", locked_at=timezone.now())
    for number, text in ((1, "first line"), (1, "second line"), (2, "of another")):
        AttemptLog.objects.create(
            uid=row.uid, attempt=number, worker="w", at=timezone.now(), text=text
        )
    AttemptLog.objects.create(uid=add().uid, attempt=1, worker="w", at=timezone.now(), text="no")
    page = page_of(admin_client, row)
    assert "<summary>Log of attempt 1</summary>" in page
    assert "<pre>first line\nsecond line</pre>" in page
    assert "<pre>of another</pre>" in page
    assert "<pre>no</pre>" not in page


def test_page_of_a_task_of_1x_shows_its_last_error(admin_client):
    page = page_of(admin_client, archive(status="failed", last_error=TRACEBACK))
    assert "<summary>Last error</summary>" in page
    assert "bgtask-tb-own" in page


def test_page_shows_arguments_and_result_on_lines_of_their_own(admin_client):
    row = archive(task_params=encode(("ann",), {}), return_value='{"sent": 2}')
    page = page_of(admin_client, row)
    assert "&quot;ann&quot;\n" in page
    assert "{\n  &quot;sent&quot;: 2\n}" in page


def test_page_leads_along_the_chain(admin_client):
    earlier = [archive(status="succeeded") for _ in range(2)]
    archive(task_params=encode((7,), {}), name="other")
    archive("of another function")
    CompletedTask.objects.exclude(pk__in=[row.pk for row in earlier]).update(task_hash="x")
    row, following = archive(), add()
    page = page_of(admin_client, row)
    for other in (*earlier, following):
        assert f'{other._meta.model_name}/{other.pk}/change/"' in page
    assert page.count("succeeded at ") == 2
    page = page_of(admin_client, following)
    assert page.count("succeeded at ") == 3
    assert "Live tasks of the same call" not in page


def test_page_of_a_failed_task_leads_to_the_one_that_tries_it_anew(admin_client):
    following = add("anew")
    row = archive(status="failed", options=f'{{"retried":"{following.uid.hex}"}}')
    assert f"task/{following.pk}/change/" in page_of(admin_client, row)
    following.delete()
    assert "which is in no table any more" in page_of(admin_client, row)


def test_page_names_the_creator_to_those_who_may_see_it(admin_client, client):
    group = Group.objects.create(name="editors")
    row = add(creator=group)
    link = f'<a href="/admin/auth/group/{group.pk}/change/">editors (auth.group:{group.pk})</a>'
    assert link in page_of(admin_client, row)
    page = page_of(viewer(client, "view_task"), row)
    assert f"auth.group:{group.pk}" in page
    assert "editors (" not in page


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_page_shows_nothing_that_is_masked(admin_client, client, settings, model):
    settings.BACKGROUND_TASK_MASK = ["password"]
    call = encode(("ann", "hunter2"), {})
    name = masking_tasks.sign_in.name
    row = add(name) if model is Task else archive(name, return_value='{"password": "hunter2"}')
    model.objects.update(task_params=call)
    eve = viewer(client, "view_task", "view_completedtask")
    for who in (admin_client, eve):
        page = page_of(who, row)
        assert "ann" in page
        assert "hunter2" not in page
        assert row.task_hash not in page
        assert 'name="task_params"' not in page


def test_page_of_a_sensitive_task_shows_no_result(admin_client):
    row = archive(
        masking_tasks.pay.name,
        task_params=encode(("my card",), {}),
        return_value='{"card": "my card"}',
    )
    page = page_of(admin_client, row)
    assert "<pre>********</pre>" in page
    assert "my card" not in page


def test_saving_the_form_of_a_masked_task_leaves_its_arguments(admin_client, settings):
    from tests.concurrency.test_stale_form import fields_of

    settings.BACKGROUND_TASK_MASK = ["password"]
    row = add(masking_tasks.sign_in.name)
    Task.objects.update(task_params=encode(("ann", "hunter2"), {}))
    url = f"/admin/background_task/task/{row.pk}/change/"
    data = fields_of(admin_client.get(url).context["adminform"].form)
    assert admin_client.post(url, {**data, "priority": "7"}).status_code == 302
    row.refresh_from_db()
    assert (row.priority, row.params()) == (7, (["ann", "hunter2"], {}))


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_saving_the_form_of_a_masked_task_leaves_its_function(admin_client, settings, model):
    """As the arguments of a function that has other names for them, they would be shown."""
    from tests.concurrency.test_stale_form import fields_of

    settings.BACKGROUND_TASK_MASK = ["password"]
    row = (add if model is Task else archive)(masking_tasks.sign_in.name)
    model.objects.update(task_params=encode(("ann", "hunter2"), {}))
    url = f"/admin/background_task/{model._meta.model_name}/{row.pk}/change/"
    data = fields_of(admin_client.get(url).context["adminform"].form)
    renamed = {**data, "task_name": masking_tasks.post.name, "priority": "7"}
    assert admin_client.post(url, renamed).status_code == 302
    row.refresh_from_db()
    assert (row.priority, row.task_name) == (7, masking_tasks.sign_in.name)
    assert "hunter2" not in page_of(admin_client, row)


def test_finished_tasks_are_changed_by_superusers_only(admin_client, client):
    row = archive()
    assert 'name="priority"' in page_of(admin_client, row)
    eve = viewer(client, "view_completedtask", "change_completedtask")
    page = page_of(eve, row)
    assert 'name="priority"' not in page
    assert 'name="_save"' not in page
    eve.post(f"/admin/background_task/completedtask/{row.pk}/change/", {"priority": "7"})
    row.refresh_from_db()
    assert row.priority == 0


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_page_asks_the_same_however_much_there_is(admin_client, model):
    values = {"attempts": 3, "creator": Group.objects.create(name="editors")}
    row = (add if model is Task else archive)(errors=errors(1), **values)
    few = statements_of(lambda: page_of(admin_client, row))
    for number in range(1, 31):
        add()
        archive()
        AttemptLog.objects.create(
            uid=row.uid or add().uid, attempt=number, worker="w", at=timezone.now(), text="x"
        )
    model.objects.filter(pk=row.pk).update(errors=errors(*range(1, 20)))
    many = statements_of(lambda: page_of(admin_client, row))
    assert len(many) == len(few) <= 13
    assert not [sql for sql in many if "COUNT(" in sql.upper()]
