"""What the doctor finds among rows and workers."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError

from background_task.doctor import ADVICE, PROBLEM, server
from background_task.models import Task
from background_task.store import Fleet
from background_task.store.diagnosis import MOST_ROWS
from background_task.tasks import tasks
from background_task.worker import Options
from tests.app.tasks import record
from tests.store.rows import LEASE, add, worker

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
NAME = "tests.app.tasks.record"


@pytest.fixture
def store():
    from background_task.store import get_store

    return get_store()


@pytest.fixture(autouse=True)
def known():
    assert NAME in tasks._tasks
    return record


def test_no_worker_and_nothing_overdue_is_advice(examine, store):
    add(store, task_name=NAME, due_in=-1)
    assert examine()["no-worker"].level == ADVICE


def test_no_worker_and_rows_overdue_is_a_problem(examine, store):
    add(store, task_name=NAME, due_in=-3600)
    add(store, task_name=NAME, due_in=-7200, priority=-5)
    finding = examine()["no-worker"]
    assert finding.level == PROBLEM
    assert "2 tasks are overdue, the oldest for 2:00:0" in finding.what
    assert finding.remedy.endswith("python manage.py process_tasks")


def test_a_living_worker_and_nothing_due_is_in_order(examine, store):
    worker("alive", now=store.now())
    add(store, task_name=NAME, due_in=3600)
    assert not {"no-worker", "worker-stale", "overdue"} & set(examine())


def test_a_worker_whose_lease_is_over_is_named(examine, store):
    worker("dead", now=store.now() - HOUR)
    finding = examine()["worker-stale"]
    assert "1 worker stopped without a word: dead (seen 1:00:0" in finding.what
    Fleet("default").retire("dead")
    assert "worker-stale" not in examine()


def test_rows_due_for_long_beside_living_workers_are_overdue(examine, store):
    worker("alive", now=store.now())
    add(store, task_name=NAME, due_in=-240)
    assert "overdue" not in examine()
    add(store, task_name=NAME, due_in=-3600)
    finding = examine()["overdue"]
    assert finding.what.startswith("1 task is due for longer than 0:05:00, the oldest for 1:00:0")
    assert "1 living worker " in finding.why


def test_rows_whose_function_is_missing_are_named_and_not_called_overdue(examine, store):
    worker("alive", now=store.now())
    for number in range(7):
        add(store, task_name=f"gone.number_{number}", due_in=-3600)
    found = examine()
    assert "gone.number_0, gone.number_1" in found["function-unknown"].what
    assert "and 2 more" in found["function-unknown"].what
    assert "overdue" not in found


def test_rows_that_are_not_due_may_have_any_function(examine, store):
    add(store, task_name="gone", due_in=3600)
    assert "function-unknown" not in examine()


def test_due_rows_of_a_queue_that_nobody_serves_are_named(examine, store):
    now = store.now()
    Fleet("default").register("a", queues="mail, print", capacity=1, lease=LEASE, now=now)
    for queue in ("mail", "print", "scan", None):
        add(store, task_name=NAME, queue=queue, due_in=-3600)
    found = examine()
    assert "no living worker serves: None, scan." in found["queue-unserved"].what
    assert "2 tasks are due" in found["overdue"].what.lower()
    worker("serves all", now=now)
    assert "queue-unserved" not in examine()


def test_rows_of_a_dead_owner_are_left_behind(examine, store):
    now = store.now()
    worker("alive", now=now)
    worker("dead", now=now)
    Fleet("default").retire("dead", now=now)
    for owner in ("dead", "dead", "alive"):
        add(store, task_name=NAME, locked_by=owner, locked_at=now)
    found = examine()
    assert found["rows-left-behind"].what == "2 rows held by owners that are gone: dead."
    assert "owner-unknown" not in found


def test_rows_of_an_owner_without_a_heartbeat_are_named(examine, store):
    now = store.now()
    worker("alive", now=now)
    add(store, task_name=NAME, locked_by="alive", locked_at=now)
    add(store, task_name=NAME, locked_by="4711", locked_at=now)
    found = examine()
    assert found["owner-unknown"].level == ADVICE
    assert found["owner-unknown"].what.endswith("not workers of this version: 4711.")
    assert "rows-left-behind" not in found


def test_rows_of_an_owner_without_a_heartbeat_are_left_behind_at_last(examine, store):
    add(store, task_name=NAME, locked_by="4711", locked_at=store.now() - 2 * HOUR)
    found = examine()
    assert "rows-left-behind" in found
    assert "owner-unknown" not in found


def test_rows_that_failed_where_they_stand_are_named(examine, store):
    task = add(store, task_name=NAME, failed_at=store.now())
    assert f"1 failed row among the live ones, with the keys {task.pk}." in examine()["buried"].what
    task.delete()
    assert "buried" not in examine()


def test_more_rows_than_are_looked_at_are_said_to_be_more(examine, store, capsys):
    task = add(store, task_name=NAME, due_in=-3600)
    Task.objects.bulk_create(
        Task(task_name=NAME, task_params=task.task_params, run_at=task.run_at, priority=n % 3)
        for n in range(MOST_ROWS)
    )
    assert f"{MOST_ROWS} tasks or more are overdue" in examine()["no-worker"].what
    with pytest.raises(SystemExit):
        call_command("background_task_doctor")
    assert f"{MOST_ROWS} or more due, the oldest since" in capsys.readouterr().out


def test_what_cannot_be_read_is_said_and_the_rest_is_examined(examine, store, monkeypatch):
    def refuse(using):
        raise DatabaseError("permission denied\nat some length")

    monkeypatch.setattr(server, "examine_isolation", refuse)
    add(store, task_name="gone")
    found = examine()
    assert found["not-examined"].what == "One thing could not be examined: permission denied"
    assert "function-unknown" in found


def test_settings_that_cannot_work_are_found(examine, settings):
    settings.BACKGROUND_TASK_MAX_ATTEMPTS = "ten"
    finding = examine()["check"]
    assert finding.what.startswith("background_task.E001: BACKGROUND_TASK_MAX_ATTEMPTS is 'ten'")
    assert finding.level == PROBLEM


def test_a_module_of_tasks_that_cannot_be_imported_is_found(
    examine, settings, tmp_path, monkeypatch
):
    package = tmp_path / "broken_app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "tasks.py").write_text("import not_installed_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "broken_app"]
    assert "No module named 'not_installed_here'" in examine()["tasks-broken"].what


def test_a_queue_with_a_weight_is_served(examine, store):
    Fleet("default").register(
        "alive", queues="mail:3, slow", capacity=1, lease=LEASE, now=store.now()
    )
    for queue in ("mail", "slow", "mail:3"):
        add(store, task_name=NAME, queue=queue)
    assert "queue-unserved" not in examine()
    add(store, task_name=NAME, queue="other")
    assert "other" in examine()["queue-unserved"].what


def test_a_queue_that_the_only_worker_excludes_is_not_served(examine, store):
    text = Options(excluded=["mail", ""]).queues_text()
    Fleet("default").register("alive", queues=text, capacity=1, lease=LEASE, now=store.now())
    for queue in ("mail", "other", None):
        add(store, task_name=NAME, queue=queue)
    assert "no living worker serves: None, mail." in examine()["queue-unserved"].what
