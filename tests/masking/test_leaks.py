"""Where arguments and results might come out by accident: no repr, log line or message of ours."""

import logging
from datetime import timedelta

import pytest
from django.test import override_settings

from background_task import telemetry
from background_task.attempt import Succeeded
from background_task.current import current_task
from background_task.declaration import Declaration
from background_task.exceptions import (
    InvalidOptionError,
    InvalidOptionTypeError,
    InvalidPayloadError,
    ResultNotKeptError,
)
from background_task.importing.call import checked_arguments
from background_task.models import CompletedTask, Task
from background_task.producer import TaskSpec
from background_task.return_value import pack, unpack
from background_task.signals import task_created, task_error, task_failed, task_successful
from background_task.store import get_store
from background_task.store.again import begun_anew
from background_task.task_backend import Periodic
from background_task.tasks import tasks as all_tasks
from background_task.worker.admission import Admission
from tests.masking import tasks

SECRET = "hunter2"


def claimed(task):
    return get_store().claim_one(task.pk, "somebody")


@pytest.mark.django_db
def test_repr_of_what_carries_a_call_shows_no_argument():
    task = tasks.sign_in("ann", password=SECRET)
    assert SECRET in task.task_params
    spec = TaskSpec("name", ("ann", SECRET), {"password": SECRET})
    claim = claimed(task)
    declared = Declaration.of(
        tasks.sign_in, name="x", schedule=60, args=["ann"], kwargs={"password": SECRET}
    )
    periodic = Periodic("@daily", args=(SECRET,), kwargs={"password": SECRET})
    completed = task.archived(now=task.run_at)
    outcome = Succeeded(f'"{SECRET}"')
    shown = repr([task, completed, spec, claim, declared, periodic, outcome, tasks.sign_in])
    assert SECRET not in shown
    assert SECRET not in f"{task}{completed}{claim}{tasks.sign_in}"


@pytest.mark.django_db
def test_repr_of_a_result_of_django_tasks_shows_what_may_be_shown():
    result = tasks.sign_up.enqueue("ann", SECRET)
    assert SECRET in repr(result)
    with override_settings(BACKGROUND_TASK_MASK=["password"]):
        assert SECRET not in repr(result)
        assert "'ann'" in repr(result)
        again = tasks.sign_up.get_result(result.id)
        assert SECRET not in repr(again)
        assert again == result
    assert result.args == ["ann", SECRET]


@pytest.mark.django_db
def test_repr_of_a_result_shows_nothing_of_a_masked_name_that_the_task_has_returned():
    result = tasks.sign_up.using(backend="immediate").enqueue({"id": 7, "token": SECRET}, "x")
    with override_settings(BACKGROUND_TASK_MASK=["token"]):
        assert SECRET not in repr(result)
        assert "_return_value={'id': 7, 'token': '********'}" in repr(result)
    assert result.return_value == {"token": SECRET, "id": 7}


@pytest.mark.django_db
def test_repr_of_a_result_of_a_sensitive_task_shows_nothing():
    result = tasks.charge.using(backend="immediate").enqueue(SECRET)
    assert result.return_value == SECRET
    assert SECRET not in repr(result)
    row = CompletedTask.objects.get(uid=result.id)
    assert '"sensitive":true' in row.options


def kept_where_it_says(task):
    return '"sensitive":true' in (task.options or "")


@pytest.mark.django_db
def test_sensitive_call_hands_it_on_to_what_follows():
    """Whoever does not have the function sees it in each row, of a repetition, too."""
    task = tasks.pay(SECRET, repeat=60)
    assert kept_where_it_says(task)
    assert kept_where_it_says(task.repetition(now=task.run_at))
    assert kept_where_it_says(tasks.pay.using(max_attempts=1)(SECRET))
    assert kept_where_it_says(tasks.pay.using(sensitive=None)(SECRET))
    assert not kept_where_it_says(tasks.pay.using(sensitive=False)(SECRET))
    assert kept_where_it_says(tasks.post.using(sensitive=True)("/"))
    assert all(map(kept_where_it_says, tasks.pay.bulk([((SECRET,), {})])))


@pytest.mark.django_db
def test_sensitive_task_that_is_tried_anew_stays_so():
    tasks.fail.using(sensitive=True, max_attempts=1)("ann", SECRET)
    assert all_tasks.run_next_task()
    failed = CompletedTask.objects.get()
    assert kept_where_it_says(failed)
    assert kept_where_it_says(Task(options=begun_anew(failed.options, repeats=False)))


@pytest.mark.django_db
def test_limit_of_a_sensitive_task_has_no_argument_in_its_name():
    limited = tasks.pay.using(max_concurrency=1, concurrency_key="{card}")
    admission = Admission(
        get_store(), registry={limited.name: limited}, lease=timedelta(seconds=60)
    )
    claim = claimed(limited(SECRET))
    assert claim.limit_key is not None
    assert SECRET not in admission._limit_of(claim).name


@pytest.mark.django_db
def test_run_of_a_task_writes_no_argument_to_the_log(caplog):
    """Neither does anything that signals and subscribers are given show one by itself."""
    seen = []
    receivers = (task_created, task_error, task_failed, task_successful)

    def receive(sender, **kwargs):
        seen.append(repr(kwargs))

    for signal in receivers:
        signal.connect(receive)
    try:
        with (
            caplog.at_level(logging.DEBUG, "background_task"),
            telemetry.subscribed(lambda name, fields: seen.append(repr(fields))),
        ):
            tasks.sign_in("ann", SECRET)
            assert all_tasks.run_next_task()
            tasks.fail("ann", SECRET)
            assert all_tasks.run_next_task()
    finally:
        for signal in receivers:
            signal.disconnect(receive)
    assert seen
    assert SECRET not in "".join(seen)
    assert caplog.records
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("error", "act"),
    [
        (InvalidOptionTypeError, lambda: tasks.sign_in("ann", {SECRET})),
        (InvalidOptionTypeError, lambda: tasks.sign_in.bulk([((1,), {"user": SECRET})])),
        (InvalidOptionTypeError, lambda: tasks.sign_in.bulk([(SECRET,)])),
        (InvalidOptionTypeError, lambda: tasks.sign_in.bulk(SECRET)),
        (InvalidPayloadError, lambda: Task(task_params=SECRET).params()),
        (InvalidPayloadError, lambda: Task(task_params=f'["{SECRET}"]').params()),
        (ResultNotKeptError, lambda: pack({SECRET}, most=100)),
        (ResultNotKeptError, lambda: pack(SECRET, most=3)),
        (InvalidPayloadError, lambda: unpack(f"[{SECRET}")),
        (InvalidOptionError, lambda: checked_arguments(SECRET, {})),
        (InvalidOptionError, lambda: checked_arguments([], {7: SECRET})),
    ],
)
def test_message_about_arguments_shows_no_value(error, act):
    with pytest.raises(error) as caught:
        act()
    assert SECRET not in str(caught.value)


@pytest.mark.django_db
def test_current_task_shows_no_argument(monkeypatch):
    shown = []
    monkeypatch.setattr(tasks, "looking", lambda: shown.append(repr(current_task())))
    tasks.look(SECRET)
    assert all_tasks.run_next_task()
    assert shown
    assert SECRET not in shown[0]
