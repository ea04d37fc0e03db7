"""A real worker that would sleep for ten minutes does not."""

import pytest
from django.db import transaction

from tests.app.models import Ledger
from tests.app.tasks import record
from tests.process import worker_process
from tests.waiting import wait_until
from tests.wakeup.sessions import drop_connections, idle_workers

pytestmark = pytest.mark.django_db(transaction=True)

#: Several times in a row, because once could be the look that a worker takes now and then anyway.
TIMES = 4


@pytest.fixture(params=[[], ["--threads", "2"]], ids=["inline", "threads"])
def sleeper(request):
    with worker_process("--sleep", "600", "--verbosity", "2", *request.param) as worker:
        worker.wait_for_line("waiting for tasks")
        yield worker
        worker.terminate()
        assert worker.wait() == 0


def wait_for(key):
    wait_until(Ledger.objects.filter(key=key).exists, message=f"{key} was run")


def test_new_task_is_run_at_once(sleeper):
    for number in range(TIMES):
        with transaction.atomic():
            record(f"{number}")
        wait_for(f"{number}")


def test_task_for_later_is_run_at_its_time(sleeper):
    for number in range(TIMES):
        record(f"{number}", schedule=1)
        wait_for(f"{number}")


@pytest.mark.only_on("postgresql")
def test_task_is_run_at_once_after_the_connection_was_dropped(sleeper):
    for number in range(TIMES):
        wait_until(lambda: idle_workers() == 1, message="the worker is idle")
        drop_connections()
        wait_until(lambda: idle_workers() == 1, message="it has it again")
        record(f"{number}")
        wait_for(f"{number}")


@pytest.mark.only_on("postgresql")
def test_worker_that_ends_is_no_longer_known_as_idle():
    with worker_process("--sleep", "600") as worker:
        wait_until(lambda: idle_workers() == 1, deadline=30, message="the worker is idle")
        worker.kill()
        worker.wait()
        wait_until(lambda: idle_workers() == 0, message="the server has noticed")
