"""Cancelling from one process what another one runs."""

import pytest

from background_task import cancel
from background_task.models import CompletedTask, Task
from tests.app.models import Ledger
from tests.app.tasks import hold
from tests.process import worker_process
from tests.waiting import wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def test_worker_process_is_told_and_goes_on(tmp_path):
    running, waiting = hold("one", str(tmp_path / "never")), hold("two", str(tmp_path / "never"))
    settings = {"BACKGROUND_TASK_CANCEL_GRACE_SECONDS": 0.1}
    with worker_process("--sleep", "0.1", settings=settings) as worker:
        wait_until(Ledger.objects.filter(key="one:started").exists)
        assert cancel(running.uid) == "requested"
        wait_until(lambda: running.status == "cancelled")
        wait_until(Ledger.objects.filter(key="two:started").exists)
        assert waiting.cancel() == "requested"
        wait_until(lambda: waiting.status == "cancelled")
        worker.wait_for_line(r"Cancelled tests\.app\.tasks\.hold: .*TaskCancelled", count=2)
        worker.terminate()
        assert worker.wait() == 0
        worker.wait_for_line("2 cancelled")
    assert not Task.objects.exists()
    assert not Ledger.objects.filter(key__endswith=":finished").exists()
    for record in CompletedTask.objects.all():
        assert (record.attempts, record.failed_at) == (1, None)
