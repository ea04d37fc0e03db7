"""Section 3: model constants and methods; TestTaskModel of section 15."""

import os
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from background_task.models import CompletedTask, Task
from tests.app.models import TextOwner

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("mode")]


@pytest.fixture
def task():
    row = Task.objects.new_task("name", (1,), {"k": 2})
    row.save()
    return row


def test_read_repeat_constants_have_old_values():
    assert (Task.HOURLY, Task.DAILY, Task.WEEKLY) == (3600, 86400, 604800)
    assert (Task.EVERY_2_WEEKS, Task.EVERY_4_WEEKS, Task.NEVER) == (1209600, 2419200, 0)
    assert [value for value, _ in Task.REPEAT_CHOICES] == [3600, 86400, 604800, 1209600, 2419200, 0]


def test_lock_free_row_writes_owner_and_time_and_returns_a_fresh_instance(task):
    locked = task.lock("somebody")
    assert locked == task
    assert locked is not task
    stored = Task.objects.get()
    assert (stored.locked_by, locked.locked_by) == ("somebody", "somebody")
    assert abs((stored.locked_at - timezone.now()).total_seconds()) < 30
    assert task.locked_by is None


def test_lock_row_held_by_another_gives_none_though_the_copy_looks_free(task):
    stale = Task.objects.get()
    assert task.lock("first") is not None
    assert stale.locked_by is None
    assert stale.lock("second") is None
    assert Task.objects.get().locked_by == "first"


def test_lock_row_held_for_longer_than_max_run_time_takes_it_over(task, settings):
    settings.MAX_RUN_TIME = 60
    task.lock("first")
    Task.objects.update(locked_at=timezone.now() - timedelta(seconds=62))
    taken = task.lock("second")
    assert taken.locked_by == "second"
    assert abs((taken.locked_at - timezone.now()).total_seconds()) < 30


def test_lock_row_held_for_less_than_max_run_time_gives_none(task, settings):
    settings.MAX_RUN_TIME = 60
    task.lock("first")
    Task.objects.update(locked_at=timezone.now() - timedelta(seconds=30))
    assert task.lock("second") is None


def test_lock_row_that_was_deleted_gives_none(task):
    Task.objects.all().delete()
    assert task.lock("somebody") is None


def test_lock_with_name_of_64_characters_keeps_it_whole(task):
    assert task.lock("x" * 64).locked_by == "x" * 64


def test_params_gives_list_and_dict(task):
    assert task.params() == ([1], {"k": 2})


def test_params_of_int_keys_give_string_keyword_names():
    assert Task.objects.new_task("n", (), {1: 2}).params() == ([], {"1": 2})


def test_str_of_task_is_verbose_name_or_name(task):
    assert str(task) == "name"
    task.verbose_name = "shown"
    assert str(task) == "shown"


def test_str_of_completed_task_adds_its_time(task):
    done = task.create_completed_task()
    assert str(done) == f"name - {done.run_at}"
    done.verbose_name = "shown"
    assert str(done) == f"shown - {done.run_at}"


def test_increment_attempts_adds_one_and_saves(task):
    task.increment_attempts()
    task.increment_attempts()
    assert task.attempts == 2
    assert Task.objects.get().attempts == 2


@pytest.mark.parametrize(("attempts", "reached"), [(2, False), (3, True), (4, True)])
def test_has_reached_max_attempts_compares_with_the_setting(task, settings, attempts, reached):
    settings.MAX_ATTEMPTS = 3
    task.attempts = attempts
    assert task.has_reached_max_attempts() is reached


@pytest.mark.parametrize(("repeat", "repeats"), [(0, False), (1, True), (Task.DAILY, True)])
def test_is_repeating_task_with_positive_repeat(task, repeat, repeats):
    task.repeat = repeat
    assert task.is_repeating_task() is repeats


def test_create_completed_task_copies_the_row_and_takes_the_time_of_completion(task):
    until, moment = timezone.now() + timedelta(days=9), timezone.now()
    owner = TextOwner.objects.create(code="5")
    values = {
        "task_name": "name",
        "task_params": task.task_params,
        "task_hash": task.task_hash,
        "priority": 3,
        "queue": "q",
        "attempts": 2,
        "failed_at": moment,
        "last_error": "it broke",
        "locked_by": "somebody",
        "locked_at": moment,
        "verbose_name": "shown",
        "creator": owner,
        "repeat": Task.HOURLY,
        "repeat_until": until,
    }
    for name, value in values.items():
        setattr(task, name, value)
    task.run_at = moment - timedelta(days=3)
    before = timezone.now()
    done = task.create_completed_task()
    stored = CompletedTask.objects.get(pk=done.pk)
    assert {name: getattr(stored, name) for name in values} == values
    assert before - timedelta(seconds=5) <= stored.run_at <= timezone.now() + timedelta(seconds=5)


def test_create_completed_task_leaves_the_live_row_alone(task):
    task.create_completed_task()
    assert Task.objects.get() == task


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_locked_by_pid_running_answers_for_old_process_ids(model):
    assert model(locked_by=str(os.getpid())).locked_by_pid_running() is True
    assert model(locked_by="999999999").locked_by_pid_running() is False
    assert model(locked_by="not a process").locked_by_pid_running() is False
    for empty in (None, ""):
        assert model(locked_by=empty).locked_by_pid_running() is None


@pytest.mark.parametrize("model", [Task, CompletedTask])
def test_has_error_tells_whether_there_is_error_text(model):
    assert model(last_error="it broke").has_error() is True
    assert model(last_error="").has_error() is False


@pytest.mark.parametrize("model", [Task, CompletedTask])
@pytest.mark.parametrize("method", ["has_error", "locked_by_pid_running"])
def test_read_boolean_mark_for_admin_is_set(model, method):
    assert getattr(model, method).boolean is True


@pytest.mark.parametrize("method", ["lock", "increment_attempts"])
def test_read_completed_task_lacks_what_only_live_rows_do(method):
    assert not hasattr(CompletedTask, method)


def test_extract_error_gives_the_formatted_traceback(task):
    try:
        raise ValueError("it broke")
    except ValueError:
        text = task._extract_error(*sys.exc_info())
    assert text.startswith("Traceback (most recent call last)")
    assert "ValueError: it broke" in text
    assert "test_models.py" in text


def test_save_empty_locked_by_stores_null(task):
    task.locked_by = ""
    task.save()
    assert Task.objects.get().locked_by is None


def test_read_creator_of_saved_task_is_the_object(task, django_user_model):
    user = django_user_model.objects.create(username="creator")
    task.creator = user
    task.save()
    stored = Task.objects.get()
    assert stored.creator == user
    assert stored.creator_object_id == user.pk
    assert isinstance(stored.creator_object_id, int)


def test_read_repeat_fields_of_saved_task_are_kept():
    until = timezone.now() + timedelta(days=2)
    Task.objects.new_task("n", repeat=Task.WEEKLY, repeat_until=until).save()
    stored = Task.objects.get()
    assert (stored.repeat, stored.repeat_until) == (Task.WEEKLY, until)
    assert stored.is_repeating_task()
