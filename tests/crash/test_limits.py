"""A limit under kills: never exceeded, and no place is lost with whoever had it."""

from contextlib import ExitStack

import pytest
from django.db import transaction

from background_task.models import CompletedTask
from tests.crash import tasks as crash
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.slow,
]

TASKS = 300
WORKERS = 3
KILLS = 4


def test_limit_against_crash_holds_and_loses_no_place(crashes, chance):
    """The ledger outside the queue: each run has to find a place that nobody else has locked."""
    with transaction.atomic():
        for number in range(TASKS):
            crash.squeeze(number)
    moments = sorted(chance.sample(range(TASKS // 20, TASKS * 9 // 10), KILLS))
    with ExitStack() as stack:

        def start():
            return stack.enter_context(crashes.worker("--threads", "3"))

        workers = [start() for _ in range(WORKERS)]
        for moment in moments:
            wait_until(
                lambda moment=moment: len(crashes.lines) >= moment,
                deadline=120,
                message=f"{moment} runs",
            )
            crashes.kill(workers.pop(chance.randrange(len(workers))))
            workers.append(start())
        crashes.wait_for_no_rows(deadline=150)
        for worker in workers:
            worker.wait_for_line("worker .* on")
            worker.terminate()
        assert [worker.wait() for worker in workers] == [0] * WORKERS
    assert "too-many" not in crashes.text
    assert set(crashes.runs) == {str(number) for number in range(TASKS)}
    assert CompletedTask.objects.filter(failed_at=None).count() == TASKS
