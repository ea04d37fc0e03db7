"""Section 10: which signals are sent, by whom, with what, in which order, and what is visible."""

import pytest
from django.db import connection
from django.dispatch import Signal

from background_task import signals
from background_task.exceptions import InvalidTaskError
from background_task.models import CompletedTask, Task
from background_task.tasks import DBTaskRunner, tasks
from tests.compat.running import SignalLog

pytestmark = pytest.mark.django_db(transaction=True)


def look(name, kwargs):
    """What a receiver sees in the database while it runs."""
    row = Task.objects.first()
    given = kwargs.get("task")
    return {
        "given_error": given.last_error if given is not None else None,
        "given_locked": given is not None and given.locked_by is not None,
        "rows": Task.objects.count(),
        "archived": CompletedTask.objects.count(),
        "locked": row is not None and row.locked_by is not None,
        "last_error": row.last_error if row is not None else None,
        "run_at": row.run_at if row is not None else None,
        "in_transaction": connection.in_atomic_block,
    }


@pytest.fixture
def log():
    with SignalLog(look) as entries:
        yield entries


@pytest.fixture
def invalid():
    @tasks.background(name="invalid")
    def refuse():
        raise InvalidTaskError("never again")

    return refuse


def test_call_proxy_sends_task_created_with_the_saved_task(log, recording):
    task = recording.proxy(1)
    sender, kwargs = log.of("task_created")
    assert log.names == ["task_created"]
    assert sender is DBTaskRunner
    assert kwargs == {"task": task}
    assert kwargs["task"].pk is not None
    assert log.seen["task_created"]["rows"] == 1


def test_run_success_sends_created_started_successful_finished(mode, log, runs, recording):
    task = recording.proxy(1)
    assert runs.next()
    assert log.names == ["task_created", "task_started", "task_successful", "task_finished"]
    for name in ("task_started", "task_finished"):
        assert log.of(name) == (Task, {})
    sender, kwargs = log.of("task_successful")
    assert sender is Task
    assert kwargs == {"task_id": task.pk, "completed_task": CompletedTask.objects.get()}


def test_run_success_is_committed_when_task_successful_is_sent(mode, log, runs, recording):
    recording.proxy(1)
    assert runs.next()
    seen = log.seen["task_successful"]
    assert (seen["rows"], seen["archived"], seen["in_transaction"]) == (0, 1, False)


def test_run_success_of_repeating_task_shows_the_next_row_to_receivers(log, runs, recording):
    recording.proxy(1, repeat=Task.HOURLY)
    assert runs.next()
    seen = log.seen["task_successful"]
    assert (seen["rows"], seen["archived"], seen["locked"]) == (1, 1, False)


def test_run_retry_sends_started_error_rescheduled_finished(mode, log, runs, failing):
    task = failing()
    assert runs.next()
    assert log.names[1:] == ["task_started", "task_error", "task_rescheduled", "task_finished"]
    assert log.of("task_error") == (ValueError, {"task": task})
    assert log.of("task_rescheduled") == (Task, {"task": task})


def test_run_retry_shows_locked_row_with_old_error_to_task_error(mode, log, runs, failing):
    failing()
    Task.objects.update(last_error="the old error")
    assert runs.next()
    seen = log.seen["task_error"]
    assert (seen["locked"], seen["last_error"]) == (True, "the old error")
    assert (seen["given_locked"], seen["given_error"]) == (True, "the old error")


def test_run_retry_is_committed_and_unlocked_when_task_rescheduled_is_sent(
    mode, log, runs, failing
):
    failing()
    assert runs.next()
    stored = Task.objects.get()
    given = log.of("task_rescheduled")[1]["task"]
    assert (given.locked_by, given.locked_at, given.attempts) == (None, None, 1)
    assert given.run_at == stored.run_at == log.seen["task_rescheduled"]["run_at"]
    assert "this task always fails" in given.last_error
    assert log.seen["task_rescheduled"]["locked"] is False


@pytest.mark.parametrize("reason", ["attempts", "invalid"])
def test_run_failure_sends_started_error_failed_finished(
    mode, log, runs, failing, invalid, settings, reason
):
    settings.MAX_ATTEMPTS = 1 if reason == "attempts" else 3
    task = failing() if reason == "attempts" else invalid()
    assert runs.next()
    assert log.names[1:] == ["task_started", "task_error", "task_failed", "task_finished"]
    assert log.of("task_error")[0] is (ValueError if reason == "attempts" else InvalidTaskError)
    sender, kwargs = log.of("task_failed")
    assert sender is Task
    assert kwargs == {"task_id": task.pk, "completed_task": CompletedTask.objects.get()}
    assert kwargs["completed_task"].failed_at is not None


def test_run_failure_is_committed_when_task_failed_is_sent(mode, log, runs, invalid):
    invalid()
    assert runs.next()
    seen = log.seen["task_failed"]
    assert (seen["rows"], seen["archived"], seen["in_transaction"]) == (0, 1, False)


def test_connect_to_task_error_by_exception_class_hears_only_that_class(runs, failing, invalid):
    heard = []

    def hear(sender, task, **kwargs):
        heard.append(task.task_name)

    signals.task_error.connect(hear, sender=ValueError)
    try:
        failing()
        invalid()
        assert runs.all() == 2
    finally:
        signals.task_error.disconnect(hear, sender=ValueError)
    assert heard == ["failing"]


def test_connect_by_sender_class_hears_the_others(runs, recording):
    heard = []

    def created(sender, **kwargs):
        heard.append("created")

    def successful(sender, **kwargs):
        heard.append("successful")

    signals.task_created.connect(created, sender=DBTaskRunner)
    signals.task_successful.connect(successful, sender=Task)
    try:
        recording.proxy(1)
        assert runs.next()
    finally:
        signals.task_created.disconnect(created, sender=DBTaskRunner)
        signals.task_successful.disconnect(successful, sender=Task)
    assert heard == ["created", "successful"]


def test_raise_in_task_created_receiver_raises_in_the_caller(recording):
    def refuse(sender, **kwargs):
        raise RuntimeError("not wanted")

    signals.task_created.connect(refuse)
    try:
        with pytest.raises(RuntimeError, match="not wanted"):
            recording.proxy(1)
    finally:
        signals.task_created.disconnect(refuse)


@pytest.mark.parametrize("name", SignalLog.NAMES)
def test_read_signal_is_a_django_signal(name):
    assert type(getattr(signals, name)) is Signal


def test_run_by_name_without_row_sends_started_and_finished_only(mode, log, runs, recording):
    runs.this("recorded", [1], {})
    assert log.names == ["task_started", "task_finished"]


def test_call_reset_queries_receiver_forgets_logged_queries(settings):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    connection.force_debug_cursor = True
    try:
        Task.objects.exists()
    finally:
        connection.force_debug_cursor = False
    assert connection.queries_log
    signals.reset_queries(sender=Task, signal=signals.task_started)
    assert not connection.queries_log


def test_call_close_old_connections_receiver_closes_unusable_connection(settings):
    settings.BACKGROUND_TASK_RUN_ASYNC = True
    Task.objects.exists()
    connection.close_at = 0
    signals.close_old_connections(sender=Task, signal=signals.task_finished)
    assert connection.connection is None
    assert Task.objects.count() == 0
