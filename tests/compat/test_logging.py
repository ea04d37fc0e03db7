"""Section 15: LoggingTestCase and DatabaseOutageTestCase."""

from unittest import mock

import pytest
from django.db.utils import OperationalError

from background_task.models import Task
from background_task.tasks import tasks

TASKS_LOGGER = "background_task.tasks"
MODELS_LOGGER = "background_task.models"
LOUD = {"WARNING", "ERROR", "CRITICAL"}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def logged_by_tasks(records_of):
    return records_of(TASKS_LOGGER)


@pytest.fixture
def logged_by_models(records_of):
    return records_of(MODELS_LOGGER)


def test_run_success_logs_nothing_loud(mode, runs, recording, logged_by_tasks, logged_by_models):
    recording.proxy(1, verbose_name="shown name")
    assert runs.next()
    assert not logged_by_tasks.levels() & LOUD
    assert not logged_by_models.levels() & LOUD
    told = logged_by_tasks.messages("INFO")
    assert sum("shown name" in message for message in told) >= 2


def test_run_retry_logs_error_for_tasks_and_warning_for_models(
    mode, runs, failing, logged_by_tasks, logged_by_models
):
    failing(verbose_name="shown name")
    assert runs.next()
    assert logged_by_tasks.levels() & LOUD == {"ERROR"}
    assert logged_by_models.levels() & LOUD == {"WARNING"}
    (error,) = [record for record in logged_by_tasks.records if record.levelname == "ERROR"]
    assert "shown name" in error.getMessage()
    assert error.exc_info[0] is ValueError
    (warning,) = logged_by_models.messages("WARNING")
    assert warning.startswith("Rescheduling task shown name for 0:00:06 later at ")


def test_run_failure_logs_error_for_tasks_and_warning_for_models(
    mode, runs, failing, settings, logged_by_tasks, logged_by_models
):
    settings.MAX_ATTEMPTS = 1
    failing(verbose_name="shown name")
    assert runs.next()
    assert logged_by_tasks.levels() & LOUD == {"ERROR"}
    (warning,) = logged_by_models.messages("WARNING")
    assert "Marking task shown name as failed" in warning


def test_patch_logger_of_tasks_module_sees_the_same_calls(runs, recording, failing):
    with mock.patch("background_task.tasks.logger") as logger:
        recording.proxy(1)
        assert runs.next()
        for method in (logger.warning, logger.error, logger.critical):
            method.assert_not_called()
        failing()
        assert runs.next()
        logger.error.assert_called_once()
        logger.warning.assert_not_called()


def broken_cursor(error):
    """Every statement fails, as when the server is gone."""
    return mock.patch("django.db.backends.utils.CursorWrapper.execute", side_effect=error)


def test_run_next_task_while_the_database_is_away_warns_and_goes_on(
    mode, runs, recording, logged_by_tasks
):
    recording.proxy(1)
    with broken_cursor(OperationalError("the server is gone")):
        assert tasks.run_next_task() is False
    assert logged_by_tasks.levels() & LOUD == {"WARNING"}
    (warning,) = logged_by_tasks.messages("WARNING")
    assert "Failed to retrieve tasks. Database unreachable." in warning
    assert runs.next() is True
    assert not Task.objects.exists()


def test_patch_logger_of_tasks_module_while_the_database_is_away_sees_one_warning(recording):
    recording.proxy(1)
    with (
        broken_cursor(OperationalError("the server is gone")),
        mock.patch("background_task.tasks.logger") as logger,
    ):
        tasks.run_next_task()
    logger.warning.assert_called_once()
    logger.error.assert_not_called()
    logger.critical.assert_not_called()
