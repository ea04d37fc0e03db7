"""A worker that runs while something is paused."""

import pytest
from django.db import connection, transaction

from background_task import pause, resume
from tests.app.models import Ledger
from tests.app.tasks import record
from tests.waiting import wait_until
from tests.worker.running import Worker

pytestmark = pytest.mark.django_db(transaction=True)


def wait_for(key):
    wait_until(Ledger.objects.filter(key=key).exists, deadline=30, message=f"{key} was run")


def keys():
    return set(Ledger.objects.values_list("key", flat=True))


@pytest.mark.parametrize("threads", [None, 2], ids=["inline", "threads"])
@pytest.mark.parametrize("what", [{"queue": "stopped"}, {"function": record}], ids=str)
def test_paused_while_a_worker_runs_backlog_stays_and_others_go_on(what, threads):
    other = record.using(queue="other")
    is_all = "function" in what
    # An idle worker that looks by itself is not to be waited for; MariaDB has no other.
    sleep = 0.05 if connection.vendor == "mysql" else 600
    with Worker(threads=threads, sleep=sleep).running() as worker:
        worker.events.wait_for("idle")
        pause(**what)
        with transaction.atomic():
            for number in range(5):
                record(f"stopped {number}", queue="stopped", priority=number)
            if not is_all:
                other("other")
        if not is_all:
            wait_for("other")
        worker.events.wait_for("idle", count=len(worker.events.of("idle")) + 1)
        assert keys() == (set() if is_all else {"other"})
        assert not worker.events.of("unknown")
        resume(**what)
        for number in range(5):
            wait_for(f"stopped {number}")
