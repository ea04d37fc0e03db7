"""Nothing happens silently: what a worker process shows, and what it logs."""

import json
import logging
import re

import pytest

from background_task.models import Task
from tests.app.tasks import fail, record
from tests.process import worker_process
from tests.settings import INSTALLED_APPS
from tests.worker import tasks as waiting
from tests.worker.running import work_off

pytestmark = pytest.mark.django_db(transaction=True)

SETTINGS = {"INSTALLED_APPS": [*INSTALLED_APPS, "tests.worker"]}


def run_briefly(*arguments, settings=None):
    """Run a worker on one good and one failing task; its lines."""
    record("a")
    fail()
    with worker_process(
        "--sleep", "0.1", "--duration", "3", *arguments, settings=settings
    ) as worker:
        assert worker.wait() == 0
    return worker.lines


def test_verbosity_1_shows_start_tasks_and_summary():
    lines = run_briefly()
    text = "\n".join(lines)
    assert re.search(r"INFO +background_task 2\.\S+: worker \S+:\d+:\w+ on ", lines[0])
    assert re.search(r"INFO +all queues; one task after another; \d+ task functions in", lines[1])
    assert "INFO    Running tests.app.tasks.record (attempt 1)" in text
    assert re.search(r"INFO +Ran task and deleting tests\.app\.tasks\.record \(attempt 1, \d", text)
    assert "ERROR   Rescheduling tests.app.tasks.fail" in text
    assert "RuntimeError: failed on purpose" in text
    assert re.search(r"WARNING Rescheduling task tests\.app\.tasks\.fail for 0:00:06 later", text)
    assert re.search(
        r"INFO +Stopped \(the duration is over\) after \d+\.\d s: 1 done, 1 rescheduled$", lines[-1]
    )
    assert "waiting for tasks" not in text
    assert not Task.objects.filter(locked_by__isnull=False).exists()


def test_verbosity_0_shows_only_what_went_wrong():
    text = "\n".join(run_briefly("--verbosity", "0"))
    assert "INFO" not in text
    assert "ERROR   Rescheduling tests.app.tasks.fail" in text


def test_verbosity_2_shows_the_waiting_too():
    assert any("DEBUG   waiting for tasks" in line for line in run_briefly("--verbosity", "2"))


def test_project_with_its_own_logging_sees_every_line_once():
    logging_settings = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"own": {"format": "own %(name)s %(message)s"}},
        "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own"}},
        "root": {"handlers": ["own"], "level": "INFO"},
    }
    lines = run_briefly(settings={"LOGGING": logging_settings})
    assert sum("Ran task and deleting" in line for line in lines) == 1
    assert sum("Stopped (" in line for line in lines) == 1
    assert lines[0].startswith("own background_task.management.commands.process_tasks ")


def test_log_std_sends_what_tasks_print_to_the_log():
    waiting.talk("good day")
    with worker_process("--sleep", "0.1", "--log-std", settings=SETTINGS) as worker:
        worker.wait_for_line(r"INFO +good day$")
        worker.wait_for_line(r"ERROR +good day$")
        worker.terminate()
        assert worker.wait() == 0


def test_records_carry_fields_for_structured_logging(caplog):
    caplog.set_level(logging.DEBUG, "background_task")
    good = record("a", queue="q", verbose_name="Good")
    bad = fail()
    work_off()
    by_event = {record.event: record for record in caplog.records if hasattr(record, "event")}
    done, failed = by_event["success"], by_event["error"]
    assert (done.task_id, done.task_uid) == (good.pk, str(good.uid))
    assert (done.task_name, done.queue, done.attempt) == ("tests.app.tasks.record", "q", 1)
    assert (done.priority, done.backend, done.error_class) == (0, None, None)
    assert (failed.worker, failed.error_class) == (done.worker, "builtins.RuntimeError")
    assert done.seconds >= 0
    assert "Good" in done.getMessage()
    assert (failed.task_id, failed.attempt, failed.levelname) == (bad.pk, 1, "ERROR")
    assert failed.exc_info is not None
    json.dumps({name: getattr(done, name) for name in ("task_id", "task_uid", "seconds", "event")})
