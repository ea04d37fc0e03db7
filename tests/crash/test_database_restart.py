"""The database goes away in the middle of the work, orderly or not, and comes back."""

import re
from contextlib import ExitStack

import pytest
from django.db import connection, transaction

from background_task.models import CompletedTask, Task
from tests.crash import tasks as crash
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

TASKS = 300
SETTINGS = {"BACKGROUND_TASK_LEASE_SECONDS": 20}


@pytest.mark.parametrize("immediately", [False, True], ids=["orderly", "as a crash"])
def test_restart_of_the_database_loses_and_doubles_nothing(crashes, database_server, immediately):
    with transaction.atomic():
        scheduled = {crash.work(number).uid for number in range(TASKS)}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(crashes.worker(*mode, settings=SETTINGS))
            for mode in ([], ["--threads", "3"])
        ]
        wait_until(lambda: len(crashes.lines) >= TASKS // 10, deadline=30)
        database_server.stop(immediately=immediately)
        for worker in workers:
            worker.wait_for_line("The database cannot be used")
        database_server.start()
        for worker in workers:
            worker.wait_for_line("The database is back after")
        connection.close()
        crashes.wait_for_no_rows(deadline=90)
        for worker in workers:
            worker.terminate()
        assert [worker.wait() for worker in workers] == [0, 0]
        for worker in workers:
            assert worker.output.count("The database cannot be used") == 1
            assert worker.output.count("The database is back after") == 1
            assert not re.search(r"Attempt \d+ of .* was lost", worker.output)
    done = list(CompletedTask.objects.values_list("uid", "failed_at"))
    assert len(done) == TASKS, "finished twice, or never"
    assert {uid for uid, _ in done} == scheduled
    assert {failed_at for _, failed_at in done} == {None}
    assert set(crashes.runs) == {str(number) for number in range(TASKS)}
    assert not Task.objects.exists()


def test_idle_worker_outlives_a_restart_of_the_database(crashes, database_server):
    with crashes.worker("--threads", "2", settings=SETTINGS) as worker:
        crash.work("before")
        worker.wait_for_line("Ran task")
        database_server.restart(immediately=True)
        connection.close()
        crash.work("after")
        worker.wait_for_line("Ran task", count=2)
        worker.terminate()
        assert worker.wait() == 0
    assert list(CompletedTask.objects.values_list("attempts", flat=True)) == [1, 1]
