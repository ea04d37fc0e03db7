"""Running waiting tasks now, taking back what the dead hold, and trying anew what has failed."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from background_task.models import CompletedTask, Task
from background_task.payload import encode
from tests.api.conftest import add, archive
from tests.api.test_requeue import claimed, gone, living

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def test_run_now_moves_what_waits_for_its_time_only(store, act):
    now = store.now()
    later, limited = add(run_at=now + HOUR), add(run_at=now + HOUR, due_at=now - HOUR)
    due, running = add(run_at=now - HOUR), add(run_at=now + HOUR, locked_by="w")
    said = act("run_now", later, limited, due, running)
    assert said == "2 due now, 2 left alone: due already, running or gone."
    for row in (later, limited, due, running):
        row.refresh_from_db()
    assert [row.run_at <= store.now() for row in (later, limited)] == [True, True]
    assert (limited.run_at, limited.due_at) == (now - HOUR, None)  # its place among the others
    assert (due.run_at, running.run_at) == (now - HOUR, now + HOUR)


def test_take_back_leaves_to_the_living_what_is_theirs(act):
    lost, kept, last = claimed(gone()), claimed(living()), claimed("gone", attempts=24)
    said = act("take_back", lost, kept, last, add())
    assert said == (
        "1 waiting again, 1 failed, as no attempt was left, 1 left to workers that are alive."
    )
    assert set(Task.objects.filter(locked_by=None).values_list("attempts", flat=True)) == {0, 1}
    kept.refresh_from_db()
    assert kept.locked_by == "alive"
    assert CompletedTask.objects.failed().get().uid == last.uid


def test_take_back_of_what_nobody_holds_says_so(act):
    assert act("take_back", add()) == "None of these is held by anybody."


def test_try_anew_adds_one_task_for_each_that_has_failed(act):
    call = encode((1,), {})
    failed = archive("tests.backends.tasks.add", status="failed", backend="any", task_params=call)
    chosen = (failed, archive(), archive(status="discarded"))
    assert act("try_anew", *chosen) == "1 put into the queue anew."
    task = Task.objects.get()
    assert (task.task_name, task.backend, task.params()) == (failed.task_name, "any", ([1], {}))
    assert task.uid != failed.uid
    assert act("try_anew", *chosen).endswith("None of these has failed and not been tried anew.")
    assert Task.objects.count() == 1


def test_try_anew_tells_of_what_is_held_back_or_cannot_be_read(registry, act):
    registry.background(name="only", unique=True)(lambda: None)
    one, other = archive("only", status="failed"), archive("only", status="failed")
    broken = archive(status="failed", options="[")
    said = act("try_anew", one, other, broken)
    assert "cannot be tried anew" in said
    assert said.endswith(
        "1 put into the queue anew, 1 held back: another task has the unique key, "
        "1 not readable any more."
    )


def test_actions_are_not_offered_to_somebody_who_may_only_look(client):
    user = User.objects.create_user("eve", is_staff=True)
    for model in ("task", "completedtask"):
        user.user_permissions.add(Permission.objects.get(codename=f"view_{model}"))
    client.force_login(user)
    for model, row in (("task", add()), ("completedtask", archive(status="failed"))):
        url = reverse(f"admin:background_task_{model}_changelist")
        page = client.get(url).content.decode()
        assert str(row.task_name) in page
        for action in ("run_now", "take_back", "try_anew", "cancel_tasks"):
            assert f'value="{action}"' not in page
